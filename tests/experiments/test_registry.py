from collections.abc import Iterator

import pytest

from ohmweave.base.errors import OutOfRangeError
from ohmweave.experiments import Claim, Experiment, ExperimentError, Options, experiments, find, match, register
from tests.helpers.experiments import CLAIMS, experiment, only_registered


@pytest.fixture(autouse=True)
def _three() -> Iterator[None]:
    with only_registered(*(experiment(name=name) for name in ("yao2020/stages", "yao2020/drift", "wang2019/cnn"))):
        yield


def names(found: list[Experiment]) -> list[str]:
    return [one.name for one in found]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yao2020/stages", ["yao2020/stages"]),
        ("yao2020/*", ["yao2020/drift", "yao2020/stages"]),
        ("yao2020", ["yao2020/drift", "yao2020/stages"]),
        ("yao2020/", ["yao2020/drift", "yao2020/stages"]),
        ("*/cnn", ["wang2019/cnn"]),
    ],
)
def test_match(pattern: str, expected: list[str]) -> None:
    assert names(match(pattern)) == expected


def test_a_typo_is_answered_with_the_near_name() -> None:
    for search in (find, match):
        with pytest.raises(ExperimentError, match="did you mean yao2020/stages"):
            search("yao2020/stage")
        with pytest.raises(ExperimentError, match="`ohmweave list` shows all"):
            search("zzz")


def test_names_are_sorted_and_taken_once() -> None:
    assert list(experiments()) == ["wang2019/cnn", "yao2020/drift", "yao2020/stages"]
    assert register(find("wang2019/cnn")) is find("wang2019/cnn")
    with pytest.raises(
        ExperimentError,
        match=r"'wang2019/cnn' is registered by tests\.helpers\.experiments; the one of tests\.experiments",
    ):
        register(experiment(name="wang2019/cnn"))


@pytest.mark.parametrize("name", ["", "Yao", "a//b", "/a", "a/", "a b", "../a", ".."])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(ExperimentError, match="`name` must be lower-case words"):
        experiment(name=name)


def test_two_claims_with_one_key_are_refused() -> None:
    twice: tuple[Claim, ...] = (CLAIMS[0], CLAIMS[0])
    with pytest.raises(ExperimentError, match="claims of coins/toss must have different names, but 'heads'"):
        experiment(claims=twice)


def test_options_are_checked() -> None:
    with pytest.raises(ExperimentError, match="`scale` must be one of smoke, full, but is 'big'"):
        Options(scale="big")
    with pytest.raises(OutOfRangeError, match="`seeds` must be an integer >= 1, but is 0"):
        Options(seeds=0)
    with pytest.raises(OutOfRangeError, match="`seed` must be an integer >= 0, but is -1"):
        Options(seed=-1)

"""Study files: what is accepted, and what is refused by key, value and what it must be."""

from pathlib import Path
from typing import Any

import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.explore import Range, declare, find_study, keys, points_of, read_study, shipped

GRID = {"network": "mlp", "rows": [32, 64], "adc_bits": ["none", 4, 8], "columns_per_adc": [1, 4]}


def test_a_grid_has_all_combinations_each_once_where_keys_have_no_effect() -> None:
    points = points_of(declare(GRID))
    # Without a converter, how many columns share one has no effect: 2 (1 + 2 x 2) designs, not 2 x 3 x 2.
    assert len(points) == 10
    assert {(point["rows"], point["adc_bits"], point["columns_per_adc"]) for point in points} == {
        (rows, bits, shared) for rows in (32, 64) for bits, shared in [(None, None), (4, 1), (4, 4), (8, 1), (8, 4)]
    }


def test_text_is_read_in_si_units() -> None:
    point = points_of(declare({"wire": "1.5 kOhm", "tolerance": "0.5 uS", "age": "2 hours", "node": "65 nm"}))[0]
    assert [point[name] for name in ("wire", "tolerance", "age", "node")] == [1500.0, 0.5e-6, 7200.0, 65e-9]
    assert points_of(declare({"tolerance": 0.02}))[0]["tolerance"] == "0.02 of the window"


@pytest.mark.parametrize(
    ("space", "settings", "words"),
    [
        ({"adc_bit": 4}, {}, ("adc_bit", "adc_bits")),
        ({"adc_bits": [4, "eight"]}, {}, ("`space.adc_bits[1]`", "an integer from 2 to 16, or 'none'", "'eight'")),
        ({"adc_bits": 17}, {}, ("`space.adc_bits`", "17")),
        ({"adc_bits": True}, {}, ("`space.adc_bits`", "True")),
        ({"rows": [64, 64]}, {}, ("`space.rows`", "different")),
        ({"rows": []}, {}, ("`space.rows`", "[]")),
        ({"wire": 2.0}, {}, ("`space.wire`", "'2 Ohm'", "2.0")),
        ({"wire": "2 S"}, {}, ("`space.wire`", "Ohm", "'2 S'")),
        ({"levels": 16}, {}, ("`space.levels`", "odd", "16")),
        ({"training": "noise aware"}, {}, ("`space.training`", "did you mean 'noise-aware'")),
        ({"network": "cnn5"}, {}, ("`space.network`", "mlp, cnn, five-layer, resnet", "'cnn5'")),
        ({"cell": "yao2021"}, {}, ("`space.cell`", "did you mean 'yao2020'")),
        ({"columns_per_adc": 4}, {}, ("`space.columns_per_adc`", "`adc_bits` is a number")),
        ({"rule": "Manhattan"}, {}, ("`space.rule`", "`training` is 'in situ'")),
        ({"tolerance": 1.5}, {}, ("`space.tolerance`", "fraction", "1.5")),
        ({"adc_bits": {"low": 4, "high": 8}}, {}, ("`space.adc_bits`", "range", "study.method")),
        ({}, {"chip": 5}, ("'chip'", "did you mean 'chips'")),
        ({}, {"chips": 1}, ("`study.chips`", "from 2", "1")),
        ({}, {"method": "sobol"}, ("`study.points`", "missing")),
        ({}, {"points": 4}, ("`study.points`", "grid")),
        ({}, {"objectives": ["accuracy", "enrgy"]}, ("`study.objectives[1]`", "did you mean 'energy'")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(space: dict[str, Any], settings: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(OutOfRangeError) as caught:
        points_of(declare(space, settings=settings))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"low": 8, "high": 4}, ("`space.rows.high`", "above `low`")),
        ({"low": 4}, ("`space.rows`", "`low` and `high`")),
        ({"low": 4, "high": 8, "logs": True}, ("'logs'", "did you mean 'log'")),
        ({"low": 4, "high": 8, "log": 1}, ("`space.rows.log`", "true or false")),
        ({"low": 4, "high": 1e9}, ("`space.rows.high`", "2,048")),
    ],
)
def test_a_range_is_checked(table: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(OutOfRangeError) as caught:
        declare({"rows": table}, settings={"method": "sobol", "points": 8})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_sample_covers_ranges_and_lists_evenly() -> None:
    space = {"rows": [32, 64], "tolerance": {"low": 0.01, "high": 0.16, "log": True}}
    points = points_of(declare(space, settings={"method": "sobol", "points": 16, "seed": 3}))
    assert [sum(point["rows"] == rows for point in points) for rows in (32, 64)] == [8, 8]
    shares = sorted(float(str(point["tolerance"]).removesuffix(" of the window")) for point in points)
    # A scrambled Sobol sequence of 2^m points has one in each of 2^m equal parts; here they are equal ratios.
    for k, share in enumerate(shares):
        assert 0.01 * 16 ** (k / 16) <= share * 1.006
        assert share <= 0.01 * 16 ** ((k + 1) / 16) * 1.006
    assert points == points_of(declare(space, settings={"method": "sobol", "points": 16, "seed": 3}))
    assert points != points_of(declare(space, settings={"method": "sobol", "points": 16, "seed": 4}))


def test_ranges_end_where_they_say() -> None:
    even, ratios = Range(low=2.0, high=10.0), Range(low=1.0, high=100.0, log=True, whole=True)
    assert [even.at(share) for share in (0.0, 0.25, 1.0)] == [2.0, 4.0, 10.0]
    assert [ratios.at(share) for share in (0.0, 0.5, 1.0)] == [1, 10, 100]


def test_a_file_is_another_value_when_its_content_changes(tmp_path: Path) -> None:
    network = tmp_path / "mine.py"
    (tmp_path / "a.toml").write_text('[space]\nnetwork = "mine.py"\n')
    names = []
    for text in ("x = 1", "x = 2"):
        network.write_text(text)
        study = read_study(tmp_path / "a.toml")
        names.append(study.space["network"])
        assert list(study.files.values()) == [network.resolve()]
    assert names[0] != names[1]


def test_files_are_refused_by_what_they_must_be(tmp_path: Path) -> None:
    for content, words in {
        "[space": ("TOML",),
        "[spice]\n": ("'spice'", "did you mean 'space'"),
        "space = 3\n": ("`space`", "a table", "3"),
    }.items():
        path = tmp_path / "a.toml"
        path.write_text(content)
        with pytest.raises((DataError, OutOfRangeError)) as caught:
            read_study(path)
        assert all(word in str(caught.value) for word in (*words, "a.toml")), str(caught.value)
    with pytest.raises(DataError, match="one of array-wires-adc"):
        find_study("array-wires-adcs")


def test_shipped_studies_are_valid() -> None:
    for name in shipped():
        assert len(points_of(find_study(name))) >= 8


def test_the_documentation_lists_every_key_with_what_it_must_be() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explore.md").read_text(encoding="utf-8")
    for name, key in keys().items():
        assert f"| `{name}` | {key.stage.name.lower()} | {key.kind.must_be} |" in page, name

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.experiments import ExperimentError, Task, canonical, plain

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
)


@given(JSON_VALUES)
def test_canonical_text_reads_back_as_the_value_itself(value: object) -> None:
    assert json.loads(canonical(value)) == value


def test_the_order_of_keys_does_not_change_the_text() -> None:
    assert canonical({"b": 1, "a": [1, {"d": 2, "c": 3}]}) == canonical({"a": [1, {"c": 3, "d": 2}], "b": 1})


def test_tensors_arrays_and_tuples_become_lists() -> None:
    value = {"t": torch.tensor([1, 2]), "a": np.array([[0.5]]), "n": np.int64(3), "f": np.float64(0.1), "p": (1, 2)}
    assert plain(value) == {"t": [1, 2], "a": [[0.5]], "n": 3, "f": 0.1, "p": [1, 2]}
    assert type(plain(value)["f"]) is float


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), -float("inf"), np.float64("nan"), torch.tensor([torch.nan])]
)
def test_what_is_not_finite_is_refused_by_its_place(bad: object) -> None:
    with pytest.raises(ExperimentError, match=r"`result\.stages\[1\]\.g(\[0\])?` must be a finite number"):
        plain({"stages": [{}, {"g": bad}]}, "result")


@pytest.mark.parametrize(
    ("bad", "message"), [({1: 2}, "keys of `value` must be text"), (object(), "JSON form"), ({3}, "set")]
)
def test_what_json_cannot_hold_is_refused(bad: object, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        plain(bad)


def test_an_id_is_pinned_so_that_old_rows_stay_found() -> None:
    task = Task(experiment="coins/toss", params={"data": "digits", "n": 3}, seed=7)
    assert task.id == "bedbf93daadcabca"


def test_an_id_depends_on_name_params_and_seed_only() -> None:
    task = Task(experiment="a", params={"x": 1, "y": 2}, seed=0)
    assert task.id == Task(experiment="a", params={"y": 2, "x": 1}, seed=0).id
    others = [
        Task(experiment="b", params={"x": 1, "y": 2}, seed=0),
        Task(experiment="a", params={"x": 2, "y": 1}, seed=0),
        Task(experiment="a", params={"x": 1, "y": 2}, seed=1),
    ]
    assert len({task.id, *(other.id for other in others)}) == 4

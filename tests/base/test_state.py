"""Nested named tuples of tensors: walked, named, and put together again."""

from typing import Any, NamedTuple

import pytest
import torch

from ohmweave.base import flatten_state, map_state, unflatten_state


class Inner(NamedTuple):
    g: torch.Tensor
    age: torch.Tensor


class Outer(NamedTuple):
    inner: Any
    stuck: torch.Tensor


def state() -> Outer:
    return Outer(Inner(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])), torch.tensor([True, False]))


def test_names_are_dotted_paths() -> None:
    assert list(flatten_state(state())) == ["inner.g", "inner.age", "stuck"]


def test_flatten_and_back() -> None:
    flat = {name: leaf + 1 for name, leaf in flatten_state(state()).items()}
    back = unflatten_state(state(), flat)
    assert isinstance(back, Outer)
    assert isinstance(back.inner, Inner)
    assert back.inner.g.tolist() == [2.0, 3.0]
    assert back.inner.age.tolist() == [4.0, 5.0]
    assert back.stuck.tolist() == [2, 1]


def test_a_missing_leaf_is_an_error() -> None:
    flat = flatten_state(state())
    del flat["inner.age"]
    with pytest.raises(KeyError, match=r"inner\.age"):
        unflatten_state(state(), flat)


def test_map_meets_leaves_in_the_same_places() -> None:
    seen: list[list[float]] = []

    def note(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        seen.append([*one.tolist(), *two.tolist()])
        return one

    map_state(note, state(), state())
    assert seen == [[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [True, False, True, False]]


class Sparse(NamedTuple):
    several: tuple[Inner, ...]
    absent: Inner | None
    leaf: torch.Tensor | None = None


def test_absent_parts_are_skipped_and_several_are_named_by_position() -> None:
    one, two = Inner(torch.ones(1), torch.zeros(1)), Inner(torch.ones(2), torch.zeros(2))
    state = Sparse((one, two), None)
    flat = flatten_state(state)
    assert list(flat) == ["several.0.g", "several.0.age", "several.1.g", "several.1.age"]
    back = unflatten_state(state, {name: leaf + 1 for name, leaf in flat.items()})
    assert (back.absent, back.leaf, type(back.several)) == (None, None, tuple)
    assert back.several[1].g.tolist() == [2.0, 2.0]
    doubled = map_state(torch.add, state, state)
    assert (doubled.absent, doubled.leaf) == (None, None)
    assert doubled.several[1].g.tolist() == [2.0, 2.0]
    assert map_state(torch.neg, Sparse((), None)) == Sparse((), None)

"""Fields of dataclasses whose range is declared in their annotation."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from ohmweave.base import OutOfRangeError, check_fields, finite, integer, non_negative, positive, zero_to_one


class Part:
    """An object that a field may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    g: Annotated[float, positive("S", at_most=1.0)] = 1e-6
    idle: Annotated[float, non_negative("S")] = 0.0
    shift: Annotated[float, finite("V", within=2.0)] = 0.0
    share: Annotated[float, zero_to_one()] = 0.5
    n: Annotated[int, integer(at_least=1, at_most=8)] = 1
    flag: bool = False
    word: Literal["a", "b"] = "a"
    copies: tuple[Annotated[int, integer(at_least=1)], Annotated[int, integer(at_least=1)]] = (1, 1)
    several: tuple[Annotated[float, positive()], ...] = ()
    clip: Literal["max"] | Annotated[float, positive()] | Part = "max"
    part: Part | None = None

    def __post_init__(self) -> None:
        check_fields(self)


def test_numbers_become_pythons_own() -> None:
    made = Example(
        g=np.float32(0.5),
        n=np.int64(3),  # type: ignore[arg-type]
        flag=np.bool_(True),  # type: ignore[arg-type]
        copies=[np.int32(2), 3],  # type: ignore[arg-type]
        several=[1, np.float64(2.5)],  # type: ignore[arg-type]
    )
    assert (made.g, type(made.g)) == (0.5, float)
    assert (made.n, type(made.n)) == (3, int)
    assert made.flag is True
    assert made.copies == (2, 3)
    assert made.several == (1.0, 2.5)
    assert [type(one) for one in (*made.copies, *made.several)] == [int, int, float, float]


def test_ends_of_the_ranges_are_accepted() -> None:
    Example(g=1.0, idle=0.0, shift=-2.0, share=0, n=8)
    Example(share=1, n=1, shift=2, idle=1e30)


@pytest.mark.parametrize("clip", ["max", 0.5, 2, np.float64(0.5), Part()])
def test_a_word_a_number_or_an_object(clip: Any) -> None:
    kept = Example(clip=clip).clip
    assert kept is clip or kept == clip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g": 0.0}, "`g` must be > 0 S, but is 0.0"),
        ({"g": 1.5}, "`g` must be at most 1 S, but is 1.5"),
        ({"g": float("nan")}, "`g` must be > 0 S, but is nan"),
        ({"g": True}, "`g` must be > 0 S, but is True"),
        ({"idle": -1e-9}, "`idle` must be >= 0 S, but is -1e-09"),
        ({"idle": float("inf")}, "`idle` must be >= 0 S"),
        ({"idle": 10**400}, "`idle` must be >= 0 S, but is 1000"),
        ({"shift": 2.5}, "`shift` must be from -2 to 2 V, but is 2.5"),
        ({"share": 50}, "`share` must be a fraction from 0 to 1"),
        ({"n": 0}, "`n` must be an integer >= 1, but is 0"),
        ({"n": 9}, "`n` must be an integer <= 8, but is 9"),
        ({"n": 2.0}, "`n` must be an integer >= 1, but is 2.0"),
        ({"n": True}, "`n` must be an integer >= 1, but is True"),
        ({"flag": 1}, "`flag` must be True or False, but is 1"),
        ({"word": "c"}, "`word` must be 'a' or 'b', but is 'c'"),
        ({"copies": (1,)}, "`copies` must be a tuple of 2"),
        ({"copies": (1, 0)}, r"`copies\[1\]` must be an integer >= 1, but is 0"),
        ({"several": (1.0, -1.0)}, r"`several\[1\]` must be > 0, but is -1.0"),
        ({"several": "ab"}, "`several` must be a tuple"),
        ({"clip": "min"}, "`clip` must be 'max'|`clip` must be .*'max'"),
        ({"clip": -1.0}, "`clip` must be > 0, but is -1.0"),
    ],
)
def test_values_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        Example(**changes)


def test_an_object_of_another_class_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="`part` must be a Part, but is 3"):
        Example(part=3)  # type: ignore[arg-type]

"""The arguments of a placement on a chip: checks."""

from collections.abc import Container, Sequence

from ohmweave.arrays import Corner
from ohmweave.base import OutOfRangeError, check_finite, check_integer, shown


def check_size(shape: tuple[int, int]) -> tuple[int, int]:
    """`shape` as two integers >= 1, or `OutOfRangeError`."""
    if not isinstance(shape, Sequence) or len(shape) != 2:
        raise OutOfRangeError(f"`shape` must be two sizes, but is {shown(shape)}")
    return check_integer("shape[0]", shape[0], at_least=1), check_integer("shape[1]", shape[1], at_least=1)


def check_gains(name: str, gains: Sequence[float]) -> tuple[float, ...]:
    """`gains` as a tuple of one or more finite factors, or `OutOfRangeError`."""
    if not isinstance(gains, Sequence) or isinstance(gains, str) or not gains:
        raise OutOfRangeError(f"`{name}` must be one or more factors, but is {shown(gains)}")
    return tuple(check_finite(f"{name}[{index}]", gain, within=1e6) for index, gain in enumerate(gains))


def check_indices(name: str, given: Sequence[int]) -> tuple[int, ...]:
    """`given` as a tuple of integers >= 0, or `OutOfRangeError`."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise OutOfRangeError(f"`{name}` must be a sequence of integers, but is {shown(given)}")
    return tuple(check_integer(f"{name}[{index}]", one, at_least=0) for index, one in enumerate(given))


def check_corners(corners: Sequence[Corner] | None) -> list[Corner] | None:
    """`corners` as a list of (array, row, column), or `OutOfRangeError`; None stays None."""
    if corners is None:
        return None
    if not isinstance(corners, Sequence) or isinstance(corners, str | bytes):
        raise OutOfRangeError(f"`corners` must be (array, row, column) for each tile, but is {shown(corners)}")
    found = []
    for index, corner in enumerate(corners):
        place = check_indices(f"corners[{index}]", corner)
        if len(place) != 3:
            raise OutOfRangeError(f"`corners[{index}]` must be (array, row, column), but is {shown(corner)}")
        found.append((place[0], place[1], place[2]))
    return found


def check_n_corners(corners: Sequence[Corner] | None, n_tiles: int) -> None:
    """Raise `OutOfRangeError` unless `corners` is None or has one for each of `n_tiles` tiles."""
    if corners is not None and len(corners) != n_tiles:
        raise OutOfRangeError(f"`corners` must be {n_tiles}, one for each tile, but are {len(corners)}")


def check_new_name(name: str, placed: Container[str]) -> None:
    """Raise `OutOfRangeError` unless `name` is text that is not in `placed`."""
    if not isinstance(name, str):
        raise OutOfRangeError(f"`name` must be text, but is {shown(name)}")
    if name in placed:
        raise OutOfRangeError(f"`name` must be new on this chip, but {shown(name)} is placed already")


def check_below(name: str, indices: Sequence[int], n: int) -> None:
    """Raise `OutOfRangeError` unless all `indices` are from 0 to `n` - 1."""
    for index in indices:
        if not 0 <= index < n:
            raise OutOfRangeError(f"`{name}` must be from 0 to {n - 1}, but has {index!r}")

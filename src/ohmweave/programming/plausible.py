"""Checks of a write's sizes in S against the conductance window of the array."""

from ohmweave.arrays import Array
from ohmweave.base import OutOfRangeError


def check_below_window(name: str, value: float, array: Array) -> None:
    """Raise `OutOfRangeError` unless `value`, S, is smaller than the conductance window of `array`.

    A tolerance as large as the window accepts every cell, and a step as large as it moves none to its target. The
    usual reason is a number in uS.

    Args:
        name: of the argument, for the message.
        value: S, > 0.
        array: whose `g_min` and `g_max` are the window.
    """
    window = array.g_max - array.g_min
    if value < window:
        return
    meant = f": did you mean {value:g} uS, {value:g}e-6?" if value >= 1e-3 and value * 1e-6 < window else ""
    raise OutOfRangeError(
        f"`{name}` must be smaller than the conductance window, {window:.3g} S, but is {value:g} S{meant}"
    )

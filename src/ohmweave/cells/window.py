"""The conductance window [g_min, g_max]: checks, and clamping of steps."""

from typing import Annotated, TypeAlias

import torch

from ohmweave.base import OutOfRangeError, check_non_negative, check_positive, finite, non_negative, positive

HIGHEST = 1.0
"""S, far above any memristor; usually a number in uS."""
VOLTS = 1e3
"""V, far above any voltage at a memristor."""

Siemens: TypeAlias = Annotated[float, non_negative("S", at_most=HIGHEST)]
"""A conductance, or the size of a change of conductance, as a field: from 0 to 1 S."""
Bound: TypeAlias = Annotated[float, positive("S")]
"""An end of the conductance window as a field; `check_window` compares both."""
Step: TypeAlias = Annotated[float, finite("S", within=HIGHEST)]
"""A change of conductance as a field: from -1 to 1 S."""


def check_window(g_min: float, g_max: float) -> None:
    """Raise `OutOfRangeError` unless 0 < g_min < g_max < 1, both in S."""
    check_positive("g_min", g_min, "S")
    check_positive("g_max", g_max, "S")
    if g_max >= 1:
        raise OutOfRangeError(
            f"`g_max` must be < 1 S, far above any memristor, but is {g_max!r} S: did you mean {g_max:g} uS, "
            f"{g_max:g}e-6?"
        )
    if not g_min < g_max:
        raise OutOfRangeError(f"`g_max` must be > g_min = {g_min!r} S, but is {g_max!r}")


def check_range(name: str, value: tuple[float, float]) -> None:
    """Raise `OutOfRangeError` unless `value` is (low, high) in S with 0 <= low <= high."""
    low, high = value
    check_non_negative(f"{name}[0]", low, "S")
    check_non_negative(f"{name}[1]", high, "S")
    if not low <= high:
        raise OutOfRangeError(f"`{name}` must be >= 0 S, low before high, but is {value!r}")


def keep_in_window(g: torch.Tensor, dg: torch.Tensor, g_min: float, g_max: float) -> torch.Tensor:
    """`g + dg` clamped to the window; a cell that relaxed out of the window may stay there, but not move further out.

    Args:
        g: S, any shape.
        dg: S, the same shape.
        g_min: S.
        g_max: S.
    """
    # The bounds of a cell outside the window are its own conductance and the far end of the window.
    lower = g.clamp(max=g_min)
    upper = g.clamp(min=g_max)
    return torch.minimum(torch.maximum(g + dg, lower), upper)

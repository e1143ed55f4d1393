"""Gate curves: the conductance after a compliance-limited SET as a function of the gate voltage."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Protocol, runtime_checkable

import torch

from ohmweave.base import OutOfRangeError, check_fields, finite, positive
from ohmweave.cells.window import HIGHEST, VOLTS, Siemens


@runtime_checkable
class GateCurve(Protocol):
    """Conductance after RESET and SET at a gate voltage; non-decreasing."""

    def conductance(self, v_gate: torch.Tensor) -> torch.Tensor:
        """The conductance, S, elementwise for `v_gate`, V, of any shape."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearGate:
    """g = max(slope * v_gate + offset, 0).

    Args:
        slope: S/V, > 0.
        offset: S, the value at v_gate = 0; negative for a transistor with a threshold.

    Raises:
        OutOfRangeError: `slope` is not > 0.
    """

    slope: Annotated[float, positive("S/V", at_most=HIGHEST)]
    offset: Annotated[float, finite("S", within=HIGHEST)] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    def conductance(self, v_gate: torch.Tensor) -> torch.Tensor:
        """The conductance, S, elementwise for `v_gate`, V, of any shape."""
        return (v_gate * self.slope + self.offset).clamp_min(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TabulatedGate:
    """A measured curve, interpolated linearly; outside the table the nearest end is used.

    Args:
        v_gate: V, increasing, at least two.
        g: S, one for each voltage, non-decreasing.

    Raises:
        OutOfRangeError: the table is not of this form.
    """

    v_gate: tuple[Annotated[float, finite("V", within=VOLTS)], ...]
    g: tuple[Siemens, ...]

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if len(self.v_gate) < 2 or any(high <= low for low, high in pairwise(self.v_gate)):
            raise OutOfRangeError(f"`v_gate` must be two or more rising voltages, but is {self.v_gate}")
        if len(self.g) != len(self.v_gate):
            raise OutOfRangeError(f"`g` must have {len(self.v_gate)} entries as `v_gate`, but has {len(self.g)}")
        if any(high < low for low, high in pairwise(self.g)):
            raise OutOfRangeError(f"`g` must be >= 0 S and never fall, but is {self.g}")

    def conductance(self, v_gate: torch.Tensor) -> torch.Tensor:
        """The conductance, S, elementwise for `v_gate`, V, of any shape."""
        at, g = v_gate.new_tensor(self.v_gate), v_gate.new_tensor(self.g)
        right = torch.searchsorted(at, v_gate.contiguous()).clamp(1, len(self.g) - 1)
        # Clamped to [0, 1]: outside the table `lerp` gives its nearest end.
        share = ((v_gate - at[right - 1]) / (at[right] - at[right - 1])).clamp(0, 1)
        return torch.lerp(g[right - 1], g[right], share)

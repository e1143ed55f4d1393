r"""Abrupt switching between two states: every pulse draws the conductance anew.

A SET leaves a cell at Q_s(\Phi(u)), a RESET at Q_r(\Phi(u)), whatever its conductance was, with the quantile function Q
of the measured conductances (linear between equally spaced quantiles) and

    u = \sqrt{\rho} a + \sqrt{1 - \rho} z,    a, z ~ N(0, 1),

a drawn once for each cell and polarity, z new for every pulse: \rho is the share of the cell (device to device) in the
scatter of the normal scores, the rest is cycle to cycle. The form, a Gaussian copula, is ours. It holds for pulses that
switch a cell whole, as those of endurance tests; it has no steps between, so write-verify chooses among draws.

Wear changes both states with the number n of SET pulses that a cell has got, by the factor (n / n_0)^d after n_0 of
them, with an exponent d for each state (ours; d = 0 is a cell without wear). A worn state stays inside the window of
all conductances that the quantiles hold, which `g_min` and `g_max` are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_fields, finite, positive, zero_to_one
from ohmweave.cells.laws import SwitchingLaw
from ohmweave.cells.pulse import Pulse
from ohmweave.cells.window import Siemens, check_window


class TwoStateState(NamedTuple):
    """Attributes: g: S; a_set, a_reset: normal scores of the cell, drawn at fabrication; n: SET pulses so far.

    The count is in float64, whose whole numbers are exact to 2^53.
    """

    g: torch.Tensor
    a_set: torch.Tensor
    a_reset: torch.Tensor
    n: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoState(SwitchingLaw[TwoStateState]):
    """Cells that every pulse switches whole, to a conductance drawn from that of its polarity.

    Args:
        g_set: S, equally spaced quantiles of the conductance after a SET, from the lowest to the highest, at least 2.
        g_reset: S, the same after a RESET.
        own_set: share of the cell in the variance of normal scores after a SET: 0 all cycle to cycle, 1 all cell to
            cell.
        own_reset: the same after a RESET.
        drift_set: exponent d of the state after a SET: at 10 n_0 pulses its conductance has changed by the factor 10^d.
        drift_reset: the same after a RESET.
        drift_from: n_0, SET pulses of a cell from which its states change.

    Raises:
        OutOfRangeError: quantiles fall, or the window from the lowest to the highest of all is empty.
    """

    g_set: tuple[Siemens, ...]
    g_reset: tuple[Siemens, ...]
    own_set: Annotated[float, zero_to_one()] = 0.0
    own_reset: Annotated[float, zero_to_one()] = 0.0
    drift_set: Annotated[float, finite(within=3.0)] = 0.0
    drift_reset: Annotated[float, finite(within=3.0)] = 0.0
    drift_from: Annotated[float, positive(at_least=1.0, at_most=1e15)] = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        for name, values in (("g_set", self.g_set), ("g_reset", self.g_reset)):
            if len(values) < 2 or any(b < a for a, b in pairwise(values)):
                raise OutOfRangeError(f"`{name}` must hold at least 2 quantiles that do not fall, but is {values}")
        check_window(self.g_min, self.g_max)

    def __repr__(self) -> str:
        """Medians and ranges; the tables themselves are attributes."""
        parts = [
            f"{word} {values[0]:.4g} to {values[-1]:.4g} S, median {values[len(values) // 2]:.4g} S"
            for word, values in (("SET", self.g_set), ("RESET", self.g_reset))
        ]
        drift = f", drift_set={self.drift_set:.3g}, drift_reset={self.drift_reset:.3g}" if self._drifts else ""
        return f"TwoState({', '.join(parts)}, own_set={self.own_set:.3g}, own_reset={self.own_reset:.3g}{drift})"

    @property
    def _drifts(self) -> bool:
        return bool(self.drift_set or self.drift_reset)

    @property
    def g_min(self) -> float:
        """S, the lowest conductance that a pulse leaves."""
        return min(self.g_set[0], self.g_reset[0])

    @property
    def g_max(self) -> float:
        """S, the highest conductance that a pulse leaves."""
        return max(self.g_set[-1], self.g_reset[-1])

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> TwoStateState:
        """Cells as after a RESET."""
        a_set, a_reset, z = (
            torch.empty(tuple(shape), dtype=dtype, device=device).normal_(generator=generator) for _ in range(3)
        )
        fresh = _drawn(self.g_reset, self.own_reset, a_reset, z)
        return TwoStateState(fresh, a_set, a_reset, torch.zeros_like(fresh, dtype=torch.float64))

    def step(self, state: TwoStateState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, from the present conductance to the one that is drawn."""
        z = torch.empty_like(state.g).normal_(generator=generator)
        up = _drawn(self.g_set, self.own_set, state.a_set, z)
        down = _drawn(self.g_reset, self.own_reset, state.a_reset, z)
        if self._drifts:
            worn = ((state.n + (pulse.polarity > 0)) / self.drift_from).clamp_min(1.0)
            up = up * worn.pow(self.drift_set).to(up.dtype)
            down = down * worn.pow(self.drift_reset).to(down.dtype)
        return torch.where(pulse.polarity > 0, up, down) - state.g

    def after_pulse(self, state: TwoStateState, g: torch.Tensor, pulse: Pulse, chosen: torch.Tensor) -> TwoStateState:
        """The cells that got a SET pulse have one more."""
        return state._replace(g=g, n=state.n + (chosen & (pulse.polarity > 0)))


def _drawn(quantiles: tuple[float, ...], own: float, a: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """The conductance, S, at the normal score of each cell."""
    score = own**0.5 * a + (1 - own) ** 0.5 * z
    at = torch.special.ndtr(score) * (len(quantiles) - 1)
    below = at.long().clamp_(0, len(quantiles) - 2)
    table = z.new_tensor(quantiles)
    return torch.lerp(table[below], table[below + 1], at - below)

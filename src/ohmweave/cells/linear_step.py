"""Linear steps: every pulse changes the conductance by exactly the same amount, up to a bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import check_fields, integer
from ohmweave.cells.laws import ConductanceState, SummedTrains, SwitchingLaw
from ohmweave.cells.pulse import Pulse
from ohmweave.cells.resolution import StepAt, check_resolved
from ohmweave.cells.window import Bound, check_window


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearStep(SwitchingLaw[ConductanceState], SummedTrains):
    """Ideal switching: `n` pulses of one polarity change g by exactly `n` steps of (g_max - g_min) / (levels - 1).

    No source: an ideal reference for real laws. With many levels the cell can be written to any value.

    Valid for: steps that the dtype of the cells resolves. Conductances are rounded to it after each pulse, in float32
    to 1e-7; `init_state` refuses levels whose steps are lost.

    Args:
        g_min, g_max: S, bounds of the window.
        levels: number of conductances that pulses can reach from a bound.

    Raises:
        OutOfRangeError: the window is empty or there are fewer than two levels.
    """

    g_min: Bound
    g_max: Bound
    levels: Annotated[int, integer(at_least=2)] = 2**16

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        check_window(self.g_min, self.g_max)

    @property
    def g_step(self) -> float:
        """The magnitude of one step, S."""
        return (self.g_max - self.g_min) / (self.levels - 1)

    @property
    def sums_trains(self) -> bool:
        """True: for equal steps of one sign, clamping the sum is the same as clamping each step."""
        return True

    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> ConductanceState:
        """All cells at `g_min`.

        Raises:
            OutOfRangeError: single steps would be lost to rounding in `dtype`.
        """
        del generator
        steps = StepAt("SET", self.g_step, self.g_min), StepAt("RESET", self.g_step, self.g_max)
        check_resolved("LinearStep", steps, dtype, remedy="take fewer `levels`")
        return ConductanceState(torch.full(tuple(shape), self.g_min, dtype=dtype, device=device))

    def step(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, one step up or down."""
        del generator
        return pulse.polarity.to(state.g.dtype) * self.g_step

    def train(self, state: ConductanceState, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, `n` steps up or down."""
        del generator
        steps = pulse.polarity if pulse.n is None else pulse.polarity * pulse.n
        return steps.to(state.g.dtype) * self.g_step

"""The interfaces of the parts of a cell. A part is a frozen dataclass of pure functions.

All functions are elementwise over tensors of any shape, in SI units, and return new tensors; they do not change their
arguments. Random numbers come from the generator that is passed in. `Cell` combines the parts.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import torch

from ohmweave.cells.pulse import Pulse

S = TypeVar("S", bound=tuple[Any, ...])


class ConductanceState(NamedTuple):
    """State of a switching law that has no other variable than the conductance. Attributes: g: S."""

    g: torch.Tensor


class SwitchingLaw(ABC, Generic[S]):
    """The change of a cell by one pulse. The state is a NamedTuple of tensors whose first is the conductance `g`, S.

    A law also has `g_min` and `g_max`, S: the window in which pulses change the (mean) conductance. They may be fields
    of the dataclass or properties.
    """

    __slots__ = ()

    feels_voltage: ClassVar[bool] = False
    """True if the law itself depends on `Pulse.v`; for most laws the cell's `voltage` describes this."""
    feels_gate: ClassVar[bool] = False
    """True if steps depend on `Pulse.v_gate`."""
    feels_width: ClassVar[bool] = False
    """True if steps depend on `Pulse.width`."""
    bounded: ClassVar[bool] = True
    """True if a step that would leave the window ends at its bound; False if only g >= 0 holds."""

    if TYPE_CHECKING:
        # Only for type checkers: a dataclass would take an inherited property for the default of its field.
        @property
        def g_min(self) -> float:
            """Lower end of the window, S."""

        @property
        def g_max(self) -> float:
            """Upper end of the window, S."""

    @property
    def disturbs_listed_cells(self) -> bool:
        """True if a call also disturbs the cells that it lists with polarity 0.

        For arrays whose drivers disturb half-selected cells: the caller lists those cells with polarity 0. A cell that
        is not listed never changes.
        """
        return False

    @abstractmethod
    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> S:
        """A fresh state of `shape`: as fabricated and formed, before any programming."""

    @abstractmethod
    def step(self, state: S, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """The change of conductance by one pulse without the bounds of the window, S.

        `pulse.n` is ignored. Values for cells of polarity 0 are ignored unless the law `disturbs_listed_cells`.
        """

    def after_pulse(self, state: S, g: torch.Tensor, pulse: Pulse, chosen: torch.Tensor) -> S:
        """The state after one pulse that has left the cells at `g`, S; `chosen`: bool, the cells that were pulsed.

        Laws with other state variables than the conductance override this.
        """
        del pulse, chosen
        return tuple.__new__(type(state), (g, *state[1:]))  # as _replace, in half the time


class SummedTrains(ABC):
    """Capability of a switching law: the change by a whole train as one sum instead of pulse by pulse."""

    __slots__ = ()

    @property
    @abstractmethod
    def sums_trains(self) -> bool:
        """True if trains are computed as one sum."""

    @abstractmethod
    def train(self, state: Any, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """The change of conductance by `pulse.n` pulses without the bounds of the window, S; 0 without a pulse."""


class DirectPulses(ABC):
    """Capability of a switching law: a faster computation of the state after a call, for steps that are not scaled.

    The result must be that of single calls of `step` and `after_pulse`, clamped to the window, with the same random
    numbers.
    """

    __slots__ = ()

    @abstractmethod
    def pulse(self, state: Any, pulse: Pulse, *, generator: torch.Generator) -> Any:
        """The state after `pulse.n` pulses."""


class SpreadLaw(ABC):
    """Device-to-device variation: the steps of each cell are multiplied by a factor that is drawn once."""

    __slots__ = ()

    @property
    @abstractmethod
    def scales_sums(self) -> bool:
        """True if the sum of a train may be scaled; False if each pulse must be scaled and clamped separately."""

    @abstractmethod
    def draw(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        """Factors of `shape`, dimensionless, >= 0."""


class VoltageLaw(ABC):
    """The dependence of steps on the voltage across the cell."""

    __slots__ = ()

    @abstractmethod
    def factor(self, polarity: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The factor of a step, dimensionless, at amplitudes `v`, V, in the shape of `v`."""


class RetentionLaw(ABC, Generic[S]):
    """A process that changes the conductance with time. The state is a NamedTuple of tensors."""

    __slots__ = ()

    @abstractmethod
    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> S:
        """State of fresh cells."""

    @abstractmethod
    def after_pulse(self, state: S, pulsed: torch.Tensor) -> S:
        """The state after a programming event; `pulsed`: bool, the cells that got a pulse."""

    @abstractmethod
    def relax(
        self, state: S, g: torch.Tensor, duration: float, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, S]:
        """The change of the conductances `g`, S, in `duration` s without pulses, S, and the state afterwards."""


class FaultLaw(ABC, Generic[S]):
    """Faulty cells, to which the other parts do not apply."""

    __slots__ = ()

    @abstractmethod
    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> S:
        """Draw which cells are faulty, and their properties."""

    @abstractmethod
    def conductance(self, state: S, g: torch.Tensor) -> torch.Tensor:
        """The conductance of each cell, S; `g`, S, is that by the other parts."""


class ConductionLaw(ABC):
    """Current through a cell that does not obey Ohm's law."""

    __slots__ = ()

    @abstractmethod
    def current(self, g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The current at `v` V, A, of cells of low-voltage conductance `g`, S; shapes broadcast."""


class ReadNoiseLaw(ABC):
    """Noise of a read."""

    __slots__ = ()

    @abstractmethod
    def sigma(self, g: torch.Tensor) -> torch.Tensor:
        """Standard deviation of the conductance in one read, S, >= 0, for cells of conductance `g`, S."""

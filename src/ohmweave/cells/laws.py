"""The parts of a cell: one interface for each. A part is a frozen dataclass of pure functions.

All functions are elementwise over tensors of any shape, in SI units, return new tensors and leave their arguments as
they were. What is random is drawn from the generator that is passed in. `Cell` puts the parts together.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import torch

from ohmweave.cells.pulse import Pulse

S = TypeVar("S", bound=tuple[Any, ...])


class ConductanceState(NamedTuple):
    """State of a switching law whose conductance is all there is. Attributes: g: S."""

    g: torch.Tensor


class SwitchingLaw(ABC, Generic[S]):
    """What one pulse does to a cell. State is a NamedTuple of tensors, the first of which is the conductance `g`, S.

    A law also has `g_min` and `g_max`, S: the window, between which pulses move the (mean) conductance. They may be
    fields of the dataclass or properties.
    """

    __slots__ = ()

    feels_voltage: ClassVar[bool] = False
    """True if steps depend on `Pulse.v` by the law itself; most laws leave that to the cell's `voltage`."""
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
            """S."""

        @property
        def g_max(self) -> float:
            """S."""

    @property
    def disturbs_listed_cells(self) -> bool:
        """True if a pulse call also disturbs the cells that it lists with polarity 0.

        For arrays whose drivers reach half-selected cells: the caller lists those cells with polarity 0. A cell that
        a call does not list is never changed.
        """
        return False

    @abstractmethod
    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> S:
        """A fresh state of `shape`: as fabricated and formed, before any programming."""

    @abstractmethod
    def step(self, state: S, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, how far one pulse would move each cell if the window had no end.

        `pulse.n` is not looked at. What is returned for cells of polarity 0 is not used, unless the law
        `disturbs_listed_cells`.
        """

    def after_pulse(self, state: S, g: torch.Tensor, pulse: Pulse, chosen: torch.Tensor) -> S:
        """The state once one pulse has left the cells at `g`, S; `chosen`: bool, the cells that it was sent to.

        Laws that remember more than a conductance override this.
        """
        del pulse, chosen
        return tuple.__new__(type(state), (g, *state[1:]))  # as _replace, in half the time


class SummedTrains(ABC):
    """Capability of a switching law: a whole train as one sum, in place of pulse by pulse."""

    __slots__ = ()

    @property
    @abstractmethod
    def sums_trains(self) -> bool:
        """True if trains are to be sent as one sum."""

    @abstractmethod
    def train(self, state: Any, pulse: Pulse, *, generator: torch.Generator) -> torch.Tensor:
        """S, how far `pulse.n` pulses would move each cell if the window had no end; 0 without a pulse."""


class DirectPulses(ABC):
    """Capability of a switching law: its own fast way to the state after a call, where nothing scales its steps.

    It must do what single calls of `step` and `after_pulse` do, kept in the window, with the same random numbers.
    """

    __slots__ = ()

    @abstractmethod
    def pulse(self, state: Any, pulse: Pulse, *, generator: torch.Generator) -> Any:
        """The state after `pulse.n` pulses."""


class SpreadLaw(ABC):
    """How cells differ: each cell's steps are multiplied by a factor that is drawn once."""

    __slots__ = ()

    @property
    @abstractmethod
    def scales_sums(self) -> bool:
        """True if the sum of a train may be scaled; False if each of its pulses is to be scaled and kept in turn."""

    @abstractmethod
    def draw(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        """Factors of `shape`, dimensionless, >= 0."""


class VoltageLaw(ABC):
    """How steps depend on the voltage across the cell."""

    __slots__ = ()

    @abstractmethod
    def factor(self, polarity: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """What a step is multiplied by, dimensionless, for amplitudes `v`, V, in the shape of `v`."""


class RetentionLaw(ABC, Generic[S]):
    """One process that moves the conductance with time. State is a NamedTuple of tensors."""

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
        """What `duration` s without pulses adds to the conductances `g`, S, and the state after them."""


class FaultLaw(ABC, Generic[S]):
    """Cells that do not do what the other parts say."""

    __slots__ = ()

    @abstractmethod
    def init_state(
        self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
    ) -> S:
        """Which cells are faulty, and how."""

    @abstractmethod
    def conductance(self, state: S, g: torch.Tensor) -> torch.Tensor:
        """S, of each cell, where `g`, S, is what the other parts say."""


class ConductionLaw(ABC):
    """Current through a cell that does not obey Ohm's law."""

    __slots__ = ()

    @abstractmethod
    def current(self, g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """A, at `v` V, of cells whose conductance at low voltage is `g`, S."""


class ReadNoiseLaw(ABC):
    """Noise of a read."""

    __slots__ = ()

    @abstractmethod
    def sigma(self, g: torch.Tensor) -> torch.Tensor:
        """S, >= 0, standard deviation of the conductance that one read sees, for cells of conductance `g`, S."""

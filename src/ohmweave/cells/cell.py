r"""The cell: a switching law and the other parts of a memristor, combined in one fixed order.

One pulse changes the conductance g by

    \Delta g = s \cdot f \cdot u(v),

with the step s of the switching law, the factor f of the cell (spread), and the factor u of the voltage across it. The
result is clamped to the window. Time then changes it (retention, one process after another), faults replace it, and
reads depend on it through conduction (the current at a voltage) and read noise. A part that is None is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, NamedTuple

import torch

from ohmweave.base import OutOfRangeError, check_non_negative
from ohmweave.cells.laws import (
    ConductionLaw,
    DirectPulses,
    FaultLaw,
    ReadNoiseLaw,
    RetentionLaw,
    SpreadLaw,
    SummedTrains,
    SwitchingLaw,
    VoltageLaw,
)
from ohmweave.cells.pulse import Pulse, pulse_count
from ohmweave.cells.read_noise import ReadNoise
from ohmweave.cells.window import keep_in_window

_KINDS: dict[str, type] = {
    "spread": SpreadLaw,
    "voltage": VoltageLaw,
    "faults": FaultLaw,
    "conduction": ConductionLaw,
    "read_noise": ReadNoiseLaw,
}


class CellState(NamedTuple):
    """State of cells, tensors of one shape.

    Attributes:
        switching: state of the switching law; its `g` is the conductance without faults, S.
        factor: factor of the steps of each cell; None without a spread.
        retention: state of each process.
        faults: state of the faults; None without any.
    """

    switching: Any
    factor: torch.Tensor | None = None
    retention: tuple[Any, ...] = ()
    faults: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A memristor: pure functions of a state, elementwise over cells of any shape.

    The parts act in the order of the module's docstring.

    Args:
        switching: the change of conductance by one pulse.
        spread, voltage: device-to-device variation of the steps, and their dependence on the cell's voltage; None: all
            cells are equal, and pulses must not give a voltage.
        retention: changes of a written cell with time, one process or a tuple, applied in this order; () for none.
        faults: cells that do not respond to pulses; conduction and read noise apply to them too.
        conduction: current-voltage characteristic; None: Ohm's law.
        read_noise: noise of each read; None: reads are exact.

    Raises:
        TypeError: a part is not of its kind.
        OutOfRangeError: the window of the switching law is not 0 <= g_min < g_max.
    """

    switching: SwitchingLaw[Any] = field(kw_only=False)
    spread: SpreadLaw | None = None
    voltage: VoltageLaw | None = None
    retention: tuple[RetentionLaw[Any], ...] | RetentionLaw[Any] = ()
    faults: FaultLaw[Any] | None = None
    conduction: ConductionLaw | None = None
    read_noise: ReadNoiseLaw | None = None

    def __post_init__(self) -> None:
        """Check the parts and wrap a single process."""
        if not isinstance(self.switching, SwitchingLaw):
            raise TypeError(_wanted("switching", "a SwitchingLaw, such as PulseTable", self.switching))
        for name, kind in _KINDS.items():
            part = getattr(self, name)
            if part is not None and not isinstance(part, kind):
                raise TypeError(_wanted(name, f"a {kind.__name__} or None", part))
        processes = (self.retention,) if isinstance(self.retention, RetentionLaw) else tuple(self.retention)
        for process in processes:
            if not isinstance(process, RetentionLaw):
                raise TypeError(_wanted("retention", "a RetentionLaw or a tuple of them", process))
        object.__setattr__(self, "retention", processes)
        check_non_negative("g_min", self.g_min, "S")
        if not self.g_min < self.g_max:
            raise OutOfRangeError(f"`g_max` must be > g_min = {self.g_min!r} S, but is {self.g_max!r}")
        if isinstance(self.read_noise, ReadNoise) and self.read_noise.floor >= self.g_max:
            floor = self.read_noise.floor
            raise OutOfRangeError(
                f"`floor` of the read noise must be below g_max = {self.g_max!r} S, but is {floor!r} S: did you mean "
                f"{floor:g} uS, {floor:g}e-6?"
            )

    def __repr__(self) -> str:
        """The switching law in one line, and the other parts in the next."""
        names = ("spread", "voltage", "retention", "faults", "conduction", "read_noise")
        parts = ", ".join(f"{name}={part!r}" for name in names if (part := getattr(self, name)) not in (None, ()))
        return f"Cell({self.switching!r}" + (f",\n  {parts})" if parts else ")")

    @classmethod
    def of(cls, cell: "Cell | SwitchingLaw[Any]") -> "Cell":
        """`cell` itself, or a cell that is a switching law and nothing else.

        Raises:
            TypeError: `cell` is neither; the message says what to write.
        """
        if isinstance(cell, Cell):
            return cell
        if isinstance(cell, SwitchingLaw):
            return cls(cell)
        raise TypeError(_wanted("cell", "a Cell or a SwitchingLaw", cell))

    @property
    def g_min(self) -> float:
        """S, the lowest conductance that pulses can reach."""
        return self.switching.g_min

    @property
    def g_max(self) -> float:
        """S, the highest (mean) conductance that pulses can reach."""
        return self.switching.g_max

    @property
    def is_ohmic(self) -> bool:
        """True if currents are proportional to voltages."""
        return self.conduction is None

    @property
    def feels_voltage(self) -> bool:
        """True if a pulse may give its amplitude, `Pulse.v`."""
        return self.voltage is not None or self.switching.feels_voltage

    @property
    def feels_gate(self) -> bool:
        """True if a pulse may give a gate voltage, `Pulse.v_gate`."""
        return self.switching.feels_gate

    @property
    def feels_width(self) -> bool:
        """True if a pulse may give its width, `Pulse.width`."""
        return self.switching.feels_width

    @property
    def disturbs_listed_cells(self) -> bool:
        """True if a pulse call also disturbs the cells that it lists with polarity 0 (see `SwitchingLaw`)."""
        return self.switching.disturbs_listed_cells

    @property
    def processes(self) -> tuple[RetentionLaw[Any], ...]:
        """`retention`, always as a tuple."""
        return self.retention  # type: ignore[return-value]

    def init_state(
        self,
        shape: Sequence[int],
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> CellState:
        """Fresh cells: as fabricated and formed, before any programming.

        Args:
            shape: of the cells.
            generator: of the random properties of the cells; on `device`.
            dtype: of conductances and factors; ages have the type of their process, as a rule float64.
            device: of the tensors; None: that of the generator.
        """
        # The order of the draws is fixed: same seed, same cells.
        shape = tuple(shape)
        place: dict[str, Any] = {
            "generator": generator,
            "dtype": dtype,
            "device": torch.device(device or generator.device),
        }
        return CellState(
            switching=self.switching.init_state(shape, **place),
            factor=None if self.spread is None else self.spread.draw(shape, **place),
            retention=tuple(process.init_state(shape, **place) for process in self.processes),
            faults=None if self.faults is None else self.faults.init_state(shape, **place),
        )

    def conductance(self, state: CellState) -> torch.Tensor:
        """The present low-voltage conductance, S, without read noise, in the shape of the cells."""
        g: torch.Tensor = state.switching.g
        return g if self.faults is None else self.faults.conductance(state.faults, g)

    def current(self, state: CellState, v: torch.Tensor) -> torch.Tensor:
        """The current at `v` V across the cells, A, without read noise; `v` broadcasts against the cells.

        Faulty cells have the same characteristic as others.
        """
        g = self.conductance(state)
        return g * v if self.conduction is None else self.conduction.current(g, v)

    def read_noise_sigma(self, state: CellState) -> torch.Tensor | None:
        """Standard deviation of the conductance in one read, S, in the shape of the cells; None if reads are exact.

        Faulty cells have the same noise as others: it depends on their conductance and on the read circuit.
        """
        return None if self.read_noise is None else self.read_noise.sigma(self.conductance(state))

    def pulse(self, state: CellState, pulse: Pulse, *, generator: torch.Generator) -> CellState:
        """The state after `pulse`.

        Cells with polarity 0 keep their state. The exception is a law that `disturbs_listed_cells`: it also changes the
        conductances of cells that are listed with polarity 0.

        Args:
            state: of the cells.
            pulse: fields of the shape of the cells.
            generator: of the cycle-to-cycle noise; on the device of the state.

        Raises:
            OutOfRangeError: the pulse has a `v`, `v_gate` or `width` and the cell does not respond to it.
        """
        if pulse.v is not None or pulse.v_gate is not None or pulse.width is not None:
            self.check_pulse(pulse)
        switching = self._switched(state, pulse, generator)
        if not self.retention:
            return CellState(switching, state.factor, state.retention, state.faults)  # faster than _replace
        pulsed = pulse.polarity != 0 if pulse.n is None else (pulse.polarity != 0) & (pulse.n > 0)
        aged = tuple(
            process.after_pulse(past, pulsed) for process, past in zip(self.processes, state.retention, strict=True)
        )
        return state._replace(switching=switching, retention=aged)

    def relax(self, state: CellState, duration: float, *, generator: torch.Generator) -> CellState:
        """The state after `duration` s without pulses."""
        duration = check_non_negative("duration", duration, "s")
        if not self.retention:
            return state
        g: torch.Tensor = state.switching.g
        aged = []
        for process, past in zip(self.processes, state.retention, strict=True):
            dg, present = process.relax(past, g, duration, generator=generator)
            # Time may carry a cell out of the window, but not below 0 S. The next process starts from this value.
            g = (g + dg).clamp_min_(0)
            aged.append(present)
        return state._replace(switching=state.switching._replace(g=g), retention=tuple(aged))

    def shift_conductance(self, state: CellState, dg: torch.Tensor) -> CellState:
        """The state with conductances changed by `dg`, S, in the shape of the cells, and clamped at zero.

        The conductances of faulty cells do not change.
        """
        g = (state.switching.g + dg).clamp_min(0)
        return state._replace(switching=state.switching._replace(g=g))

    def check_pulse(self, pulse: Pulse) -> None:
        """Raise `OutOfRangeError` if `pulse` has a voltage, gate voltage or width that this cell ignores."""
        if pulse.v is not None and not self.feels_voltage:
            raise OutOfRangeError(_unfelt("v", "its steps do not depend on the voltage: give the cell a `voltage` law"))
        if pulse.v_gate is not None and not self.feels_gate:
            raise OutOfRangeError(_unfelt("v_gate", "its switching law has no gate: use one such as GateCompliance"))
        if pulse.width is not None and not self.feels_width:
            raise OutOfRangeError(_unfelt("width", "its switching law holds for pulses of one width"))

    def _switched(self, state: CellState, pulse: Pulse, generator: torch.Generator) -> Any:
        """State of the switching law after the pulse, by the fastest computation that is equivalent to single steps."""
        law, scale = self.switching, self._scale(state, pulse)
        # Without a factor for each cell the law may compute the state after the pulse itself, without single steps.
        if scale is None and isinstance(law, DirectPulses):
            return law.pulse(state.switching, pulse, generator=generator)
        # The factor of a voltage can be far from 1, and then a scaled sum is not the sum of scaled steps.
        if pulse.v is None and isinstance(law, SummedTrains) and sums_trains(self):
            dg = law.train(state.switching, pulse, generator=generator)
            return state.switching._replace(g=_kept(law, state.switching.g, dg, scale))
        return self._one_by_one(state.switching, pulse, scale, generator)

    def _scale(self, state: CellState, pulse: Pulse) -> torch.Tensor | None:
        """The factor of the steps of each cell, spread times voltage; None for 1."""
        if pulse.v is None or self.voltage is None:
            return state.factor
        g = state.switching.g
        grown = self.voltage.factor(pulse.polarity, pulse.v.to(g)).to(g.dtype)
        return grown if state.factor is None else state.factor * grown

    def _one_by_one(self, state: Any, pulse: Pulse, scale: torch.Tensor | None, generator: torch.Generator) -> Any:
        """Pulse after pulse: each step is scaled and clamped to the window before the next is drawn."""
        law = self.switching
        disturbs = law.disturbs_listed_cells
        # Cells may get different numbers of pulses: pulse k goes to those that have more than k left.
        left = pulse.polarity != 0 if pulse.n is None else pulse_count(pulse)
        n_pulses = int(left.max()) if left.numel() else 0
        for k in range(1 if disturbs and pulse.n is None else n_pulses):
            chosen = left if pulse.n is None else left > k
            # A law that disturbs cells needs the polarities of this pulse; the steps of other laws are masked below.
            one = pulse._replace(polarity=torch.where(chosen, pulse.polarity, 0), n=None) if disturbs else pulse
            kept = _kept(law, state.g, law.step(state, one, generator=generator), scale)
            state = law.after_pulse(state, kept if disturbs else torch.where(chosen, kept, state.g), one, chosen)
        return state


def sums_trains(cell: Cell) -> bool:
    """True if a train of pulses without `v` is one change of the cells: its length then costs nothing.

    If steps depend on the conductance, a scaled sum is not the sum of scaled steps. A `Spread` may permit this
    approximation for factors near 1.
    """
    law = cell.switching
    scales = cell.spread is None or cell.spread.scales_sums
    return scales and isinstance(law, SummedTrains) and law.sums_trains


def _kept(law: SwitchingLaw[Any], g: torch.Tensor, step: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    dg = step if scale is None else step * scale
    # The factor acts on the step before the window cuts it: the window is a property of the material.
    if law.bounded:
        return keep_in_window(g, dg, law.g_min, law.g_max)
    return (g + dg).clamp_min(0)


def _unfelt(name: str, why: str) -> str:
    return f"`pulse.{name}` must be None for this cell, but is given: {why}"


def _wanted(name: str, kind: str, value: object) -> str:
    """The message for a part of the wrong kind, with the remedy for common mistakes."""
    must = f"`{name}` must be {kind}, but is"
    if isinstance(value, Cell):
        return f"{must} a Cell: add a part to a cell with dataclasses.replace(cell, part=...)"
    if isinstance(value, type):
        return f"{must} the class {value.__name__}: give it its arguments"
    if isinstance(value, FunctionType):
        return f"{must} the function {value.__name__}: call it, {value.__name__}()"
    if isinstance(value, str):
        return f"{must} {value!r}: ohmweave.cells.find(name)() is a published cell, ohmweave.cells.load(path) a file's"
    return f"{must} {value!r}"

"""Limits of what may be sent to a chip, and the checks of requests against them."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays import Placement
from ohmweave.base import OhmweaveError, OutOfRangeError, check_fields, integer, non_negative, positive
from ohmweave.bench.station import NominalPulse
from ohmweave.cells import Pulse

ROUNDING = 1 + 1e-5
"""Read voltages are products in single precision; what is beyond a limit by rounding is cut to it, not refused."""


class LimitError(OhmweaveError):
    """A request is over a limit; nothing was done. Never retry it: the same request is over the limit again.

    Attributes:
        limit: name of the limit, a field of `Limits`.
        cell: address of the cell; None where the limit is not that of a cell.
        value: what was requested, in the limit's unit.
    """

    def __init__(self, message: str, *, limit: str, value: float, cell: int | None = None) -> None:
        super().__init__(message)
        self.limit, self.value, self.cell = limit, value, cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest requests that pass; a request at a limit passes. None: not limited.

    Attributes:
        v_max: V, magnitude of any voltage at a line: of reads and of pulses.
        v_read_max: V, magnitude of read voltages.
        v_gate_max: V, magnitude of gate voltages of pulses.
        t_min: s, narrowest pulse.
        t_max: s, widest pulse.
        i_max: A, compliance. The instrument enforces it, so the array must have one (`bench.Compliance`).
        pulses_per_cell: pulses of both polarities that a cell gets in its life on this array.
        pulses: pulses of all cells together.
        temperature: K, lowest and highest temperature at which anything is sent; needs a thermometer.
        temperature_period: s, after which the temperature is measured again.
        forbidden: addresses of cells that are never pulsed, read out, or part of a matrix that is read.

    Raises:
        OutOfRangeError: a limit is out of range, or a lower limit is above the upper one.
    """

    v_max: Annotated[float, positive("V", at_most=1000.0)] | None = None
    v_read_max: Annotated[float, positive("V", at_most=1000.0)] | None = None
    v_gate_max: Annotated[float, positive("V", at_most=1000.0)] | None = None
    t_min: Annotated[float, positive("s", at_most=1000.0)] | None = None
    t_max: Annotated[float, positive("s", at_most=1000.0)] | None = None
    i_max: Annotated[float, positive("A")] | None = None
    pulses_per_cell: Annotated[int, integer(at_least=0)] | None = None
    pulses: Annotated[int, integer(at_least=0, at_most=2**62)] | None = None
    temperature: tuple[Annotated[float, non_negative("K")], Annotated[float, positive("K")]] | None = None
    temperature_period: Annotated[float, non_negative("s")] = 1.0
    forbidden: tuple[Annotated[int, integer(at_least=0)], ...] = ()

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        for low, high, names, unit in (
            (self.t_min, self.t_max, ("t_min", "t_max"), "s"),
            (*(self.temperature or (None, None)), ("temperature[0]", "temperature[1]"), "K"),
        ):
            if low is not None and high is not None and low > high:
                raise OutOfRangeError(f"`{names[0]}` must be <= `{names[1]}` = {high:g} {unit}, but is {low:g} {unit}")

    @property
    def of_pulses(self) -> bool:
        """True if amplitudes or widths of pulses are limited."""
        return (self.v_max, self.t_min, self.t_max) != (None, None, None)

    @property
    def v_reads(self) -> float | None:
        """V, the smaller of the two limits of read voltages; None without."""
        given = [one for one in (self.v_max, self.v_read_max) if one is not None]
        return min(given) if given else None

    def passes(self, nominal: NominalPulse | None) -> bool:
        """True if no nominal pulse is over a limit, so that pulses without own fields need no look."""
        if nominal is None:
            return not self.of_pulses
        v, t = (nominal.v_set, nominal.v_reset), (nominal.t_set, nominal.t_reset)
        return (
            (self.v_max is None or max(v) <= self.v_max)
            and (self.t_max is None or max(t) <= self.t_max)
            and (self.t_min is None or min(t) >= self.t_min)
        )

    def check_cells(self, cells: torch.Tensor, forbidden: NDArray[np.bool_] | None) -> None:
        """Raise `LimitError` if one of `cells`, any shape, is in `forbidden`, `(n_cells,)` bool; None: none is."""
        if forbidden is None or not cells.numel():
            return
        hit = forbidden[cells.cpu().numpy()]  # NumPy: for a few cells, several times as fast as torch
        if hit.any():
            cell = int(cells.reshape(-1)[int(np.flatnonzero(hit)[0])])
            raise LimitError(f"cell {cell} must not be touched (`forbidden`)", limit="forbidden", value=cell, cell=cell)

    def within(self, name: str, v: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Read voltages `v`, any shape, V, that pass; those over the limit by rounding are cut to it.

        Raises:
            LimitError: a voltage is over the limit, or is NaN.
        """
        limit = self.v_reads
        if limit is None or not v.numel():
            return v
        gain = max(map(abs, placement.col_gain if name == "v_col" else placement.row_gain))
        low, high = torch.aminmax(v.detach() if v.requires_grad else v)
        largest = max(-float(low), float(high)) * gain
        if largest <= limit:
            return v
        if largest <= limit * ROUNDING:
            # The nearest number of this dtype may itself be above the limit: the one below it is not.
            cut = v.new_tensor(limit / gain)
            if float(cut) * gain > limit:
                cut = torch.nextafter(cut, torch.zeros_like(cut))
            return v.clamp(-float(cut), float(cut))
        which = "v_read_max" if limit == self.v_read_max else "v_max"
        raise LimitError(
            f"`{name}` must be at most {limit:g} V at every line (`{which}`), but is {largest:.6g} V for {placement!r}",
            limit=which,
            value=largest,
        )

    def check_pulse(self, cells: torch.Tensor, pulse: Pulse, nominal: NominalPulse | None) -> None:
        """Raise `LimitError` if the amplitude, width or gate voltage of a pulse is over a limit.

        Args:
            cells: `(k,)` addresses.
            pulse: fields `(k,)`.
            nominal: pulses without amplitude or width; must be given if these are limited.
        """
        sent = pulse.polarity != 0 if pulse.n is None else (pulse.polarity != 0) & (pulse.n != 0)
        if self.v_max is not None:
            v = pulse.v if pulse.v is not None or nominal is None else _nominal(pulse, nominal.v_set, nominal.v_reset)
            _check_field("v_max", v, None, self.v_max, cells, sent)
        if self.t_min is not None or self.t_max is not None:
            t = pulse.width
            if t is None and nominal is not None:
                t = _nominal(pulse, nominal.t_set, nominal.t_reset)
            _check_field("t_max", t, self.t_min, self.t_max, cells, sent)
        if self.v_gate_max is not None:
            _check_field("v_gate_max", pulse.v_gate, None, self.v_gate_max, cells, sent)


def _nominal(pulse: Pulse, of_set: float, of_reset: float) -> torch.Tensor:
    """`(k,)` float64: the nominal value of each pulse, by its polarity."""
    both = torch.tensor([of_set, of_reset], dtype=torch.float64, device=pulse.polarity.device)
    return torch.where(pulse.polarity > 0, both[0], both[1])


def _check_field(
    name: str, x: torch.Tensor | None, low: float | None, high: float | None, cells: torch.Tensor, sent: torch.Tensor
) -> None:
    """Raise `LimitError` for the first cell that is `sent` a pulse with a value of `x`, `(k,)`, outside the limits."""
    if x is None:
        return
    size = x.abs()
    passes = torch.ones_like(sent)
    if high is not None:
        passes &= size <= _in_dtype(high, x)
    if low is not None:
        passes &= size >= _in_dtype(low, x)
    wrong = sent & ~passes  # NaN is wrong as well
    if not bool(wrong.any()):
        return
    index = int(wrong.nonzero()[0, 0])
    cell, value, unit = int(cells[index]), float(size[index]), "s" if name == "t_max" else "V"
    below = low is not None and value < low
    limit, bound = ("t_min", low) if below else (name, high)
    raise LimitError(
        f"cell {cell} must get {'at least' if below else 'at most'} {bound:g} {unit} (`{limit}`), but would get "
        f"{value:.6g} {unit}",
        limit=limit,
        value=value,
        cell=cell,
    )


def _in_dtype(limit: float, x: torch.Tensor) -> torch.Tensor:
    """A limit rounded as `x` is: 1.2 V in single precision is at a limit of 1.2 V."""
    return torch.tensor(limit, dtype=x.dtype if x.is_floating_point() else torch.float64, device=x.device)

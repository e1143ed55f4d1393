"""Pulses sent by an array: from amplitudes at the drivers to the voltages across its cells."""

from collections.abc import Callable
from typing import Protocol

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.writes.access import Access, Passive, amplitude, one_at_a_time, passive_voltages, rounds
from ohmweave.arrays.writes.wiring import Wiring
from ohmweave.base import OutOfRangeError, ShapeError, check_integer, shown
from ohmweave.base.checks import MOST
from ohmweave.cells import Cell, Pulse
from ohmweave.cells.cell import sums_trains

MAX_SINGLE = 2**16
"""Largest number of pulses that one call sends to a cell one by one: longer trains take several calls."""


class Writer(Protocol):
    """A way of sending pulses to the cells of a bank."""

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send `pulse` to `cells`, `(k,)`, each at most once."""
        ...


class DirectWriter:
    """Without wires: every cell receives its pulse unchanged.

    Args:
        bank: the cells.
    """

    def __init__(self, bank: CellBank) -> None:
        self._bank = bank

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send `pulse` to `cells`, `(k,)`."""
        self._bank.switch(cells, pulse)


class SelectedWriter:
    """1T1R: a cell selected by its transistor conducts alone, in series with the resistance of its path.

    Args:
        bank: the cells.
        wiring: around them.
    """

    def __init__(self, bank: CellBank, wiring: Wiring) -> None:
        self._bank, self._wiring = bank, wiring

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send `pulse` to `cells`, `(k,)`, reduced by the drop along the path; unchanged if it has no amplitude."""
        if pulse.v is None and self._wiring.access.v_set is None:
            self._bank.switch(cells, pulse)
            return
        for one in one_at_a_time(pulse):
            g = self._bank.conductance_of(cells)
            self._bank.switch(cells, self._wiring.pulse_alone(cells, one, g))


class PassiveWriter:
    """1R: one cell after another, all arrays in parallel; cells on the selected lines see part of the amplitude.

    Args:
        bank: the cells.
        wiring: around them.
        access: amplitudes, and the bias of the lines that are not selected.
    """

    def __init__(self, bank: CellBank, wiring: Wiring, access: Passive) -> None:
        self._bank, self._wiring, self._access = bank, wiring, access

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send `pulse` to `cells`, `(k,)`, in rounds of one cell per array; each round is solved as a circuit."""
        bank = self._bank
        for one in one_at_a_time(pulse):
            hit = one.polarity != 0
            v = amplitude(self._access, one, torch.zeros(cells.shape, dtype=torch.float64, device=bank.device))
            assert v is not None
            # The sign of the voltage is the polarity: half-selected cells see it as well.
            v = (v * one.polarity.sign())[hit]
            for array, row, col, chosen in rounds(cells[hit], rows=bank.rows, cols=bank.cols):
                at = bank.of_arrays(array)
                # Read anew in each round: the pulses before have changed the circuit.
                g = bank.conductance_of(at)
                v_cell = passive_voltages(g, row, col, v[chosen], self._wiring.wires, self._access.scheme).flatten()
                # Every cell of the array is switched by the voltage that it really sees, after wires and sneak paths.
                bank.switch(at.flatten(), Pulse(v_cell.sign(), v=v_cell.abs().to(g.dtype)))


def max_train(cell: Cell, access: Access | None, pulse: Pulse) -> int:
    """Largest number of pulses to one cell in a call: fewer where they are sent one by one."""
    one_by_one = pulse.v is not None or (access is not None and access.v_set is not None)
    return MAX_SINGLE if one_by_one or not sums_trains(cell) else MOST


def writer_for(bank: CellBank, wiring: Wiring | None) -> Writer:
    """The writer for the cells of `bank` with this `wiring`."""
    if wiring is None:
        return DirectWriter(bank)
    if isinstance(wiring.access, Passive):
        return PassiveWriter(bank, wiring, wiring.access)
    return SelectedWriter(bank, wiring)


def count_pulses(
    cells: torch.Tensor,
    pulse: Pulse,
    *,
    n_cells: int,
    distinct: Callable[[torch.Tensor], bool] | None = None,
    max_train: Callable[[Pulse], int] | None = None,
) -> tuple[int, int]:
    """Check the arguments of `Array.pulse`, and count the pulses.

    Args:
        cells: `(k,)` int64.
        pulse: each field `(k,)`.
        n_cells: number of addressable cells, of all chips.
        max_train: gives the largest number of pulses to one cell, for a pulse with `n`; None: the bound of integers.
        distinct: a faster test of whether no cell is listed twice, if the array has one; None: they are sorted.

    Returns:
        The numbers of SET and RESET pulses.

    Raises:
        ShapeError: `cells` is not `(k,)`, or a field has another shape.
        OutOfRangeError: `cells` are not int64 or a field is no tensor, a polarity is not -1, 0 or 1, a count is
            negative or not whole, an amplitude is not finite, a pulse has an amplitude or width that is not > 0, or an
            index is not that of a cell or is listed twice.
    """
    check_integer("n_cells", n_cells, at_least=1)
    check_addresses(cells, n_cells=n_cells)
    if cells.dim() != 1:
        raise ShapeError(f"`cells` must have the shape (k,), but has {tuple(cells.shape)}")
    if not isinstance(pulse, Pulse):
        raise TypeError(f"`pulse` must be a Pulse, but is a {type(pulse).__name__}")
    for name, field in pulse._asdict().items():
        if field is not None and not isinstance(field, torch.Tensor):
            raise OutOfRangeError(f"`pulse.{name}` must be a tensor, but is {shown(field)}")
        if field is not None and field.shape != cells.shape:
            raise ShapeError(
                f"`pulse.{name}` must have the shape of `cells`, {tuple(cells.shape)}, but has {tuple(field.shape)}"
            )
    if not cells.numel():
        return 0, 0
    # The state after a pulse would be written twice for a repeated cell, so that it moves once but counts twice.
    if not (_distinct if distinct is None else distinct)(cells):
        raise OutOfRangeError("`cells` must list each cell once, but has one several times: send trains with `pulse.n`")
    for name, x, limit in (
        ("v", pulse.v, "1000 V"),
        ("v_gate", pulse.v_gate, "1000 V"),
        ("width", pulse.width, "1000 s"),
    ):
        if x is not None:
            _check_size(name, x, pulse.polarity, limit)
    most = MOST if pulse.n is None or max_train is None else max_train(pulse)
    return _count(pulse.polarity, pulse.n, most)


def _check_size(name: str, x: torch.Tensor, polarity: torch.Tensor, limit: str) -> None:
    """Raise `OutOfRangeError` where an amplitude or width `x`, `(k,)`, is not finite or out of range."""
    unit = limit.split()[1]
    if x.dtype == torch.bool or x.is_complex() or not bool(torch.isfinite(x).all()):
        raise OutOfRangeError(f"`pulse.{name}` must be finite, in {unit}, but is not everywhere")
    if bool((x.abs() > 1000).any()):
        raise OutOfRangeError(f"`pulse.{name}` must be at most {limit}, but is {float(x.abs().max()):g} {unit}")
    if name != "v_gate" and bool(((x <= 0) & (polarity != 0)).any()):
        raise OutOfRangeError(f"`pulse.{name}` must be > 0 {unit} for both polarities, but is not everywhere")


def check_addresses(cells: torch.Tensor, *, n_cells: int) -> None:
    """Raise `OutOfRangeError` unless `cells`, any shape, are int64 from 0 to `n_cells` - 1."""
    if not isinstance(cells, torch.Tensor) or cells.dtype != torch.int64:
        what = str(cells.dtype) if isinstance(cells, torch.Tensor) else type(cells).__name__
        raise OutOfRangeError(f"`cells` must be addresses, a tensor of torch.int64, but are {what}")
    if not cells.numel():
        return
    lowest, highest = (int(bound) for bound in torch.aminmax(cells))
    if lowest < 0 or highest >= n_cells:
        raise OutOfRangeError(f"`cells` must be from 0 to {n_cells - 1}, but are from {lowest} to {highest}")


def _distinct(cells: torch.Tensor) -> bool:
    ordered = cells.sort().values
    return not bool((ordered[1:] == ordered[:-1]).any())


def _count(polarity: torch.Tensor, n: torch.Tensor | None, max_train: int) -> tuple[int, int]:
    """SET and RESET pulses; raises as `count_pulses`."""
    if polarity.is_complex() or polarity.dtype == torch.bool:
        raise OutOfRangeError(f"`pulse.polarity` must be real numbers, but has the dtype {polarity.dtype}")
    sign = polarity.sign()
    if not torch.equal(sign, polarity):  # NaN is unequal to itself
        wrong = polarity[sign != polarity]
        raise OutOfRangeError(f"`pulse.polarity` must be -1, 0 or 1, but is {wrong[0].item()!r} ({len(wrong)} such)")
    if n is None:
        # Sums of -1, 0 and 1 are exact; the two counts are half the sum and half the difference of these.
        both, net = int(torch.count_nonzero(polarity)), int(polarity.sum(dtype=_exact(polarity)))
        return (both + net) // 2, (both - net) // 2
    if n.is_complex() or n.dtype == torch.bool:
        raise OutOfRangeError(f"`pulse.n` must be whole numbers, but has the dtype {n.dtype}")
    least, most = (float(bound) for bound in torch.aminmax(n))
    if not 0 <= least <= most < float("inf") or (n.is_floating_point() and not torch.equal(n.trunc(), n)):
        raise OutOfRangeError(f"`pulse.n` must be whole numbers >= 0, but is from {least!r} to {most!r}")
    if most > max_train:
        raise OutOfRangeError(f"`pulse.n` must be at most {max_train:,} pulses in one call, but is up to {most:.10g}")
    return int(n[polarity > 0].sum(dtype=torch.int64)), int(n[polarity < 0].sum(dtype=torch.int64))


def _exact(x: torch.Tensor) -> torch.dtype:
    """A type in which sums of -1, 0 and 1 are exact, and quick."""
    if not x.is_floating_point():
        return torch.int64
    return torch.float32 if x.numel() <= 2**24 and x.dtype != torch.float64 else torch.float64

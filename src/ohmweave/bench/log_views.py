"""What follows from a log: the wear of cells, the counters of a bill, and pulse trains to fit."""

import csv
from os import PathLike

import torch

from ohmweave.arrays import Activity, Meter
from ohmweave.base import OhmweaveError
from ohmweave.base.files import atomic_write, check_path
from ohmweave.bench.events import Event, Kind
from ohmweave.bench.log_header import read_header
from ohmweave.bench.log_reader import read_events
from ohmweave.bench.replayed import Replayed


def wear(path: str | PathLike[str]) -> torch.Tensor:
    """Pulses that each cell may have got, over all sessions of a log.

    Args:
        path: of the log.

    Returns:
        `(n_cells,)` int64. A pulse that failed counts, because it may have been sent. `Limited(..., sent=wear(path))`
        counts on from there.

    Raises:
        DataError: the file is no log.
    """
    where = check_path("path", path)
    total = torch.zeros(read_header(where).n_cells, dtype=torch.int64, device="cpu")
    for event in read_events(where):
        if event.kind is Kind.PULSE:
            assert event.cells is not None
            sent = event.may_have_sent
            pulsed = sent > 0  # a refused request may hold numbers that are no cells
            total.index_add_(0, event.cells[pulsed], sent[pulsed])
    return total


def activity(path: str | PathLike[str], meter: Meter | None = None) -> Activity:
    """The counters of all calls of a log, as the books of the array had them.

    Args:
        path: of the log.
        meter: counts by layer and phase as well, with the voltages of the reads, for a bill (`ohmweave.cost`); None:
            totals only.

    Raises:
        DataError: the file is no log.
    """
    array = Replayed(path)
    if meter is None:
        _replay(array)
        return array.books.activity.copy()
    with array.books.attached(meter):
        _replay(array)
    return array.books.activity.copy()


def _replay(array: Replayed) -> None:
    """Make all calls of a log again; those that failed fail again."""
    for event in read_events(array.path):
        try:
            _call(array, event)
        except (OhmweaveError, KeyboardInterrupt):
            if event.failure is None:
                raise


def _call(array: Replayed, event: Event) -> None:
    if event.kind is Kind.WAIT:
        assert event.duration is not None
        array.wait(event.duration)
    elif event.kind is Kind.PULSE:
        assert event.cells is not None
        assert event.pulse is not None
        array.pulse(event.cells, event.pulse)
    elif event.kind is Kind.READOUT:
        assert event.cells is not None
        array.readout(event.cells)
    else:
        assert event.v is not None
        assert event.placement is not None
        if event.kind is Kind.READ_PATCHES:
            assert event.geometry is not None
            array.read_patches(event.v, event.geometry, event.placement)
        elif event.kind is Kind.READ:
            array.read(event.v, event.placement)
        else:
            array.read_transposed(event.v, event.placement)


def save_pulse_trains(path: str | PathLike[str], csv_path: str | PathLike[str]) -> int:
    """Write the readings of cells before and after their pulses as a table that `ohmweave fit` reads.

    A row is a readout of a cell after a pulse, or its first one. A readout that repeats another without a pulse between
    them is left out. Where several pulses were sent between two readouts, their number is skipped in the column
    `pulse`, and the fit does not use that step.

    Args:
        path: of the log.
        csv_path: of the table: cell, pulse, polarity, g (S).

    Returns:
        The number of rows.

    Raises:
        DataError: the file is no log.
    """
    table_path = check_path("csv_path", csv_path)
    rows: dict[int, list[tuple[int, int, float]]] = {}
    count: dict[int, int] = {}
    last: dict[int, int] = {}
    for event in read_events(path):
        if event.cells is None or (event.kind is Kind.READOUT and event.result is None):
            continue
        cells = event.cells.reshape(-1).tolist()
        if event.kind is Kind.PULSE:
            assert event.pulse is not None
            signs = event.pulse.polarity.tolist()
            for cell, n, sign in zip(cells, event.may_have_sent.tolist(), signs, strict=True):
                if n:
                    count[cell], last[cell] = count.get(cell, 0) + n, int(sign)
            continue
        assert event.result is not None
        for cell, g in zip(cells, event.result.reshape(-1).double().tolist(), strict=True):
            of_cell, n = rows.setdefault(cell, []), count.get(cell, 0)
            if g == g and not (of_cell and of_cell[-1][0] == n):  # NaN: not measured
                of_cell.append((n, last.get(cell, 0) if of_cell else 0, g))
    with atomic_write(table_path) as part, part.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["cell", "pulse", "polarity", "g (S)"])
        for cell in sorted(rows):
            table.writerows([cell, n, sign, repr(g)] for n, sign, g in rows[cell])
    return sum(map(len, rows.values()))

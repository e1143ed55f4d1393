"""From all measurements of a cell to one cell: each kind is fitted by its own function, and the parts are joined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from ohmweave.base import DataError, OutOfRangeError, shown
from ohmweave.cells import Cell
from ohmweave.fitting.about import about_of
from ohmweave.fitting.amplitudes import LEAST, AmplitudeFit, common_window, fit_amplitudes, has_amplitudes
from ohmweave.fitting.cycling_fit import CyclingFit, fit_cycling
from ohmweave.fitting.fit import Fit, fit_trains
from ohmweave.fitting.measurement import Cycling, Measurement, Part, RelaxationData, Sweep, TimeSeries
from ohmweave.fitting.merged import merged
from ohmweave.fitting.noise_in_time import NoiseFit, fit_noise
from ohmweave.fitting.retention import RetentionFit, fit_retention
from ohmweave.fitting.sweeps import ConductionFit, fit_conduction
from ohmweave.fitting.thresholds import Thresholds, thresholds
from ohmweave.fitting.trains import Floats, Ints, PulseTrains

Result: TypeAlias = Fit | RetentionFit | NoiseFit | ConductionFit | CyclingFit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartFit:
    """One kind of measurement and what was fitted to it.

    Attributes:
        data: the measurement, without what the fit left out.
        result: the fit; None if there is none, and `notes` says why.
        thresholds: of sweeps, where cells switch.
        notes: remarks.
    """

    data: Part
    result: Result | None
    thresholds: Thresholds | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The fit, or the data and why they are not fitted."""
        switched = self.thresholds is not None and (len(self.thresholds.v_set) or len(self.thresholds.v_reset))
        lines = [repr(self.result or self.data), *([repr(self.thresholds)] if switched else [])]
        return "\n  ".join([*lines, *(f"note: {note}" for note in self.notes)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellFit:
    """A cell from several measurements.

    Attributes:
        measured: what was fitted, with file names and checksums.
        parts: the fit of each kind.
        cells: one for each amplitude and width of pulses; empty if no measurement tells how cells switch.
        notes: remarks on how the parts were joined.
        amplitudes: the law over the amplitude, where pulses have three or more; else None.
    """

    measured: Measurement
    parts: tuple[PartFit, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]
    amplitudes: AmplitudeFit | None = None

    @property
    def cell(self) -> Cell:
        """The cell. Raises `DataError` if there is none, or several (for several amplitudes or widths)."""
        if len(self.cells) == 1:
            return self.cells[0]
        if self.cells:
            raise DataError(f"`cell` must be one, but there are {len(self.cells)}, one a pulse: use `cells`")
        raise DataError(
            "`measured` must hold pulse trains or cycling for a cell, but holds neither: give `cell`, to which the "
            "parts are added"
        )

    def about(self, index: int = 0) -> dict[str, Any]:
        """Estimates, intervals, correlations and origin of one of the cells, for `ohmweave.cells.save(about=)`.

        Args:
            index: of the cell.
        """
        pulses = [part.result for part in self.parts if isinstance(part.result, Fit)]
        others = [part.result for part in self.parts if part.result is not None and not isinstance(part.result, Fit)]
        return about_of(self.measured, pulses[index] if pulses else None, others, self.notes)

    def __repr__(self) -> str:
        """The cells, parts and remarks."""
        cells = [f"cell: {cell!r}" for cell in self.cells] or ["no cell: nothing here tells how cells switch"]
        notes = [f"note: {note}" for note in self.notes]
        head = f"CellFit of {', '.join(self.measured.files) or 'data'}"
        over = [] if self.amplitudes is None else [repr(self.amplitudes)]
        return "\n  ".join([head, *cells, *map(repr, self.parts), *over, *notes])


class _Options(NamedTuple):
    g_min: float | None
    g_max: float | None
    bins: int
    stuck_below: float
    law: str | None
    read_noise: Literal["fit", "none"]


def fit_cell(
    measured: Measurement | Sequence[Measurement],
    *,
    cell: Cell | None = None,
    g_min: float | None = None,
    g_max: float | None = None,
    bins: int = 10,
    stuck_below: float = 0.1,
    law: str | None = None,
    read_noise: Literal["fit", "none"] = "fit",
) -> CellFit:
    """Fit all measurements of a kind of cell, and make one cell of them.

    Pulse trains give the switching law, spread, stuck cells and read noise (`fit_trains`); without trains, cycling
    gives a law of two states (`fit_cycling`). Relaxation gives the retention (`fit_retention`), time series the
    correlated noise (`fit_noise`), sweeps the conduction (`fit_conduction`).

    Args:
        measured: from `read`, or several.
        cell: a cell to which the parts are added; None: the cell of the pulse trains or of the cycling.
        g_min: S, as in `fit_trains`, with all that follow.
        g_max: S.
        bins: of the pulse table.
        stuck_below: fraction of the widest range of conductance.
        law: one of `LAWS`.
        read_noise: "fit" or "none".

    Returns:
        The fits and the cell. What cannot be fitted has a note; pulse trains raise. Pulses of three amplitudes or more
        are fitted with one window, and have a law over the amplitude.

    Raises:
        DataError: pulse trains cannot be fitted, or there are pulse trains and `cell` is given too.
        OutOfRangeError: an argument is out of range.

    Valid for: measurements of the same kind of cell. Parts of different measurements are taken for independent.
    Source: see the function of each kind.
    """
    listed = [measured] if isinstance(measured, Measurement) else measured
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(one, Measurement) for one in listed):
        raise OutOfRangeError(f"`measured` must be a Measurement, or several, but is {shown(measured)}")
    if cell is not None and not isinstance(cell, Cell):
        raise OutOfRangeError(f"`cell` must be a Cell or None, but is {shown(cell)}")
    whole = listed[0] if len(listed) == 1 else merged(list(listed))
    trains = [part for part in whole.parts if isinstance(part, PulseTrains)]
    several = len(trains) >= LEAST and has_amplitudes(trains)
    if several:
        g_min, g_max = common_window(trains, g_min=g_min, g_max=g_max, stuck_below=stuck_below)
    options = _Options(g_min, g_max, bins, stuck_below, law, read_noise)
    parts = tuple(_fitted(part, options) for part in whole.parts)
    bases, notes = _bases(parts, cell)
    joined = [_joined(base, parts) for base in bases]
    notes += [note for _, more in joined[:1] for note in more]
    over = fit_amplitudes([part.result for part in parts if isinstance(part.result, Fit)]) if several else None
    notes += [] if over is None else over.notes
    return CellFit(
        measured=whole, parts=parts, cells=tuple(one for one, _ in joined), notes=tuple(notes), amplitudes=over
    )


def _fitted(part: Part, options: _Options) -> PartFit:
    if isinstance(part, PulseTrains):
        result = fit_trains(part, **options._asdict())
        return PartFit(data=part, result=result, notes=result.notes)
    try:
        if isinstance(part, RelaxationData):
            return _retention(part)
        if isinstance(part, TimeSeries):
            return _noise(part)
        if isinstance(part, Sweep):
            return _conduction(part)
        if isinstance(part, Cycling):
            cycled = fit_cycling(part)
            return PartFit(data=part, result=cycled, notes=cycled.notes)
    except DataError as error:
        return PartFit(data=part, result=None, notes=(f"not fitted: {error}",))
    return PartFit(data=part, result=None, notes=("one reading a cell: shown, since it has no change to fit",))


def _retention(data: RelaxationData) -> PartFit:
    """Of the lowest temperature, if there are several. A file without writes: a cell's first reading is its write."""
    notes: list[str] = []
    if data.temperature is not None and len(kelvins := np.unique(data.temperature)) > 1:
        at = data.temperature == kelvins[0]
        notes.append(f"fitted: the lowest temperature, {kelvins[0]:.5g} K, of {len(kelvins)}")
        data = _some(data, at)
    if data.g_start is not None:
        result = fit_retention(data.cell, data.time, data.g_start, data.g)
        return PartFit(data=data, result=result, notes=(*notes, *result.notes))
    first = _first(data.cell, data.time)
    notes.append("no column of the written conductance: the first reading of each cell is taken for it")
    age = data.time - data.time[first]
    data = replace(data, time=age, g_start=data.g[first])
    assert data.g_start is not None  # set in the line before
    result = fit_retention(data.cell, age, data.g_start, data.g)
    return PartFit(data=data, result=result, notes=(*notes, *result.notes))


def _some(data: RelaxationData, chosen: Any) -> RelaxationData:
    def of(values: Any) -> Any:
        return None if values is None else values[chosen]

    return RelaxationData(
        names=data.names, cell=data.cell[chosen], time=data.time[chosen], g=data.g[chosen], level=of(data.level),
        g_start=of(data.g_start), nominal_time=of(data.nominal_time), temperature=of(data.temperature),
    )  # fmt: skip


def _first(cell: Ints, time: Floats) -> Ints:
    """`(readings,)`, the index of the earliest reading of the same cell."""
    order = np.lexsort((time, cell))
    begins = np.flatnonzero(np.diff(cell[order], prepend=-1))
    _, index = np.unique(cell, return_inverse=True)
    return np.asarray(order[begins][index])


_MOST_MISSING = 0.01
"""Ours: share of a series that may be missing and is filled by straight lines; shortens fluctuations by little."""


def _noise(data: TimeSeries) -> PartFit:
    """Of the series of the most common length; a few missing readings are filled by straight lines."""
    notes, kept = [], []
    length = int(np.median([len(one) for one in data.g])) if data.g else 0
    for name, one in zip(data.names, data.g, strict=True):
        gaps = np.isnan(one[:length])
        if len(one) < length or gaps.mean() > _MOST_MISSING:
            notes.append(f"left out: series {name}, with {len(one)} readings of which {int(gaps.sum())} are missing")
            continue
        at = np.arange(length)
        kept.append(np.interp(at, at[~gaps], one[:length][~gaps]))
        if gaps.any():
            notes.append(f"series {name}: {int(gaps.sum())} missing readings are filled by straight lines")
    if not kept:
        raise DataError("`g` must hold a series with at most 1 % of its readings missing, but holds none")
    result = fit_noise(np.stack(kept), interval=data.interval)
    return PartFit(data=data, result=result, notes=(*notes, *result.notes))


def _conduction(data: Sweep) -> PartFit:
    """Of the readings of each sweep before it switches its cell."""
    switched = thresholds(data)
    result = fit_conduction(data.v[switched.before], data.i[switched.before], cell=data.cell[switched.before])
    if result.offset.value:
        switched = thresholds(data, offset=result.offset.value)
        result = fit_conduction(data.v[switched.before], data.i[switched.before], cell=data.cell[switched.before])
    notes = []
    if switched.rare:
        notes.append(
            f"{switched.rare} jumps of the conductance, in less than 5 % of the sweeps, are not taken for switching: "
            "they are those of single cells between levels (random telegraph noise)"
        )
    if not switched.before.all():
        notes.append(f"conduction is fitted to the {int(switched.before.sum()):,} readings before cells switch")
    if not result.describes:
        notes.append(f"no form here describes these sweeps: the best is off by {result.off:.1%}, and is not used")
    return PartFit(data=data, result=result, thresholds=switched, notes=tuple(notes))


def _bases(parts: Sequence[PartFit], cell: Cell | None) -> tuple[list[Cell], list[str]]:
    """The cells to which the parts are added."""
    trains = [part.result.cell for part in parts if isinstance(part.result, Fit)]
    if trains and cell is not None:
        raise DataError("`cell` must be None where `measured` holds pulse trains, which give a cell themselves")
    cycled = [part.result for part in parts if isinstance(part.result, CyclingFit)]
    if cell is not None:
        return [cell], []
    if trains:
        unused = ["cycling is reported and not used: the pulse trains tell how cells switch"] if cycled else []
        return trains, unused
    more = [f"{len(cycled) - 1} more files of cycling are reported and not used"] if len(cycled) > 1 else []
    return [Cell(one.part) for one in cycled[:1]], more


def _joined(cell: Cell, parts: Sequence[PartFit]) -> tuple[Cell, list[str]]:
    """The cell with retention, noise and conduction."""
    notes: list[str] = []
    for part in parts:
        result = part.result
        if isinstance(result, RetentionFit):
            cell = _with_process(cell, result.part)
            low, high = result.part.g[0], result.part.g[-1]
            if low < cell.g_min or high > cell.g_max:
                notes.append(
                    f"levels of the retention, {low:.4g} to {high:.4g} S, are partly outside the window of the pulses, "
                    f"{cell.g_min:.4g} to {cell.g_max:.4g} S"
                )
        elif isinstance(result, NoiseFit):
            cell = _with_process(cell, result.part)
            if cell.read_noise is None:
                cell = replace(cell, read_noise=result.read_noise)
            elif result.read_noise is not None:
                notes.append("read noise is that of the pulse trains; the white noise of the series is not added")
        elif isinstance(result, ConductionFit) and result.describes:
            cell = replace(cell, conduction=result.part)
    return cell, notes


def _with_process(cell: Cell, process: Any) -> Cell:
    others = tuple(one for one in cell.processes if type(one) is not type(process))
    return replace(cell, retention=(*others, process))

"""What a file of measurements holds, by kind, and what of it was guessed and left out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ohmweave.base import DataError, ShapeError, check_fields, check_positive, integer, shown
from ohmweave.base.text import counted
from ohmweave.fitting.trains import Floats, Ints, PulseTrains

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A value of a file that is not believed.

    Attributes:
        file: name of the file.
        line: its number, from 1.
        column: title or number of the column.
        value: as it is in the file.
        why: in words.
    """

    file: str
    line: Annotated[int, integer(at_least=1)]
    column: str
    value: str
    why: str

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def __str__(self) -> str:
        """The place, the value and the reason in one line."""
        return f"{self.file}, line {self.line}, {self.column}: {self.value!r} left out: {self.why}"


_OPTIONAL = ("cycle", "level", "g_start", "nominal_time", "temperature")
"""Fields that may be None: not every file has them."""


def _check_arrays(part: object, arrays: Mapping[str, NDArray[np.generic] | None]) -> None:
    """Raise unless all arrays have one dimension and the same length; those of `_OPTIONAL` may be None."""
    lengths = {}
    for name, value in arrays.items():
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iuf":
            raise ShapeError(f"`{name}` must be an array (readings,) of numbers, but is {shown(value)}")
        lengths[name] = len(value)
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"the arrays of {type(part).__name__} must have one length, but have {lengths}")


def _check_cells(names: tuple[str, ...], cell: Ints) -> None:
    """Raise unless `names` are texts and `cell` holds their indices."""
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"`names` must be texts, but is {shown(names)}")
    if len(cell) and not (cell.dtype.kind in "iu" and cell.min() >= 0 and cell.max() < len(names)):
        raise DataError(f"`cell` must be indices of the {len(names)} `names`, but is not everywhere")


def _check_finite_arrays(arrays: Mapping[str, Floats | None]) -> None:
    for name, value in arrays.items():
        if value is not None and not np.isfinite(value).all():
            raise DataError(f"`{name}` must be finite everywhere")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cycling:
    """Conductances after SET and after RESET, cycle by cycle (endurance).

    Args:
        names: of the cells.
        cell: `(readings,)`, index into `names`.
        cycle: `(readings,)`, number of the cycle, rising within each cell.
        g_set: `(readings,)`, S, after the SET of that cycle.
        g_reset: `(readings,)`, S, after its RESET.

    Raises:
        ShapeError: lengths differ.
        DataError: an index has no name, or a conductance is not finite.
    """

    names: tuple[str, ...]
    cell: Ints
    cycle: Ints
    g_set: Floats
    g_reset: Floats

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_arrays(self, {"cell": self.cell, "cycle": self.cycle, "g_set": self.g_set, "g_reset": self.g_reset})
        _check_cells(self.names, self.cell)
        _check_finite_arrays({"g_set": self.g_set, "g_reset": self.g_reset})

    def __repr__(self) -> str:
        """Numbers of cells and cycles, and the median conductances."""
        medians = f", median g {np.median(self.g_set):.4g} S after SET, {np.median(self.g_reset):.4g} S after RESET"
        return (
            f"Cycling({counted(len(self.names), 'cell')}, {len(self.cell):,} cycles{medians if len(self.cell) else ''})"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelaxationData:
    """Conductances of cells at times after their write (relaxation, retention, bake).

    Args:
        names: of the cells.
        cell: `(readings,)`, index into `names`.
        time: `(readings,)`, s, after the write.
        g: `(readings,)`, S.
        level: `(readings,)`, number of the level that was written; None if the file has none.
        g_start: `(readings,)`, S, read just after the write; None if the file has none.
        nominal_time: `(readings,)`, s, the time at which the reading was due; None if the file has none.
        temperature: `(readings,)`, K; None if the file has none.

    Raises:
        ShapeError: lengths differ.
        DataError: an index has no name, or a number is not finite.
    """

    names: tuple[str, ...]
    cell: Ints
    time: Floats
    g: Floats
    level: Ints | None = None
    g_start: Floats | None = None
    nominal_time: Floats | None = None
    temperature: Floats | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        more = {"g_start": self.g_start, "nominal_time": self.nominal_time, "temperature": self.temperature}
        numbers = {"time": self.time, "g": self.g, **more}
        _check_arrays(self, {"cell": self.cell, "level": self.level, **numbers})
        _check_cells(self.names, self.cell)
        _check_finite_arrays(numbers)

    def __repr__(self) -> str:
        """Numbers of cells and readings, and the ranges of time and conductance."""
        head = f"RelaxationData({counted(len(self.names), 'cell')}, {len(self.g):,} readings"
        if not len(self.g):
            return f"{head})"
        levels = f", {len(np.unique(self.level))} levels" if self.level is not None else ""
        kelvin = f", {len(np.unique(self.temperature))} temperatures" if self.temperature is not None else ""
        ranges = f"{self.time.max():.4g} s, g from {self.g.min():.4g} to {self.g.max():.4g} S"
        return f"{head} up to {ranges}{levels}{kelvin})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeSeries:
    """Conductances read again and again at equal intervals (noise).

    Args:
        names: of the series, mostly one a cell.
        g: for each series `(readings,)`, S; NaN where a reading was left out.
        interval: s, between two readings.
        level: `(series,)`, number of the level that was written; None if the file has none.

    Raises:
        ShapeError: a series has another shape, or numbers of series differ.
        DataError: `names` are no texts.
        OutOfRangeError: `interval` is not above zero.
    """

    names: tuple[str, ...]
    g: tuple[Floats, ...]
    interval: float
    level: Ints | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_positive("interval", self.interval, "s")
        if not isinstance(self.g, tuple | list):
            raise ShapeError(f"`g` must be a tuple of arrays, but is {shown(self.g)}")
        for index, one in enumerate(self.g):
            _check_arrays(self, {f"g[{index}]": one})
        _check_cells(self.names, np.zeros(0, dtype=np.int64))
        if len(self.g) != len(self.names) or (self.level is not None and len(self.level) != len(self.names)):
            raise ShapeError(f"`g` and `level` must have one entry for each of the {len(self.names)} `names`")

    def __repr__(self) -> str:
        """Number and lengths of the series."""
        lengths = sorted({len(one) for one in self.g})
        each = " or ".join(f"{n:,}" for n in lengths[:3])
        return f"TimeSeries({len(self.names)} series of {each} readings, one each {self.interval:.4g} s)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """Currents and voltages in the order in which they were measured (I-V).

    Args:
        names: of the cells.
        cell: `(readings,)`, index into `names`.
        v: `(readings,)`, V.
        i: `(readings,)`, A; negative values are as measured.

    Raises:
        ShapeError: lengths differ.
        DataError: an index has no name, or a number is not finite.
    """

    names: tuple[str, ...]
    cell: Ints
    v: Floats
    i: Floats

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_arrays(self, {"cell": self.cell, "v": self.v, "i": self.i})
        _check_cells(self.names, self.cell)
        _check_finite_arrays({"v": self.v, "i": self.i})

    def __repr__(self) -> str:
        """Numbers of cells and points, and the ranges."""
        head = f"Sweep({counted(len(self.names), 'cell')}, {len(self.v):,} points"
        if not len(self.v):
            return f"{head})"
        v, i = self.v, self.i
        return f"{head}, v from {v.min():.4g} to {v.max():.4g} V, i from {i.min():.4g} to {i.max():.4g} A)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readout:
    """One reading of each cell.

    Args:
        names: of the cells.
        g: `(cells,)`, S.

    Raises:
        ShapeError: the numbers of names and readings differ.
        DataError: a conductance is not finite.
    """

    names: tuple[str, ...]
    g: Floats

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_arrays(self, {"g": self.g})
        _check_cells(self.names, np.zeros(0, dtype=np.int64))
        _check_finite_arrays({"g": self.g})
        if len(self.names) != len(self.g):
            n = len(self.names)
            raise ShapeError(f"`g` must have one entry for each of the {n} `names`, but has {len(self.g)}")

    def __repr__(self) -> str:
        """Number of cells, and the range of conductances."""
        g = f", g from {self.g.min():.4g} to {self.g.max():.4g} S" if len(self.g) else ""
        return f"Readout({counted(len(self.names), 'cell')}{g})"


Part: TypeAlias = PulseTrains | Cycling | RelaxationData | TimeSeries | Sweep | Readout
"""The kinds of measurements."""
_P = TypeVar("_P", PulseTrains, Cycling, RelaxationData, TimeSeries, Sweep, Readout)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """What was read from one file or several.

    Attributes:
        files: their names.
        parts: the data, one object of a kind; pulse trains of several amplitudes or widths are apart.
        guesses: what the files do not say and was found from the data; look at each.
        left_out: values that are not believed, and why.
        notes: further remarks.
        sha256: of each file, in the order of `files`; empty if the data are from no file.
    """

    files: tuple[str, ...]
    parts: tuple[Part, ...]
    guesses: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = field(default=())
    sha256: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """All that a user should see before the data are used."""
        return "\n".join([f"Measurement of {', '.join(self.files)}", *(f"  {line}" for line in self.summary())])

    def summary(self) -> list[str]:
        """The parts, guesses, notes and values left out, one line each; of many values of one reason the first."""
        lines = [repr(part) for part in self.parts]
        lines += [f"guessed: {guess}" for guess in self.guesses]
        lines += [f"note: {note}" for note in self.notes]
        counts = Counter(one.why for one in self.left_out)
        for why, n in counts.items():
            some = [one for one in self.left_out if one.why == why][:_MOST_SHOWN]
            lines += [str(one) for one in some]
            if n > len(some):
                lines.append(f"... and {n - len(some):,} more: {why}")
        return lines

    def only(self, kind: type[_P]) -> _P:
        """The one part, of this kind.

        Args:
            kind: `PulseTrains`, `Cycling`, `RelaxationData`, `TimeSeries`, `Sweep` or `Readout`.

        Raises:
            DataError: there are several parts, or it is of another kind.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], kind):
            return self.parts[0]
        found = ", ".join(map(repr, self.parts))
        raise DataError(f"{', '.join(self.files)} must hold one {kind.__name__}, but holds {found}")

    @property
    def trains(self) -> PulseTrains:
        """The pulse trains. Raises `DataError` if there are other data, or trains of several amplitudes or widths."""
        return self.only(PulseTrains)

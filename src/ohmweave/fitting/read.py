"""One entry for the files of a lab: their kind is recognised, and what cannot be that kind is refused."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ohmweave.base import DataError, OutOfRangeError, shown
from ohmweave.base.files import check_path
from ohmweave.fitting.arc2control import SUFFIXES, arc2control_table
from ohmweave.fitting.by_condition import trains_by_condition
from ohmweave.fitting.long_trains import Readings, long_readings
from ohmweave.fitting.measurement import Measurement, Part
from ohmweave.fitting.merged import merged
from ohmweave.fitting.other_kinds import cycling, readout, relaxation, series_in_rows, sweep
from ohmweave.fitting.read_options import ColumnMap, Kind, ReadOptions, read_options
from ohmweave.fitting.table_columns import Columns, known_columns
from ohmweave.fitting.text_table import read_table
from ohmweave.fitting.trains import PulseTrains
from ohmweave.fitting.unbelieved import believed
from ohmweave.fitting.wide_trains import guess_up_down, up_down_readings, wide_columns, wide_readings

_VALUES = ("g", "r", "i")


def read(
    path: str | Path | Sequence[str | Path],
    *,
    columns: ColumnMap | None = None,
    unit: str | None = None,
    v_read: float | None = None,
    scale: Mapping[float, float] | None = None,
    kind: Kind | None = None,
    decimal: str | None = None,
) -> Measurement:
    """Read measurements of cells from a text file, or from several.

    Encoding, delimiter, decimal mark, header, units and the kind of measurement are found in the file. What is guessed
    is in `Measurement.guesses`, what is not believed in `Measurement.left_out`; look at both.

    Args:
        path: of the file: a table in plain text or `.gz`, or HDF5 of arc2control (with h5py installed); or of several:
            ramps of SET in one and of RESET in the other are one cell, cells of other files are kept apart.
        columns: what the columns hold, with units: for all in order, `["cell", "r_set (kOhm)", "-"]`, where "-" is not
            read and "g (S) @ 400 Hz ..." at the end is a series; or for some by title or number, `{"g (uS)": "Cond"}`.
        unit: of readings whose column gives none: "uS", "kOhm", "A @ 0.1 V".
        v_read: V, the voltage at which currents were read; never 0. A negative one changes their sign.
        scale: two numbers of a file without units, and their conductances in S, as {0: 2e-6, 1: 20e-6}.
        kind: "trains", "cycling", "relaxation", "time series", "sweep" or "readout"; None: from the columns.
        decimal: "." or ",", the decimal mark; None: from the numbers.

    Returns:
        The data: pulse trains of one amplitude and width each, or one of the other kinds.

    Raises:
        DataError: the file cannot be read, or is not certain; the message names line and column.
        OutOfRangeError: an option is invalid, or a unit is missing or of another kind.

    Valid for: tables with one header. Readings that are not above zero, beyond the instrument's range, or contradicted
        by their neighbours (see `unbelieved`) are left out by name; a value that is wrong by less is not found.
    Source: ours.
    """
    options = read_options(columns=columns, unit=unit, v_read=v_read, scale=scale, kind=kind, decimal=decimal)
    paths = [path] if isinstance(path, str | Path) else path
    if not isinstance(paths, Sequence) or not paths or not all(isinstance(one, str | Path) for one in paths):
        raise OutOfRangeError(f"`path` must be the path of a file, or several, but is {shown(path)}")
    found = [_read_one(check_path("path", one), options) for one in paths]
    return found[0] if len(found) == 1 else merged(found)


def read_trains(path: str | Path, *, v_read: float | None = None, unit: str | None = None) -> PulseTrains:
    """Read pulse trains of one amplitude and width from a file; `read` says more of what it found.

    Args:
        path: of the file, as in `read`.
        v_read: V, as in `read`.
        unit: as in `read`.

    Raises:
        DataError: as in `read`, or the file holds another kind of measurement, or several amplitudes or widths.
        OutOfRangeError: as in `read`.
    """
    return read(path, v_read=v_read, unit=unit, kind="trains").trains


def _read_one(path: Path, options: ReadOptions) -> Measurement:
    is_hdf5 = path.suffix.lower() in SUFFIXES
    table = arc2control_table(path) if is_hdf5 else read_table(path, decimal=options.decimal)
    columns = known_columns(table, options)
    if not table.rows:
        raise DataError(f"{path} must hold readings, but has no line below its header, line {table.header_at}")
    kind = options.kind or _kind(columns)
    parts: list[Part]
    if kind == "trains":
        parts = list(_trains(columns))
    elif kind == "cycling":
        parts = [cycling(columns)]
    elif kind == "relaxation" or (kind == "time series" and not options.series):
        parts = [relaxation(columns)]
    elif kind == "time series":
        parts = [series_in_rows(columns)]
    else:
        parts = [sweep(columns) if kind == "sweep" else readout(columns)]
    _note_unread(columns)
    return Measurement(
        files=(table.name,),
        parts=tuple(parts),
        guesses=tuple(dict.fromkeys(columns.guesses)),
        left_out=tuple(sorted(columns.left_out, key=lambda one: one.line)),
        notes=tuple(columns.notes),
        sha256=(hashlib.sha256(path.read_bytes()).hexdigest(),),
    )


def _trains(columns: Columns) -> list[PulseTrains]:
    readings = _readings(columns)
    readings = believed(readings, columns)
    trains, notes = trains_by_condition(readings)
    columns.notes.extend(notes)
    if not any(len(one.g) for one in trains):
        raise DataError(f"{columns.table.name} must hold conductances that are believed, but all are left out")
    return trains


def _readings(columns: Columns) -> Readings:
    if columns.has("up", "down"):
        return up_down_readings(columns)
    if any(columns.has(role) for role in _VALUES):
        return long_readings(columns)
    if guess_up_down(columns):
        return up_down_readings(columns)
    if wide_columns(columns) and columns.table.titles:
        return wide_readings(columns)
    raise _not_understood(columns)


def _kind(columns: Columns) -> Kind:
    """What the columns are of."""
    if columns.options.series:
        return "time series"
    if any(columns.has(f"{one}_set", f"{one}_reset") for one in _VALUES):
        return "cycling"
    pulsed = any(columns.has(role) for role in ("polarity", "pulse", "width"))
    if columns.has("up", "down") or (pulsed and any(columns.has(role) for role in _VALUES)):
        return "trains"
    if columns.has("v", "i"):
        return "sweep"
    if any(columns.has(role) for role in _VALUES):
        return "relaxation" if columns.has("time") else _without_time(columns)
    return "trains"


def _without_time(columns: Columns) -> Kind:
    if columns.has("v"):
        return "trains"
    if columns.has("cell"):
        return "readout"
    raise _not_understood(columns)


def _not_understood(columns: Columns) -> DataError:
    table = columns.table
    remedy = (
        "say what the columns hold by `columns`: in order, as in `--columns 'cell, r (kOhm)'`, or by title, as in "
        "`--column 'g (uS)=TITLE'`; two columns of a SET and a RESET train need `unit` or `scale` (`--unit`, `--scale`)"
    )
    first = ", ".join(table.rows[0])[:80] if table.rows else ""
    if not table.titles:
        return DataError(
            f"{table.name}, line {table.header_at} must be a header, or the columns must be named, but it is "
            f"{first!r}: {remedy}"
        )
    missing = [role for role in ("cell", "pulse", "polarity", "g") if not columns.has(role)]
    names = ", ".join(table.titles)[:200]
    wanted = f"the header must name {', '.join(missing)} too"
    return DataError(f"{table.name}, line {table.header_at}: {wanted}, but names {names}: {remedy}")


def _note_unread(columns: Columns) -> None:
    unread = [title.text for title in columns.titles if not title.role and title.text]
    if unread and not columns.options.series and not any("column" in one and "cell" in one for one in columns.guesses):
        columns.notes.append(f"not read: {', '.join(unread)[:200]}")

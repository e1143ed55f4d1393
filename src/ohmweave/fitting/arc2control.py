"""The HDF5 files of arc2control as a table: the history of each crosspoint, one reading a row.

The format is that of arc2control's `h5utils.py`, version 0.1: `crosspoints/W00B00/timeseries` holds current (A),
voltage (V), pulse_width (s), read_voltage (V) and op_type (1 read, 2 pulse, 3 pulse and read), `NROWS` of them.
"""

from pathlib import Path
from typing import Any

from ohmweave.base import DataError
from ohmweave.fitting.text_table import Table

SUFFIXES = (".h5", ".hdf5", ".hdf")
TITLES = ("cell", "pulse", "v (V)", "width (s)", "i (A)", "v_read (V)")
_READ, _PULSE, _BOTH = 1, 2, 3
_FIELDS = ("current", "voltage", "pulse_width", "read_voltage", "op_type")


def arc2control_table(path: Path) -> Table:
    """The readings of all crosspoints; `at` numbers the rows of each crosspoint's history from 1.

    A pulse and the reading after it are one row. Where several pulses were sent between two readings, the pulse numbers
    have a gap.

    Raises:
        DataError: h5py is not installed, or the file is none of arc2control.
    """
    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{path} is HDF5, and reading it needs h5py, which is not installed: pip install 'ohmweave[arc2]'"
        ) from None
    rows: list[list[str]] = []
    at: list[int] = []
    try:
        with h5py.File(path, "r") as file:
            for name in file["crosspoints"]:
                history = file["crosspoints"][name]["timeseries"]
                n = int(history.attrs["NROWS"])
                for line, fields in _rows(name, {field: history[field][:n] for field in _FIELDS}, path):
                    rows.append(fields)
                    at.append(line)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"`path` must be a file of arc2control, but {path} is not: {error}") from None
    return Table(
        name=path.name,
        titles=TITLES,
        units=(),
        header_at=0,
        rows=rows,
        at=at,
        above=(),
        guesses=("lines are rows of each crosspoint's history",),
        may_be_cut=False,
    )


def _rows(name: str, history: dict[str, Any], path: Path) -> list[tuple[int, list[str]]]:
    """Row number and fields of each reading of a crosspoint."""
    found: list[tuple[int, list[str]]] = []
    pulse, amplitude, width = 0, 0.0, 0.0
    for row, kind in enumerate(history["op_type"].tolist()):
        i, v, w, v_read = (float(history[field][row]) for field in _FIELDS[:-1])
        if kind not in (_READ, _PULSE, _BOTH):
            raise DataError(f"{path.name}, {name}, row {row + 1}: `op_type` must be 1, 2 or 3, but is {kind}")
        if kind in (_PULSE, _BOTH):
            pulse, amplitude, width = pulse + 1, v, w
        if kind == _PULSE:
            continue
        if kind == _READ and found and found[-1][1][1] == str(pulse):
            pulse, amplitude, width = pulse + 1, 0.0, 0.0  # read again without a pulse
        fields = [name, str(pulse), f"{amplitude:.8g}", f"{width:.8g}", f"{i:.8g}", f"{v_read or v:.8g}"]
        found.append((row + 1, fields))
        amplitude, width = 0.0, 0.0
    return found

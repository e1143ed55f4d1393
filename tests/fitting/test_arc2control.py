"""HDF5 files of arc2control, written here as its `h5utils.py` does."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmweave.base import DataError
from ohmweave.fitting import PulseTrains, read
from tests.helpers import assert_close

TYPE = [("current", "<f4"), ("voltage", "<f4"), ("pulse_width", "<f4"), ("read_voltage", "<f4"), ("op_type", "<u4")]
READ, PULSE, BOTH = 1, 2, 3


def written(path: Path, cells: dict[str, list[tuple[float, float, float, float, int]]]) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.attrs["H5DS_VERSION_MAJOR"] = 0
        for name, rows in cells.items():
            table = np.zeros(len(rows) + 5, dtype=TYPE)  # longer than what is used, as arc2control makes it
            table[: len(rows)] = rows
            made: Any = file.create_group(f"crosspoints/{name}").create_dataset("timeseries", data=table)
            made.attrs["NROWS"] = len(rows)
    return path


def test_pulses_and_readings_in_one_row_or_two(tmp_path: Path) -> None:
    history = [
        (1e-6, 0.2, 0.0, 0.2, READ),  # 5 uS
        (1.2e-6, 1.5, 1e-7, 0.2, BOTH),
        (0.0, 1.5, 1e-7, 0.2, PULSE),
        (1.4e-6, 0.2, 0.0, 0.2, READ),
        (0.0, -1.2, 2e-7, 0.2, PULSE),
        (0.0, -1.2, 2e-7, 0.2, PULSE),
        (0.8e-6, 0.2, 0.0, 0.2, READ),  # two pulses before it
        (0.8e-6, 0.2, 0.0, 0.2, READ),  # none before it
        (0.7e-6, -1.2, 2e-7, 0.2, BOTH),
    ]
    found = read(written(tmp_path / "bench.h5", {"W01B02": history, "W00B00": history[:2]}))
    trains = found.only(PulseTrains)
    assert trains.names == ("W00B00", "W01B02")
    mine = trains.cell == 1
    assert_close(trains.g[mine], [5e-6, 6e-6, 7e-6, 4e-6, 4e-6, 3.5e-6], rtol=1e-6)
    assert trains.pulse[mine].tolist() == [0, 1, 2, 4, 5, 6]
    assert trains.polarity[mine].tolist() == [0, 1, 1, -1, 0, -1]
    assert_close(trains.conditions["v_reset"], 1.2, rtol=1e-6)
    assert_close(trains.conditions["width_set"], 1e-7, rtol=1e-6)


def test_another_hdf5_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "other.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"must be a file of arc2control, but .*other\.h5 is not"):
        read(tmp_path / "other.h5")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"needs h5py, which is not installed: pip install 'ohmweave\[arc2\]'"):
        read(tmp_path / "bench.h5")

"""Text files to mutate: cell files and measurements."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from ohmweave import cells, fitting
from ohmweave.base import OutOfRangeError
from ohmweave.fitting import read_trains
from tests.fuzz.cases.cells import AFFINE, GATE, TABLE, used
from tests.fuzz.judge import unsound

_CELLS: tuple[cells.Cell, ...] = (
    cells.Cell(cells.AffineStep(**AFFINE), spread=cells.Spread(d2d=0.1), read_noise=cells.ReadNoise(fraction=0.01)),
    cells.Cell(cells.PulseTable(**TABLE), retention=cells.Relaxation(sigma_fast=1e-7)),
    cells.Cell(cells.GateCompliance(**GATE), faults=cells.StuckCells(fraction=0.1, g_stuck=(0.0, 1e-6))),
    cells.Cell(
        cells.LinearStep(g_min=2e-6, g_max=20e-6, levels=99),
        voltage=cells.VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.1),
        conduction=cells.SinhConduction(v0=0.3),
    ),
)


def cell_files() -> list[str]:
    """Texts of cell files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.json"
        texts = []
        for cell in _CELLS:
            cells.save(cell, path, about={"from": "ours"})
            texts += [path.read_text(), json.dumps(json.loads(path.read_text()))]
    return texts


def use_cell(path: Path) -> None:
    """Load a cell, and use it: its conductances must be finite and >= 0 S."""
    life = used(cells.load(path))
    if bad := unsound(life, negative=False):
        raise AssertionError(bad)


def measurements() -> list[str]:
    """Texts of measured pulse trains."""
    rows = [f"{cell},{pulse},{1 if pulse < 6 else -1},{1e-5 + 1e-7 * pulse}" for cell in "ab" for pulse in range(12)]
    return ["\n".join(["cell,pulse,polarity,g", *rows]), "\n".join(["cell,pulse,polarity,g [uS]", *rows])]


def use_measurement(path: Path) -> Any:
    """Read trains; the conductances must be finite."""
    trains = read_trains(path)
    if bad := unsound(torch.from_numpy(trains.g)):
        raise AssertionError(bad)
    try:
        return fitting.fit_trains(trains, law="linear") if len(trains.g) < 0 else None
    except OutOfRangeError:
        return None

"""Each command of docs/fit.md for a public measurement, on that measurement."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer.testing

from ohmweave.cli.commands import app
from ohmweave.fitting import Cycling, PulseTrains, Readout, RelaxationData, Sweep, read
from tests.helpers import assert_close

pytestmark = pytest.mark.data("measured")
DOCS = Path(__file__).parents[2] / "docs" / "fit.md"
COMMANDS = re.findall(r"^    ohmweave (fit measured/.*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)


def at(root: Path, name: str) -> Path:
    """A file of the measured sets; of relaxation, a part of the cells may be there instead."""
    path = root / name
    return path if path.is_file() else next(path.parent.glob(path.name.split(".")[0] + "*"))


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_documented_command(command: str, data_root: Path, tmp_path: Path) -> None:
    words = shlex.split(command, comments=True)
    paths = [str(at(data_root, word)) if word.startswith("measured/") else word for word in words]
    run = typer.testing.CliRunner().invoke(
        app, [*paths, "--law", "exponential", "--no-figure", "--out", str(tmp_path / "a.json")]
    )
    assert run.exit_code == 0, run.exception


def test_every_file_has_a_command(data_root: Path) -> None:
    named = {word for command in COMMANDS for word in shlex.split(command) if word.startswith("measured/")}
    found = {at(data_root, word) for word in named}
    files = set((data_root / "measured").rglob("*.*sv*"))
    assert found == files


def test_taox_ramps(data_root: Path) -> None:
    folder = data_root / "measured" / "cross-sim-v2"
    trains = read([folder / "set.csv", folder / "reset.csv"], unit="A @ 0.1 V").trains
    steps = trains.steps()
    assert len(trains.g) == 13_417
    assert len(steps.at) == 13_417 - 79  # one reading of each ramp has no pulse before it
    table = np.genfromtxt(folder / "reset.csv", delimiter=",", skip_header=1)
    first = table[:, 0][~np.isnan(table[:, 0])]
    assert_close(trains.g[: len(first)], 10 * first, rtol=1e-12)
    assert trains.polarity[len(first)] == 1


def test_gong2018(data_root: Path) -> None:
    path = data_root / "measured" / "gong2018" / "gong_et_al.csv"
    table = np.loadtxt(path, delimiter=",")
    trains = read(path, scale={-1.5: 5e-6, 1.5: 50e-6}).only(PulseTrains)
    assert_close(trains.g, 5e-6 + 15e-6 * (table.T.flatten() + 1.5), rtol=1e-9)
    assert trains.polarity.tolist() == [1] * 1000 + [-1] * 1000


def test_ni_rram(data_root: Path) -> None:
    folder = data_root / "measured" / "ni-rram"
    columns = ["cell", "r_set (Ohm)", "r_reset (Ohm)", "cycle"]
    table = np.loadtxt(folder / "100cyc.tsv")
    cycling = read(folder / "100cyc.tsv", columns=columns).only(Cycling)
    assert_close(cycling.g_set, 1 / table[:, 1], rtol=1e-12)
    assert_close(cycling.g_reset, 1 / table[:, 2], rtol=1e-12)
    assert len(cycling.names) == 1024
    baked = read(folder / "postbake.tsv", columns=["cell", "r (Ohm)"]).only(Readout)
    assert_close(baked.g, 1 / np.loadtxt(folder / "postbake.tsv")[:, 1], rtol=1e-12)
    sweep = read(folder / "read_multivolt.tsv", columns=["cell", "i (A)", "v (V)"]).only(Sweep)
    assert_close(sweep.i, np.loadtxt(folder / "read_multivolt.tsv")[:, 1], rtol=1e-12)


@pytest.mark.slow
def test_relaxation_of_technology_c(data_root: Path) -> None:
    path = at(data_root, "measured/rram-relaxation/techC/relaxdata.min.tsv.gz")
    columns = ["cell", "time (s)", "r (Ohm)", "g (S)", "g_start (S)", "level", "nominal_time (s)"]
    found = read(path, columns=columns)
    data = found.only(RelaxationData)
    table = np.loadtxt(path)
    assert len(data.g) + len(found.left_out) == len(table)
    assert (table[:, 3] <= 0).sum() == len(found.left_out)
    kept = table[table[:, 3] > 0]
    assert_close(np.sort(data.g), np.sort(kept[:, 3]), rtol=1e-12)
    late = data.time > 1e5
    assert data.g_start is not None
    assert_close((data.g - data.g_start)[late].mean(), -1.45e-6, rtol=0.01)  # as its README has it

"""`ohmweave bench form|map|run` on a stub: from fresh cells to an accuracy, and 0 V after Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

import ohmweave as ow
from ohmweave.bench import CellCondition, CellMap, read_events, wear
from ohmweave.cli import main

LAB = """
import json, os, time
import torch
from ohmweave.arrays import SimulatedArray
from ohmweave.bench import Crosspoints, StubBoard
from ohmweave.cells import Cell, LinearStep, StuckCells
from ohmweave.testing import BareArray

LAW = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=31), faults=StuckCells(fraction=0.02, g_stuck=(3e-6, 19e-6)))
POINTS = Crosspoints(SimulatedArray(LAW, rows=18, cols=22, seed=1), v_set=1.5, v_reset=1.2)
POINTS.v_form[:] = 2.0
POINTS.v_form[0, 3, 4] = 7.0
POINTS.open_rows[0, 17] = True

def board():
    return StubBoard(POINTS)  # the same cells in every command of a process

def bare():
    return BareArray(rows=5, cols=7)

class Slow(StubBoard):
    '''Its lines are in a file.'''
    def _note(self):
        with open("lines.json", "w") as file:
            json.dump([list(self.driven.values()), self.crosspoints.n_pulses], file)
    def pulse(self, v, width):
        array, (row,), (col,) = self._selected
        self.driven = {("row", array, row): v}
        self._note()
        time.sleep(0.02)
        super().pulse(v, width)
    def ground(self):
        super().ground()
        self._note()

def slow():
    POINTS.v_form[:] = 0.0
    return Slow(POINTS)
"""

NETWORK = """
import torch

def network(shape, n_classes):
    return torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(16, n_classes))
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lab.py").write_text(LAB)
    (tmp_path / "net.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in ("bench", *arguments)])
    return ended.value.code


FORM = (
    "--v-start", "1.6 V", "--v-step", "0.2 V", "--v-stop", "2.2 V", "--width", "10 us", "--g-formed", "1 uS",
)  # fmt: skip


def test_from_fresh_cells_to_an_accuracy(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process, one board: `board` must return the same cells each time."""
    import importlib.util

    made = importlib.util.spec_from_file_location("lab", lab / "lab.py")
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    made.loader.exec_module(module)
    monkeypatch.setattr("ohmweave.cli.bench_board._names_of", lambda file: vars(module))
    common = ("board", "--import", lab / "lab.py", "--log", "board.log", "--v-max", "2.5 V")
    assert run("form", *common, *FORM) == 1  # one cell and a row are not formed
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(r"373 conduct, 373 were formed now, at 2 to 2 V, 23 are not formed", text), text
    assert len((lab / "forming.csv").read_text().splitlines()) == 397
    assert run("map", *common, "--n-pulses", 31, "--figure", "map.png", "--g-open", "10 nS") == 0
    cells = CellMap.load(lab / "cells.safetensors")
    assert " ".join(repr(cells).split()) in " ".join(capsys.readouterr().out.split())
    assert int(cells.state[0, 3, 4]) == CellCondition.UNFORMED
    assert cells.open_rows.nonzero().tolist() == [[0, 17]]
    assert torch.equal(cells.n_pulses.flatten(), wear(lab / "board.log"))
    assert (lab / "map.png").stat().st_size > 1_000
    with_map = ("--map", "cells.safetensors", "--network", "net.py", "--images", 150, "--epochs", 60)
    before = wear(lab / "board.log")
    assert run("run", *common, *with_map, "--tolerance", "0.31 uS", "--dry-run") == 0
    assert "dry run: nothing was sent" in capsys.readouterr().out
    assert torch.equal(wear(lab / "board.log"), before)
    assert run("run", *common, *with_map, "--tolerance", "0.31 uS", "--tune", 4) == 0
    text = capsys.readouterr().out
    accuracy = [float(found) for found in re.findall(r"(?:software|board|there) +([\d.]+)%", text)]
    assert len(accuracy) == 3
    assert min(accuracy) > 65
    assert max(accuracy) - min(accuracy) < 6
    sent = wear(lab / "board.log") - before
    assert sent.any()
    assert not sent[cells.state.flatten() != CellCondition.USABLE].any()


def test_tuning_lowers_the_loss_by_pulses_to_the_last_layer() -> None:
    """A layer that was trained too little for its data; the loss is that of the training images."""
    from ohmweave.arrays import SimulatedArray
    from ohmweave.cells import LinearStep
    from ohmweave.cli.bench_run import tune_last_layer
    from ohmweave.data import Dataset, Split

    torch.manual_seed(0)
    labels = torch.arange(400) % 4
    x = torch.rand(400, 6) + torch.nn.functional.one_hot(labels, 6)
    split = Split(images=x, labels=labels)
    data = Dataset(name="four", train=split, validation=split.take(1), test=split.take(1), n_classes=4)
    model = torch.nn.Sequential(torch.nn.Linear(6, 6, bias=False), torch.nn.Linear(6, 4, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(6))
    array = SimulatedArray(LinearStep(g_min=2e-6, g_max=20e-6, levels=181), rows=16, cols=16)
    write = ow.WriteVerify(tolerance=0.2e-6)
    net = ow.deploy(model, ow.Chip(array=array), write=write)
    first, last = (weight.matrix.cells.flatten() for weight in net.chip_parameters())
    before, g = float(net.loss(cross_entropy, net(x), labels).detach()), array.readout(torch.arange(256))
    tune_last_layer(net, data, write, n_batches=40, seed=0)
    moved = array.readout(torch.arange(256)) != g
    assert moved[last].any()
    assert moved.sum() == moved[last].sum()
    assert not moved[first].any()
    assert float(net.loss(cross_entropy, net(x), labels).detach()) < before


def test_a_network_that_does_not_fit_is_not_trained(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ohmweave.evaluation.networks.train", lambda *_, **__: pytest.fail("it is trained"))
    assert run("run", "board", "--import", lab / "lab.py", "--tolerance", "0.3 uS", "--network", "mlp") == 1
    assert "are more than the 396 of the chip" in " ".join(capsys.readouterr().err.split())


def test_the_commands_have_the_same_options_of_the_board(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("form", "map", "run"):
        assert run(command, "--help") == 0
        text = capsys.readouterr().out
        for one in (
            "DRIVER",
            "--import",
            "--log",
            "--v-max",
            "--i-max",
            "--pulses-per-cell",
            "--attempts",
            "--timeout",
        ):
            assert one in text, (command, one)
        assert ("--dry-run" in text) is (command != "form")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("map", "board", "--v-max", "1 kg"), r"`--v-max` must be a quantity in V"),
        (("map", "board", "--leave-out", "5-900"), r"must be addresses from 0 to 395"),
        (("map", "board", "--leave-out", "a"), r"must be addresses from 0 to 395"),
        (("form", "board", *FORM, "--cells", "1,1"), r"must be addresses from 0 to 395 such as 0-99,120, each once"),
        (("form", "board", *FORM, "--i-form", "50 uA"), r"`--i-after` must be given with `--i-max`"),
        (("form", "board", *FORM, "--v-max", "1.8 V"), r"forming stopped after .* \(`--v-max`\)"),
        (("run", "board", "--tolerance", "0.3 uS", "--map", "none", "--epochs", "1"), r"must be a map of cells"),
        (("run", "board", "--tolerance", "1 kg"), r"`--tolerance` must be a quantity in S"),
        (("map", "bare", "--attempts", "3"), r"`--attempts` and `--timeout` need a driver, but 'bare' returns"),
    ],
)
def test_mistakes_are_named(
    lab: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--import", lab / "lab.py") == 1
    found = " ".join(capsys.readouterr().err.split())
    assert re.search(message, found), found


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_leaves_the_lines_at_0_v(lab: Path) -> None:
    import json

    command = [sys.executable, "-m", "ohmweave", "bench", "map", "slow", "--import", "lab.py", "--log", "b.log"]
    process = subprocess.Popen(
        command,
        cwd=lab,
        env=dict(os.environ),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Tests that run in the background of a shell ignore the signal, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            driven, n = json.loads((lab / "lines.json").read_text())
        except (OSError, ValueError):
            continue
        if n > 5 and driven:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    driven, n = json.loads((lab / "lines.json").read_text())
    assert n > 5
    assert driven == []
    event = list(read_events(lab / "b.log"))[-1]
    assert event.failure is not None
    assert event.failure.kind == "PulsesInterrupted"
    assert int(event.may_have_sent.sum()) - n in (0, 1)

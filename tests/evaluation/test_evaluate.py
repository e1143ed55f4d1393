"""Whole evaluations at tiny size: a perfect cell, a stuck one, a planted property, and a run that was stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ohmweave.base import OutOfRangeError
from ohmweave.cells import AffineStep, Cell, LinearStep, StuckCells, save
from ohmweave.cli import main
from ohmweave.evaluation import EFFORTS, Effort, Evaluation, evaluate
from ohmweave.evaluation.in_situ_rules import RULES
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, WAYS
from ohmweave.evaluation.without import PROPERTIES
from ohmweave.experiments import ExperimentError

LEAST = Effort(
    networks=1,
    n_train=50,
    epochs=1,
    in_situ=1,
    trial=1,
    tuning=1,
    search_chips=1,
    extensions=1,
    finalists=1,
    draws=2,
    draw_chips=1,
    property_chips=1,
)
PERFECT_CELL = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=200))
STUCK_CELL = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=20), faults=StuckCells(fraction=1.0, g_stuck=11e-6))


@pytest.fixture
def one_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A network of one layer, with two of the rules and two of the properties: the path of a run, in seconds."""
    rules = {name: RULES[name] for name in ("mixed precision", "Manhattan")}
    properties = {name: PROPERTIES[name] for name in ("read noise", "scatter of pulses")}
    monkeypatch.setattr("ohmweave.evaluation.search.RULES", rules)
    monkeypatch.setattr("ohmweave.evaluation.course.PROPERTIES", properties)
    path = tmp_path / "one.py"
    path.write_text(
        "from torch.nn import Flatten, Linear, Sequential\n"
        "def network(shape, n_classes): return Sequential(Flatten(), Linear(64, n_classes))",
        encoding="utf-8",
    )
    return str(path)


def small(cell: Cell | Path, out: Path, effort: Effort, **options: object) -> Evaluation:
    """An evaluation on two chips. Warnings are errors in tests: writes that fail belong to the rows."""
    return evaluate(cell, chips=2, out=out, effort=effort, **options)  # type: ignore[arg-type]


def test_stuck_cells_fail_and_it_is_said(tmp_path: Path, one_layer: str) -> None:
    result = small(STUCK_CELL, tmp_path, LEAST, network=one_layer)
    for way in WAYS:
        assert result.accuracy[way].mean.value < 0.3, way
    assert any("no way comes within 3 points" in remark for remark in result.remarks) or (
        result.accuracy[SOFTWARE].mean.value < 0.3
    )
    failed = next(row for row in result.rows if row.params["stage"] == "accuracy" and row.params["way"] == TRANSFER)
    # All but those whose target is by chance where the cell is stuck, within the coarsest tolerance.
    assert failed.result["n_failed"] > 0.8 * failed.result["n_written"]


def test_a_stopped_run_goes_on_and_gives_the_same_rows(tmp_path: Path, one_layer: str) -> None:
    save(
        Cell(AffineStep(g_min=2e-6, g_max=2e-5, set_step=(4e-7, 2e-7), reset_step=(-2e-7, -4e-7), sigma=1e-7)),
        tmp_path / "cell.json",
        about={"cells": 9, "parameters": {"sigma": [1e-7, 5e-8, 2e-7]}},
    )
    whole = small(tmp_path / "cell.json", tmp_path / "whole", LEAST, network=one_layer)
    parts = [(one.chip_sd, one.fit_sd) for way, one in whole.accuracy.items() if way != SOFTWARE]
    assert all(chip_sd is not None and fit_sd is not None for chip_sd, fit_sd in parts)
    n_calls, fractions = 0, []

    def stop(fraction: float, text: str) -> None:
        nonlocal n_calls
        n_calls += 1
        fractions.append(fraction)
        if n_calls == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path / "cell.json", tmp_path / "stopped", LEAST, network=one_layer, progress=stop)
    lines = (tmp_path / "stopped" / "evaluate" / "cell" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert 0 < len(lines) < len(whole.rows)
    small(tmp_path / "cell.json", tmp_path / "stopped", LEAST, network=one_layer)
    rows = "evaluate/cell/rows.jsonl"
    assert (tmp_path / "stopped" / rows).read_bytes() == (tmp_path / "whole" / rows).read_bytes()
    assert fractions == sorted(fractions)
    with pytest.raises(ExperimentError, match=r"`out` \(`--out`\) must be a new folder .* another seeds"):
        evaluate(tmp_path / "cell.json", chips=3, out=tmp_path / "whole", effort=LEAST, network=one_layer)
    with pytest.raises(ExperimentError, match="another cell"):
        evaluate(PERFECT_CELL, chips=2, out=tmp_path / "whole", effort=LEAST, network=one_layer)


@pytest.mark.slow
def test_a_training_goes_on_at_its_last_epoch(tmp_path: Path, one_layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    long = replace(LEAST, in_situ=5, n_train=100)
    cell = Cell(AffineStep(g_min=2e-6, g_max=2e-5, set_step=(4e-7, 2e-7), reset_step=(-2e-7, -4e-7), sigma=1e-7))
    whole = small(cell, tmp_path / "whole", long, network=one_layer)
    monkeypatch.setattr("ohmweave.evaluation.learning.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    epochs: list[str] = []

    def stop(fraction: float, text: str) -> None:
        epochs.append(text)
        if "epoch 4 of 5" in text:
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        small(cell, folder, long, network=one_layer, progress=stop)
    assert [path.name.rpartition("-")[2] for path in folder.glob("artifacts/*-epoch-*")] == ["3.safetensors"]
    n_before = len(epochs)
    small(cell, folder, long, network=one_layer, progress=lambda fraction, text: epochs.append(text))
    first = next(text for text in epochs[n_before:] if "of 5" in text)
    assert "epoch 4 of 5" in first
    rows = "evaluate/cell/rows.jsonl"
    assert (folder / rows).read_bytes() == (tmp_path / "whole" / rows).read_bytes()
    assert not list(folder.glob("artifacts/*-epoch-*"))
    assert whole.rows


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_killed_commands_go_on_and_give_the_same_rows(tmp_path: Path, sent: signal.Signals) -> None:
    work = (
        "import sys\nfrom ohmweave.cells import Cell, LinearStep\nfrom tests.evaluation.test_evaluate import LEAST\n"
        "from ohmweave.evaluation import EFFORTS\nEFFORTS['smoke'] = LEAST\nfrom ohmweave.cli import main\n"
        "main(['evaluate', 'cell.json', '--chips', '2', '--out', sys.argv[1]])"
    )
    save(Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=20)), tmp_path / "cell.json")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    command = [sys.executable, "-c", work]
    rows = Path("evaluate/cell/rows.jsonl")

    def started(out: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([*command, out], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)

    whole = started("whole")
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    stopped = 0
    for n_lines in (3, 12, 25):
        process = started("killed")
        path = tmp_path / "killed" / rows
        while process.poll() is None and (not path.is_file() or path.read_bytes().count(b"\n") < n_lines):
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(sent)
            stopped += 1
        said = process.communicate(timeout=300)[1].decode()
        if sent == signal.SIGINT and process.returncode:
            assert process.returncode == 130
            assert "the same command continues from there" in said
    assert stopped >= 2
    last = started("killed")
    last.communicate(timeout=300)
    assert last.returncode == 0
    # A stage that was cut short may begin with the trials that its last results ask for: the order is no result.
    killed, uncut = ((tmp_path / out / rows).read_bytes().splitlines() for out in ("killed", "whole"))
    assert sorted(killed) == sorted(uncut)


def test_command_prints_search_results_and_page(
    tmp_path: Path, one_layer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EFFORTS, "smoke", LEAST)  # type: ignore[arg-type]
    save(STUCK_CELL, "cell.json")
    done = []
    for more in ([], ["--wait", "1"]):
        with pytest.raises(SystemExit) as stopped:
            main(["evaluate", "cell.json", "--chips", "2", "--network", one_layer, "--out", "worth", *more])
        done.append((stopped.value.code, capsys.readouterr()))
    (code, printed), (refused, complaint) = done
    assert code == 0
    assert "learning in situ, and on beyond an end" in printed.err
    assert "note: the file has no amplitudes and widths of pulses" in printed.err
    # First what the file says, then what is searched, then each way when it has ended.
    lines = [line for line in printed.err.splitlines() if not line.startswith("evaluate ")]
    starts = ["cell: switching law LinearStep", "cell: valid from", "search, on", f"{SOFTWARE}: ", f"{TRANSFER}: "]
    starts += [f"{IN_SITU}: ", "without all properties", "note: "]
    at = [next(k for k, line in enumerate(lines) if line.startswith(start)) for start in starts]
    assert at == sorted(at)
    assert "learnt in situ" in printed.out
    page = (tmp_path / "worth" / "report.html").read_text(encoding="utf-8")
    assert "Every number was computed from the rows" in page
    assert "A verdict compares" not in page  # it has no claims, so that there is none
    assert refused == 1
    assert "`--wait` must" in complaint.err


def test_arguments_are_refused_by_name(tmp_path: Path) -> None:
    for options, message in (
        ({"data": "cifar10"}, "`data` must be one of digits, mnist, but is 'cifar10'"),
        ({"scale": "huge"}, "`scale` must be one of smoke, full"),
        ({"chips": 1}, "`chips` must be"),
        ({"wait": -1.0}, "`wait` must be"),
        ({"network": "rnn"}, r"`network` \(`--network`\) must be mlp, cnn or an existing .py file, but is 'rnn'"),
    ):
        with pytest.raises(OutOfRangeError, match=message):
            evaluate(PERFECT_CELL, out=tmp_path / "none", **options)  # type: ignore[arg-type]
    for text, message in (
        ("x = 1", "does not"),
        ("1 / 0", "raises ZeroDivisionError"),
        ("def network(shape, n_classes): return 3", "returns 3 from it"),
        (
            "import torch\ndef network(shape, n_classes): return torch.nn.Flatten()",
            r"into \(2, 10\), but returns \(2, 64\)",
        ),
        ("import torch\ndef network(shape, n_classes): return torch.nn.Linear(3, 10)", "but raises RuntimeError"),
    ):
        (tmp_path / "net.py").write_text(text, encoding="utf-8")
        with pytest.raises(OutOfRangeError, match=message):
            evaluate(PERFECT_CELL, out=tmp_path / "none", network=tmp_path / "net.py")
    assert not (tmp_path / "none").exists()
    assert IN_SITU in WAYS

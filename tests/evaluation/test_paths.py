"""The paths of `ohmweave evaluate` that other tests do not take: MNIST, a convolutional network, one of a file."""

from pathlib import Path

import pytest

from ohmweave.cells import AffineStep, Cell, ReadNoise, Spread, save
from ohmweave.cli import main
from ohmweave.evaluation import EFFORTS, EVALUATION, Effort
from ohmweave.evaluation.in_situ_rules import RULES
from ohmweave.evaluation.ways import SOFTWARE, WAYS
from ohmweave.experiments import read_rows

LEAST = Effort(
    networks=1,
    n_train=100,
    epochs=2,
    in_situ=1,
    trial=1,
    tuning=1,
    search_chips=1,
    extensions=0,
    finalists=1,
    draws=2,
    draw_chips=1,
    property_chips=1,
)
CELL = Cell(
    AffineStep(g_min=2e-6, g_max=20e-6, set_step=(9e-7, 9e-7), reset_step=(-9e-7, -9e-7), sigma=2e-7),
    spread=Spread(d2d=0.1),
    read_noise=ReadNoise(floor=1e-7),
)
FILE = """
import torch


class Residual(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.inner = torch.nn.Linear(n, n)
        self.norm = torch.nn.LayerNorm(n)

    def forward(self, x):
        return x + torch.relu(self.inner(self.norm(x)))


def network(shape, n_classes):
    n = shape[0] * shape[1] * shape[2]
    return torch.nn.Sequential(torch.nn.Flatten(), Residual(n), torch.nn.Dropout(0.1), torch.nn.Linear(n, n_classes))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--data", "mnist"], marks=pytest.mark.data("mnist")),
        ["--network", "cnn"],
        ["--network", "mine.py"],
    ],
    ids=" ".join,
)
def test_path(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EFFORTS, "smoke", LEAST)  # type: ignore[arg-type]
    monkeypatch.setattr("ohmweave.evaluation.search.RULES", {"mixed precision": RULES["mixed precision"]})
    Path("mine.py").write_text(FILE, encoding="utf-8")
    save(CELL, "cell.json", about={"cells": 9, "parameters": {"sigma": [2e-7, 1e-7, 3e-7]}})
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "cell.json", "--chips", "2", "--out", "worth", *options])
    printed = capsys.readouterr()
    assert stopped.value.code == 0, printed.err
    for way in (SOFTWARE, *WAYS):
        assert f"\n{way}: " in printed.err
    rows = read_rows(Path("worth") / EVALUATION.name / "rows.jsonl")
    accuracy = [row for row in rows if row.params["stage"] == "accuracy"]
    assert len(accuracy) == len(WAYS) * 3
    assert all(len(row.result["n_correct"]) == (2 if row.params["draw"] == 0 else 1) for row in accuracy)
    page = (tmp_path / "worth" / "report.html").read_text(encoding="utf-8")
    assert "There are no rows" not in page

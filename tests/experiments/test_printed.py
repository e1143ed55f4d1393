"""What people print is short: one to three lines that say what the object is."""

from pathlib import Path

import torch

from ohmweave.data import Dataset, Split
from ohmweave.experiments import Summary, judge
from tests.helpers.experiments import CLAIMS, NAME, experiment, row

ROW = row({"n_heads": [55], "n_tosses": 100, "g": 2e-6}, data="mnist", scale="full")


def test_claims_findings_and_experiments() -> None:
    assert repr(CLAIMS[0]) == "Claim('heads': share of heads; 0.55 1 in Table 1; within 0.02 of the paper)"
    assert repr(CLAIMS[1]) == "Claim('g': conductance; no number in Fig. 2; at least 1e-06)"
    assert repr(judge(CLAIMS[1], [ROW])) == "Finding('g': ours 2e-06 S, paper None; met)"
    assert repr(judge(CLAIMS[1], [])) == "Finding('g': ours nothing, paper None; not run)"
    assert repr(experiment()) == "Experiment('coins/toss': Coins; 3 claims, cpu)"


def test_rows_and_summaries() -> None:
    expected = f"Row({NAME} {ROW.id}: data=mnist, scale=full, seed=0)\n  result: n_heads, n_tosses, g"
    assert repr(ROW) == expected
    summary = Summary(n_tasks=5, n_before=2, path=Path("a") / "rows.jsonl", seconds=1.26)
    assert repr(summary) == f"Summary(3 of 5 tasks run, 2 had rows before; 1.3 s; {Path('a', 'rows.jsonl')})"


def test_data_sets() -> None:
    split = Split(images=torch.zeros(1200, 1, 8, 8), labels=torch.zeros(1200, dtype=torch.int64))
    assert repr(split) == "Split(1,200 images of (1, 8, 8), float32, on cpu)"
    data = Dataset(name="digits", train=split, validation=split[:0], test=split[:20], n_classes=10)
    assert repr(data) == ("Dataset('digits': 1,200 training, 0 validation, 20 test images of (1, 8, 8), 10 classes)")

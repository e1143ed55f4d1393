"""Threads, Numba and the hash seed: on one machine the rows are equal."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ohmweave.experiments import Options, run_experiment
from tests.helpers.experiments import experiment
from tests.same_rows import RUN, results_of

PROGRAM = """
import sys
from pathlib import Path
if "no-numba" in sys.argv:
    sys.modules["numba"] = None
import torch
import ohmweave as ow
from ohmweave.base import generator
from ohmweave.cells import Cell, ReadNoise, linear_steps
from ohmweave.experiments import Experiment, Options, Task, run_distributed, run_experiment

def run(task, context):
    law = linear_steps(g_min=2e-6, g_max=20e-6, levels=100, c2c=0.5)
    chip = ow.Chip(Cell(law, read_noise=ReadNoise(floor=1e-7)), rows=64, cols=64, n_chips=2, seed=1 + task.seed)
    layer = ow.nn.Linear(24, 16, chip=chip, name="w")
    rule = ow.optim.PulsedSGD([layer.weight], lr=0.05, g_step=1e-7, generator=generator(1, "rule"))
    losses = []
    for n in range(4):
        rule.zero_grad()
        x = torch.rand(600, 24, generator=generator(n, "x"), device="cpu", dtype=torch.float32)
        loss = layer(x).square().mean()
        loss.backward()
        rule.step()
        losses.append(float(loss.detach()))
    g = chip.array.readout(chip.array.cells(layer.matrix.placement))
    words = {"weights", "biases", "gains", "offsets"}
    return {"losses": losses, "g": g.flatten().tolist(), "words": sorted(words)}

torch.set_num_threads(int(sys.argv[2]))
one = Experiment(
    name="same/digits", title="", paper="", summary="", claims=(), assumptions=(), run=run,
    tasks=lambda options: [Task(experiment="same/digits", params={}, seed=seed) for seed in range(options.seeds)],
)
workers = int(sys.argv[4])
options = Options(out=Path(sys.argv[1]), threads=int(sys.argv[3]), seeds=3 if workers else 1)
if workers > 0:
    run_distributed(one, options, lambda fraction, text: None, workers=workers)
else:
    run_experiment(one, options, lambda fraction, text: None)
"""


def rows(out: Path, threads: int, *more: str, in_each: int = 1, hash_seed: int = 0) -> dict[str, Any]:
    """The row of the program above; it is equal to another if the bytes of the files are."""
    (line,) = lines(out, threads, *more, in_each=in_each, hash_seed=hash_seed)
    found: dict[str, Any] = json.loads(line)
    return found


def lines(
    out: Path, threads: int, *more: str, in_each: int = 1, hash_seed: int = 0, workers: int = 0, warn: str = "error"
) -> list[str]:
    """The lines of rows of the program above; with `workers` three tasks, without them (-1) in one process."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-W", warn, "-c", PROGRAM, str(out), str(threads), str(in_each), str(workers), *more],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"PYTHONHASHSEED": str(hash_seed)},
    )
    assert done.returncode == 0, done.stderr
    return (out / "same" / "digits" / "rows.jsonl").read_text().splitlines()


@pytest.mark.slow
def test_rows_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    """Noisy chips that learn, three tasks: in one process, in one worker and in two."""
    pytest.importorskip("distributed")
    alone = lines(tmp_path / "alone", 1, workers=-1)
    assert len(set(alone)) == 3
    for workers in (1, 2):
        found = lines(tmp_path / str(workers), 2, workers=workers, warn="ignore")
        if json.loads(found[0])["versions"]["cpu"] != json.loads(alone[0])["versions"]["cpu"]:
            pytest.skip("the processor changed between the runs")
        assert sorted(found) == sorted(alone)


@pytest.mark.slow
def test_rows_do_not_depend_on_threads_numba_or_the_hash_seed(tmp_path: Path) -> None:
    first = rows(tmp_path / "1", 1)
    assert first["versions"]["threads"] == "1"
    other = rows(tmp_path / "2", 2, hash_seed=5)
    if other["versions"]["cpu"] != first["versions"]["cpu"]:
        pytest.skip("the processor changed between the runs")
    assert other == first
    plain = rows(tmp_path / "plain", 1, "no-numba")
    assert plain["result"] == first["result"]
    assert {key for key in first["versions"] if plain["versions"][key] != first["versions"][key]} <= {"numba"}
    assert rows(tmp_path / "more", 1, in_each=2)["versions"]["threads"] == "2"  # asked for, and recorded


FEW = """
import ohmweave.data as data
load = data.load

def few(name="digits", **options):
    whole = load(name, **options)
    parts = {part: getattr(whole, part).take(n) for part, n in (("train", 400), ("validation", 50), ("test", 50))}
    return data.Dataset(name=whole.name, n_classes=whole.n_classes, **parts)

data.load = few
"""
SAMPLE_BY_SAMPLE = ["zhang2018/robustness", "zhang2018/sbp", "stellar2023/last-layer", "rules/compare"]


@pytest.mark.slow
def test_experiments_give_the_same_rows_with_and_without_numba() -> None:
    """Those that train sample by sample, by few images; `python -m tests.same_rows` compares all of them whole."""
    pytest.importorskip("numba")
    one, other = (results_of(SAMPLE_BY_SAMPLE, how, program=FEW + RUN) for how in ("numba", "no-numba"))
    assert {name.split()[0] for name in one} == set(SAMPLE_BY_SAMPLE)
    assert one.keys() == other.keys()
    assert [name for name, result in one.items() if result != other[name]] == []


@pytest.mark.slow
def test_a_run_without_numba_in_a_folder_of_one_with_it_says_so(tmp_path: Path) -> None:
    """By the command: rows of both are kept, and the user is told that they differ in more than the tasks."""
    program = """
import sys
if "no-numba" in sys.argv:
    sys.modules["numba"] = None
from ohmweave.cli import main
main(["run", "coins/toss", "--import", sys.argv[1], "--out", sys.argv[2], "--seeds", sys.argv[3]])
"""
    coins = tmp_path / "coins_to_toss.py"
    coins.write_text(
        "from tests.helpers.experiments import experiment\nfrom ohmweave.experiments import register\n\n"
        "register(experiment())\n"
    )

    def run(seeds: int, *more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, str(coins), str(tmp_path / "out"), str(seeds), *more],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "computed otherwise" not in run(1)
    told = run(2, "no-numba")
    assert "computed otherwise" in told
    assert "there, no here" in told
    lines = (tmp_path / "out" / "coins" / "toss" / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line)["versions"]["numba"] == "no" for line in lines] == [False, True]


def test_a_run_leaves_the_threads_of_the_process_as_they_were(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    one = experiment(run=lambda task, context: seen.append(torch.get_num_threads()) or {"x": 1})
    try:
        torch.set_num_threads(2)
        run_experiment(one, Options(out=tmp_path, threads=3), lambda fraction, text: None)
        assert (seen, torch.get_num_threads()) == ([3], 2)
    finally:
        torch.set_num_threads(before)

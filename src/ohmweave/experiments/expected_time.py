"""The expected time of a run: measured durations of earlier tasks, times the tasks that are still to do.

Durations come from the log of the results folder, if rows of the same data set and scale are there, otherwise from
`durations.json`: seconds of a task on one machine, with the seconds that a fixed computation, `calibrate`, took there.
The ratio of `calibrate` here and there scales them to this machine. Some of them are extrapolated from the progress of
a task that was stopped. An experiment that was never measured has no expected time. `benchmarks/durations.py` makes the
file.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated

import torch

from ohmweave.base.fields import check_fields, integer, non_negative
from ohmweave.experiments.experiment import Experiment
from ohmweave.experiments.rows import ROWS, read_log, read_rows
from ohmweave.experiments.running import unique_tasks
from ohmweave.experiments.tasks import Options, Row, Task
from ohmweave.experiments.values import JSON

DURATIONS = Path(__file__).with_name("durations.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The expected time of one experiment.

    Attributes:
        experiment: its name.
        n_todo, n_tasks: tasks without a row, and all tasks.
        seconds: s, for the tasks without a row one after another; None if no duration was measured.
        source: where the duration of a task comes from.
    """

    experiment: str
    n_todo: Annotated[int, integer(at_least=0)]
    n_tasks: Annotated[int, integer(at_least=0)]
    seconds: Annotated[float, non_negative("s")] | None
    source: str

    def __post_init__(self) -> None:
        check_fields(self)


def calibrate() -> float:
    """Seconds of a fixed computation, the shortest of three: products, random numbers and elementwise operations."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    a = torch.rand(400, 400, generator=generator, dtype=torch.float32, device="cpu")
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(20):
            b = torch.randn(a.shape, generator=generator, dtype=a.dtype, device=a.device)
            torch.addcmul(b, a, b).clamp(0, 1).matmul(a).sum().item()
        best = min(best, time.perf_counter() - start)
    return best


def expected_times(chosen: Sequence[tuple[Experiment, Options]]) -> list[Expected]:
    """The expected time of each experiment under its options, in their order."""
    known = json.loads(DURATIONS.read_text(encoding="utf-8"))
    slower = calibrate() / known["calibration"]
    return [_expected(experiment, options, known, slower) for experiment, options in chosen]


def _expected(experiment: Experiment, options: Options, known: Mapping[str, JSON], slower: float) -> Expected:
    tasks = unique_tasks(experiment, options)
    rows = {row.id: row for row in read_rows(options.out / experiment.name / ROWS)}
    todo = [task for task in tasks if task.id not in rows]
    scopes = {_scope(task) for task in tasks}
    of_the_same = [row for row in rows.values() if _scope(row) in scopes]
    seconds, source = _of_a_chip(experiment.name, options.out, of_the_same, known, slower, scopes)
    return Expected(
        experiment=experiment.name,
        n_todo=len(todo),
        n_tasks=len(tasks),
        seconds=None if seconds is None and todo else (seconds or 0.0) * sum(_n_chips(task) for task in todo),
        source=source,
    )


def _of_a_chip(
    name: str, out: Path, rows: Sequence[Row], known: Mapping[str, JSON], slower: float, scopes: set[str]
) -> tuple[float | None, str]:
    """Seconds of a task with one chip on this machine, or None, and where they come from."""
    folder = out / name
    log = read_log(folder)
    here = [log[row.id] / _n_chips(row) for row in rows if row.id in log]
    if here:
        return fmean(here), f"mean of {len(here)} tasks in {folder}"
    for kind, source in (("seconds", "measured on the reference machine"), ("extrapolated", "extrapolated there")):
        found = [value for scope, value in known[kind].get(name, {}).items() if scope in scopes]
        if found:
            return fmean(found) * slower, f"{source}, scaled to this one"
    return None, "not measured"


def _n_chips(one: Task | Row) -> int:
    """Chips that are simulated in one task; its duration grows at most in proportion to them."""
    return int(one.params.get("seeds") or 1)


def _scope(one: Task | Row) -> str:
    """Data set and scale, as in "mnist-full"; "any" where a task does not depend on one of them."""
    return f"{one.params.get('data', 'any')}-{one.params.get('scale', 'any')}"


def durations(rows: Mapping[str, Sequence[Row]], log: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Mean seconds of a task with one chip by experiment and "DATA-SCALE", for `durations.json`.

    Args:
        rows: by experiment, as `read_results` gives them.
        log: seconds by row id, as `read_log` gives them.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for name, some in rows.items():
        for row in some:
            if row.id in log:
                found.setdefault(name, {}).setdefault(_scope(row), []).append(log[row.id] / _n_chips(row))
    return {name: {scope: fmean(some) for scope, some in by_scope.items()} for name, by_scope in found.items()}

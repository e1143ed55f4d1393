"""Runs the tasks of an experiment that have no row yet, one after the other."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

from ohmweave.base.fields import check_fields, integer, non_negative
from ohmweave.experiments.computing import in_threads
from ohmweave.experiments.experiment import Experiment
from ohmweave.experiments.origin import other_origins
from ohmweave.experiments.provenance import commit, versions
from ohmweave.experiments.rows import ROWS, RowWriter, open_rows
from ohmweave.experiments.tasks import Context, Options, Task, row_of

Progress: TypeAlias = Callable[[float, str], None]
"""`progress(fraction, text)`: the fraction of all tasks that is done, from 0 to 1, and the present task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Numbers of tasks, and the duration of a run.

    Attributes:
        n_tasks: number of tasks in all.
        n_before: number of tasks that had a row before the run, and were not run again.
        path: file of the rows.
        seconds: duration of the run, s.
        other: one line on those of the `n_before` rows that another version or commit computed; empty if none.
    """

    n_tasks: Annotated[int, integer(at_least=0)]
    n_before: Annotated[int, integer(at_least=0)]
    path: Path
    seconds: Annotated[float, non_negative("s")]
    other: str = ""

    def __post_init__(self) -> None:
        check_fields(self)

    def __repr__(self) -> str:
        done = f"{self.n_tasks - self.n_before} of {self.n_tasks} tasks run"
        return f"Summary({done}, {self.n_before} had rows before; {self.seconds:.1f} s; {self.path})"


def run_experiment(experiment: Experiment, options: Options, progress: Progress, *, refresh: bool = False) -> Summary:
    """Run the tasks of `experiment` under `options` whose rows are not in `options.out`.

    Each row is on the disk before the next task starts, so stopping a run at any moment (Ctrl-C included) loses at
    most the task that was running, and the same call continues where it stopped.

    Args:
        experiment: the experiment.
        options: the user's options.
        progress: called before each task, and by the task.
        refresh: if True, also run the tasks whose rows another version or commit of the code computed. The new rows are
            appended; of several rows of one task, the last counts.

    Raises:
        ExperimentError: the experiment does not support `options.device`, another run is writing to the same rows, or
            a result has no JSON form (for example NaN).
    """
    experiment.check_device(options.device)
    start = time.monotonic()
    tasks = unique_tasks(experiment, options)
    with in_threads(options.threads), open_rows(options.out, experiment.name, refresh=refresh) as rows:
        other = others_among(tasks, rows)
        todo = [task for task in tasks if task.id not in rows.done]
        n_before = len(tasks) - len(todo)
        for n_done, task in enumerate(todo, start=n_before):
            report = _part_of(progress, n_done, len(tasks))
            report(0.0, f"task {n_done + 1} of {len(tasks)}: {describe(task)}")
            started, task_start = now(), time.monotonic()
            result = experiment.run(task, Context(options=options, progress=report))
            rows.append(
                row_of(task, result, versions(), commit()), seconds=time.monotonic() - task_start, started=started
            )
        progress(1.0, "done")
        path = rows.folder / ROWS
    return Summary(n_tasks=len(tasks), n_before=n_before, path=path, seconds=time.monotonic() - start, other=other)


def others_among(tasks: Sequence[Task], rows: RowWriter) -> str:
    """One line on the rows of `tasks` that count as done and that other code computed; empty if there are none."""
    wanted = {task.id for task in tasks} & rows.done
    return other_origins([row for row in rows.before if row.id in wanted])


def unique_tasks(experiment: Experiment, options: Options) -> list[Task]:
    """The tasks of `experiment` in its order, each id once; tasks whose ids are equal give equal rows."""
    return list({task.id: task for task in experiment.tasks(options)}.values())


def describe(task: Task) -> str:
    """The params and seed of a task in one short line, for the progress."""
    simple: Sequence[str] = [
        f"{name}={value}" for name, value in task.params.items() if isinstance(value, str | int | float)
    ]
    return ", ".join([*simple, f"seed={task.seed}"])


def now() -> str:
    """The time as the log writes it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _part_of(progress: Progress, n_done: int, n_tasks: int) -> Progress:
    """The progress of one of `n_tasks` tasks as a part of them all; it does not go back within the task."""
    highest = 0.0

    def part(fraction: float, text: str) -> None:
        nonlocal highest
        highest = min(max(highest, fraction), 1.0)
        progress((n_done + highest) / n_tasks, text)

    return part

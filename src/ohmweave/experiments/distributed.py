"""Runs tasks on many processes or machines with Dask. Needs the extra: `pip install ohmweave[distributed]`."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ohmweave.base.errors import ExperimentError
from ohmweave.experiments.computing import in_threads
from ohmweave.experiments.discovery import import_experiments
from ohmweave.experiments.experiment import Experiment
from ohmweave.experiments.provenance import commit, versions
from ohmweave.experiments.rows import ROWS, open_rows
from ohmweave.experiments.running import Progress, Summary, describe, now, others_among, unique_tasks
from ohmweave.experiments.tasks import Context, Options, Task, row_of
from ohmweave.experiments.values import JSON


def run_distributed(
    experiment: Experiment,
    options: Options,
    progress: Progress,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    imports: Sequence[Path] = (),
    refresh: bool = False,
) -> Summary:
    """As `run_experiment`, with the tasks distributed over Dask workers. Only this process writes rows.

    The rows are the same as those of `run_experiment`; their order in the file is the order in which they finished.

    Args:
        experiment: the experiment. The workers must be able to import its functions, from an installed package or from
            one of `imports`.
        options: the user's options; `out` and `data_dir` must be the same folders on all machines.
        progress: called as each task finishes.
        scheduler: address of a running scheduler ("tcp://host:8786"); None starts a cluster on this machine.
        workers: number of processes of that cluster; None is one for each core.
        imports: files that each worker imports first, as `import_experiments` does; their paths must mean the same
            files on all machines.
        refresh: as in `run_experiment`.

    Raises:
        ExperimentError: Dask is not installed, the scheduler does not answer, or as `run_experiment`.
    """
    experiment.check_device(options.device)
    start = time.monotonic()
    tasks = unique_tasks(experiment, options)
    with in_threads(options.threads), open_rows(options.out, experiment.name, refresh=refresh) as rows:
        other = others_among(tasks, rows)
        todo = {task.id: task for task in tasks if task.id not in rows.done}
        n_before = len(tasks) - len(todo)
        if todo:
            files = [path.resolve() for path in imports]
            with _client(scheduler, workers) as client:
                futures = _submit(client, experiment, list(todo.values()), options, files)
                progress(n_before / len(tasks), f"{len(todo)} tasks on {scheduler or 'this machine'}")
                for n_done, future in enumerate(_as_completed(futures), start=n_before + 1):
                    task_id, result, seconds, started, by = future.result()
                    task = todo[task_id]
                    rows.append(row_of(task, result, by, commit()), seconds=seconds, started=started)
                    progress(n_done / len(tasks), describe(task))
        progress(1.0, "done")
        path = rows.folder / ROWS
    return Summary(n_tasks=len(tasks), n_before=n_before, path=path, seconds=time.monotonic() - start, other=other)


@contextmanager
def local_scheduler(workers: int) -> Iterator[str]:
    """The address of a Dask cluster of `workers` processes on this machine, which ends with the block.

    For several calls of `run_distributed`, which else starts a cluster each time.

    Raises:
        ExperimentError: Dask is not installed.
    """
    try:
        from distributed import LocalCluster
    except ImportError:
        raise _not_installed() from None
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        yield str(cluster.scheduler_address)


def n_workers(scheduler: str) -> int:
    """Processes of the cluster whose scheduler has this address, at least 1.

    Raises:
        ExperimentError: Dask is not installed, or no scheduler answers.
    """
    with _client(scheduler, None) as client:
        return max(1, len(client.ncores()))


def _submit(
    client: Any, experiment: Experiment, tasks: Sequence[Task], options: Options, files: Sequence[Path]
) -> list[Any]:
    """One future for each task. The keys have the time, so that Dask does not reuse results of an earlier run."""
    function, now_seconds = _pickled(experiment.run), time.monotonic()
    return [
        client.submit(_work, function, files, task, options, key=f"{task.id}-{now_seconds}", pure=False)
        for task in tasks
    ]


def _work(
    function: bytes, files: Sequence[Path], task: Task, options: Options
) -> tuple[str, Mapping[str, JSON], float, str, dict[str, str]]:
    """Do one task, in a worker. Returns its id, its result, its duration in s, when it started, and the versions."""
    for path in files:
        import_experiments(path)
    run = _unpickled(function)
    started, start = now(), time.monotonic()
    with in_threads(options.threads):
        result = run(task, Context(options=options))
        return task.id, result, time.monotonic() - start, started, versions()


def _pickled(function: Any) -> bytes:
    """`function` as bytes, which a worker unpickles after it has imported the file that defines it."""
    from distributed.protocol.pickle import dumps

    return bytes(dumps(function))


def _unpickled(function: bytes) -> Any:
    from distributed.protocol.pickle import loads

    return loads(function)


def _client(scheduler: str | None, workers: int | None) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise _not_installed() from None
    if scheduler is None:
        return Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    try:
        return Client(scheduler)
    except (OSError, ValueError) as error:
        raise ExperimentError(f"no Dask scheduler answers at {scheduler}: {error}") from None


def _as_completed(futures: list[Any]) -> Any:
    from distributed import as_completed

    return as_completed(futures)


def _not_installed() -> ExperimentError:
    return ExperimentError(
        "--workers and --scheduler need Dask, which is not installed; `pip install ohmweave[distributed]`"
    )

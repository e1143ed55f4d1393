"""`ohmweave run`: run experiments, or continue with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.all_experiments import (
    Chosen,
    chosen_experiments,
    options_by_experiment,
    print_expected,
    write_table,
)
from ohmweave.cli.console import print_error, print_note, print_result
from ohmweave.cli.known_experiments import Imports, load_experiments
from ohmweave.cli.progress import shown_progress

if TYPE_CHECKING:
    from ohmweave.experiments import Experiment, Options

INTERRUPTED = 130


class Data(StrEnum):
    """The data sets that `--data` accepts."""

    digits = "digits"
    mnist = "mnist"
    cifar10 = "cifar10"


class Scale(StrEnum):
    """The sizes of a run that `--scale` accepts."""

    smoke = "smoke"
    full = "full"


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME...]", show_default=False, help="Experiments: names, globs ('yao2020/*') or papers ('yao2020')."
    ),
]
OneData = Annotated[
    Data | None,
    typer.Option(
        show_default="digits, which are built in; with --all --scale full: each paper's", help="Data set of all tasks."
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default="1; with --all --scale full: each experiment's own number",
        help="Independent repetitions (chips, networks).",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(show_default="results/DATA-SCALE; with each paper's data set: results/full", help="Results folder."),
]
Every = Annotated[bool, typer.Option("--all", help="Run every registered experiment; prints the expected time first.")]
DataDir = Annotated[
    Path | None,
    typer.Option(show_default="OHMWEAVE_DATA, the cache, a download", help="Folder with the data set's files."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Spread tasks over this many processes (needs the extra `distributed`).")
]
Scheduler = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Spread tasks over a running Dask cluster.")]
Table = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.md",
        show_default="with --all: claims.md in the results folder",
        help="Write all claims as one Markdown table, with commit, versions and machine hours.",
    ),
]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads of torch in each task; rows of other numbers differ in their last digits.")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Run tasks again whose rows another version or commit computed.")
]


def run(
    names: Names = None,
    every: Every = False,
    table: Table = None,
    data: OneData = None,
    data_dir: DataDir = None,
    scale: Annotated[Scale, typer.Option(help="smoke: to check that all works; full: the paper's size.")] = Scale.smoke,
    seeds: Seeds = None,
    out: Out = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed; all random numbers derive from it.")] = 0,
    device: Annotated[str, typer.Option(help="Device of torch to run on: cpu, cuda, cuda:1, ...")] = "cpu",
    threads: Threads = 1,
    workers: Workers = None,
    scheduler: Scheduler = None,
    refresh: Refresh = False,
    imports: Imports = None,
) -> None:
    """Run experiments. Tasks whose rows are in the results folder are not run again: the same command continues."""
    if workers is not None and scheduler is not None:
        raise typer.BadParameter("choose one of --workers and --scheduler")
    from ohmweave.experiments import Options

    load_experiments(imports)
    known = chosen_experiments(names or [], every=every)
    _check_device(device, known.values())
    papers = every and scale is Scale.full
    folder = out if out is not None else _folder(data, scale, papers=papers)
    options = Options(
        data=(data or Data.digits).value,
        data_dir=data_dir,
        scale=scale.value,
        seeds=seeds or 1,
        out=folder,
        device=device,
        seed=seed,
        threads=threads,
    )
    chosen = options_by_experiment(
        known.values(), options, own_data=papers and data is None, own_seeds=papers and seeds is None
    )
    if every:
        print_expected(chosen, n_workers=workers or 1)
    try:
        how = _How(workers=workers, scheduler=scheduler, imports=imports or [], refresh=refresh)
        failed = _run_all(chosen, how, go_on=every)
    except KeyboardInterrupt:
        print_note(f"stopped; the rows of finished tasks are in {folder}, and the same command continues from there")
        raise typer.Exit(INTERRUPTED) from None
    _print_claims(known, folder, folder / "claims.md" if table is None and every else table)
    if failed:
        print_error(f"not finished: {', '.join(failed)}; the same command tries them again")
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """The options of `run` that change where and whether tasks are run, not their results."""

    workers: int | None
    scheduler: str | None
    imports: Sequence[Path]
    refresh: bool


def _folder(data: Data | None, scale: Scale, *, papers: bool) -> Path:
    """The results folder where none is named. One with the papers' data sets is not named after one of them."""
    name = scale.value if papers and data is None else f"{(data or Data.digits).value}-{scale.value}"
    return Path("results") / name


def _print_claims(chosen: "Mapping[str, Experiment]", folder: Path, table: Path | None) -> None:
    from ohmweave.experiments import read_results
    from ohmweave.report import claims_table, claims_text

    results = {name: rows for name, rows in read_results(folder).items() if name in chosen}
    print_result(claims_text(claims_table(results)))
    if table is not None:
        write_table(table, results, folder)
    print_note(f"rows: {folder}   page: ohmweave report {folder}")


def _run_all(chosen: "Sequence[Chosen]", how: _How, *, go_on: bool) -> list[str]:
    """Run the experiments; with `go_on`, also those after one that fails. Returns the names of those that failed."""
    from ohmweave.base.errors import OhmweaveError

    failed = []
    for experiment, options in chosen:
        try:
            _run_one(experiment, options, how)
        except OhmweaveError as error:
            if not go_on:
                raise
            print_error(f"{experiment.name}: {error}")
            failed.append(experiment.name)
    return failed


def _run_one(experiment: "Experiment", options: "Options", how: _How) -> None:
    from ohmweave.experiments import run_distributed, run_experiment

    with shown_progress(experiment.name) as progress:
        if how.workers is None and how.scheduler is None:
            summary = run_experiment(experiment, options, progress, refresh=how.refresh)
        else:
            summary = run_distributed(
                experiment,
                options,
                progress,
                scheduler=how.scheduler,
                workers=how.workers,
                imports=how.imports,
                refresh=how.refresh,
            )
    if summary.n_before:
        print_note(f"{experiment.name}: {summary.n_before} of {summary.n_tasks} tasks had rows already")
    if summary.other:
        print_note(f"{experiment.name}: {summary.other}; --refresh runs their tasks again")


def _check_device(name: str, chosen: "Iterable[Experiment]") -> None:
    """Raise `ExperimentError` unless torch has the device and all chosen experiments support it."""
    import torch

    from ohmweave.experiments import ExperimentError

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ExperimentError(f"`--device` must be one that torch can use here, but is {name!r}: {reason}") from None
    for experiment in chosen:
        experiment.check_device(name)

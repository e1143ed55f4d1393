"""`ohmweave run`: run experiments, or continue with them."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.console import print_note, print_result
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


def run(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", show_default=False, help="Experiments: names, globs ('yao2020/*') or papers ('yao2020')."
        ),
    ],
    data: Annotated[Data, typer.Option(help="Data set. The digits are built in.")] = Data.digits,
    data_dir: Annotated[
        Path | None,
        typer.Option(show_default="OHMWEAVE_DATA, the cache, a download", help="Folder with the data set's files."),
    ] = None,
    scale: Annotated[Scale, typer.Option(help="smoke: to check that all works; full: the paper's size.")] = Scale.smoke,
    seeds: Annotated[int, typer.Option(min=1, help="Independent repetitions (chips).")] = 1,
    out: Annotated[Path | None, typer.Option(show_default="results/DATA-SCALE", help="Results folder.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed; all random numbers derive from it.")] = 0,
    device: Annotated[str, typer.Option(help="Device of torch to run on: cpu, cuda, cuda:1, ...")] = "cpu",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Spread tasks over this many processes (needs the extra `distributed`).")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Spread tasks over a running Dask cluster.")
    ] = None,
    imports: Imports = None,
) -> None:
    """Run experiments. Tasks whose rows are in the results folder are not run again: the same command continues."""
    if workers is not None and scheduler is not None:
        raise typer.BadParameter("choose one of --workers and --scheduler")
    from ohmweave.experiments import Options, match, read_results
    from ohmweave.report import claims_table, claims_text

    load_experiments(imports)
    chosen = {experiment.name: experiment for name in names for experiment in match(name)}
    _check_device(device, chosen.values())
    folder = out if out is not None else Path("results") / f"{data.value}-{scale.value}"
    options = Options(
        data=data.value, data_dir=data_dir, scale=scale.value, seeds=seeds, out=folder, device=device, seed=seed
    )
    try:
        for experiment in chosen.values():
            _run_one(experiment, options, workers, scheduler, imports or [])
    except KeyboardInterrupt:
        print_note(f"stopped; the rows of finished tasks are in {folder}, and the same command continues from there")
        raise typer.Exit(INTERRUPTED) from None
    results = {name: rows for name, rows in read_results(folder).items() if name in chosen}
    print_result(claims_text(claims_table(results)))
    print_note(f"rows: {folder}   page: ohmweave report {folder}")


def _run_one(
    experiment: "Experiment", options: "Options", workers: int | None, scheduler: str | None, imports: Sequence[Path]
) -> None:
    from ohmweave.experiments import run_distributed, run_experiment

    with shown_progress(experiment.name) as progress:
        if workers is None and scheduler is None:
            summary = run_experiment(experiment, options, progress)
        else:
            summary = run_distributed(
                experiment, options, progress, scheduler=scheduler, workers=workers, imports=imports
            )
    if summary.n_before:
        print_note(f"{experiment.name}: {summary.n_before} of {summary.n_tasks} tasks had rows already")


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

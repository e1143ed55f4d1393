"""`ohmweave report`: one self-contained page from the rows of a folder."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from ohmweave.cli.console import print_error, print_note
from ohmweave.cli.known_experiments import Imports, load_experiments


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, or one that holds several.")],
    imports: Imports = None,
) -> None:
    """Write DIR/report.html: claims, figures, tables and assumptions in one file that needs no network."""
    from ohmweave.base.errors import ExperimentError
    from ohmweave.evaluation import COMPARISON, EVALUATION
    from ohmweave.experiments import read_results
    from ohmweave.report import NotMadeWarning, write_report

    load_experiments(imports)
    if not any(read_results(folder).values()):
        raise ExperimentError(
            f"`DIR` must hold rows of a run, but {folder} holds none: `ohmweave run NAME --out {folder}` makes them"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = write_report(folder, also=(EVALUATION, COMPARISON))
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print_note(f"warning: {message}")
    typer.echo(path)
    if any(issubclass(warning.category, NotMadeWarning) for warning in caught):
        print_error(f"{path} lacks figures or tables that could not be made from the rows")
        raise typer.Exit(1)

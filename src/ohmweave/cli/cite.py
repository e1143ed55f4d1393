"""`ohmweave cite`: the papers behind a run."""

from pathlib import Path
from typing import Annotated

import typer

from ohmweave.cli.console import print_note
from ohmweave.cli.known_experiments import Imports, load_experiments


def cite(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, or one that holds several.")],
    imports: Imports = None,
) -> None:
    """Print the papers behind the cells, rules, prices and data of the runs in DIR, as BibTeX."""
    from ohmweave.base.errors import ExperimentError
    from ohmweave.evaluation import COMPARISON, EVALUATION
    from ohmweave.experiments import experiments, read_results
    from ohmweave.report import bibtex

    load_experiments(imports)
    results = read_results(folder)
    if not any(results.values()):
        raise ExperimentError(f"`DIR` must hold rows of a run, but {folder} holds none")
    typer.echo(bibtex(results, {**experiments(), EVALUATION.name: EVALUATION, COMPARISON.name: COMPARISON}), nl=False)
    print_note("entries are of the list in ohmweave.report; check them before they are printed")

"""`ohmweave claims`: the numbers of the papers beside the numbers from the rows of a folder."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.known_experiments import NOT_FOUND, Imports, load_experiments


def claims(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, or one that holds several.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: SI units and fractions.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Also the claims of experiments that were not run.")] = False,
    imports: Imports = None,
) -> None:
    """Compare each claim of the papers with the rows in DIR."""
    from ohmweave.experiments import experiments, read_results
    from ohmweave.report import claims_markdown, claims_table, claims_text

    if as_json and markdown:
        raise typer.BadParameter("choose one of --json and --markdown")
    load_experiments(imports)
    results = read_results(folder)
    for name in results.keys() - experiments().keys():
        print_note(f"left out: the rows of {name}, {NOT_FOUND}")
    if every:
        results |= {name: [] for name in experiments() if name not in results}
    records = claims_table(results)
    if as_json:
        typer.echo(json.dumps(records, indent=2))
    elif markdown:
        typer.echo(claims_markdown(records))
    elif records:
        print_result(claims_text(records))
    else:
        print_note(f"no rows in {folder} yet")

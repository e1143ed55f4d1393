"""`ohmweave cost`: what experiments cost: energy, time and area by phase, layer and component."""

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.registered import load_experiments


class Detail(StrEnum):
    """How far a bill is split."""

    phase = "phase"
    layer = "layer"
    component = "component"


def cost(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", show_default=False, help="Experiments: names, globs or papers, as in `run`."),
    ],
    results: Annotated[Path, typer.Option(metavar="DIR", help="Results folder, or one that holds several.")] = Path(
        "results"
    ),
    by: Annotated[Detail, typer.Option(help="Split by phase, by layer, or down to components.")] = Detail.layer,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON, in SI units.")] = False,
) -> None:
    """Print the bill of experiments from their rows: energy, time and area, counted x cited costs."""
    from rich.table import Table

    from ohmweave.experiments import ExperimentError, match, read_results
    from ohmweave.report import DETAILS, behind, bill_records, bill_table, bills_of

    load_experiments()
    chosen = {experiment.name for name in names for experiment in match(name)}
    rows = {name: found for name, found in read_results(results).items() if name in chosen}
    bills = {name: found for name, of in rows.items() if (found := bills_of(of))}
    if not bills:
        what = "have no bill" if rows else "are not there"
        raise ExperimentError(f"rows of {', '.join(sorted(chosen))} in {results} {what}: `ohmweave run NAME --out DIR`")
    if as_json:
        records = {
            name: [{**one.params, **record} for one in groups for record in bill_records(one)]
            for name, groups in bills.items()
        }
        typer.echo(json.dumps(records, indent=2))
        return
    split_by = {Detail.phase: (), Detail.layer: DETAILS[:1], Detail.component: DETAILS}[by]
    for name, groups in bills.items():
        for one in groups:
            lines = bill_table([replace(one, params={})], split_by)
            title = ", ".join([name, *(f"{param} {value}" for param, value in one.params.items())])
            heading = f"{title} (of one chip, mean over {behind([one])})"
            table = Table(*lines[0], title=heading, title_justify="left", header_style="dim")
            for line in lines:
                table.add_row(*(str(value) for value in line.values()))
            print_result(table)
    for name in sorted(rows.keys() - bills.keys()):
        print_note(f"left out: {name}, whose rows hold no bill")

"""`ohmweave cost`: the energy, time and area of experiments by phase, layer and component."""

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.known_experiments import Imports, load_experiments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ohmweave.report import Bills


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
    imports: Imports = None,
) -> None:
    """Print the bill of experiments from their rows: energy, time and area, as counted activity x cited costs."""
    from ohmweave.experiments import ExperimentError, match, read_results
    from ohmweave.report import DETAILS, bills_of

    load_experiments(imports)
    chosen = {experiment.name for name in names for experiment in match(name)}
    rows = {name: found for name, found in read_results(results).items() if name in chosen}
    bills = {name: found for name, of in rows.items() if (found := bills_of(of))}
    if not bills:
        what = "have no bill" if rows else "are not there"
        raise ExperimentError(f"rows of {', '.join(sorted(chosen))} in {results} {what}: `ohmweave run NAME --out DIR`")
    if as_json:
        typer.echo(json.dumps({name: _records(groups) for name, groups in bills.items()}, indent=2))
        return
    split_by = {Detail.phase: (), Detail.layer: DETAILS[:1], Detail.component: DETAILS}[by]
    for name, groups in bills.items():
        for one in groups:
            print_result(_table(name, one, split_by))
    for name in sorted(rows.keys() - bills.keys()):
        print_note(f"left out: {name}, whose rows hold no bill")


def _records(groups: "Sequence[Bills]") -> list[dict[str, Any]]:
    """The records of all groups for JSON, with the params that distinguish the groups."""
    from ohmweave.report import bill_records

    return [{**one.params, **record} for one in groups for record in bill_records(one)]


def _table(name: str, bills: "Bills", split_by: "Sequence[str]") -> "Table":
    """The bill of one group for the terminal, with the params that distinguish it in the title."""
    from rich.table import Table

    from ohmweave.report import behind, bill_table

    items = bill_table([replace(bills, params={})], split_by)
    title = ", ".join([name, *(f"{param} {value}" for param, value in bills.params.items())])
    heading = f"{title} (of one chip, mean over {behind([bills])})"
    if not items:
        return Table(title=f"{heading}: nothing", title_justify="left")
    table = Table(*items[0], title=heading, title_justify="left", header_style="dim")
    for item in items:
        table.add_row(*(str(value) for value in item.values()))
    return table

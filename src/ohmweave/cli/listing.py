"""`ohmweave list`: the registered experiments."""

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_result
from ohmweave.cli.registered import load_experiments

if TYPE_CHECKING:
    from ohmweave.experiments import Experiment


def list_experiments(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with claims and assumptions.")] = False,
) -> None:
    """List the experiments that `ohmweave run` knows."""
    from rich.table import Table

    from ohmweave.experiments import experiments

    load_experiments()
    known = experiments().values()
    if as_json:
        typer.echo(json.dumps([_as_dict(experiment) for experiment in known], indent=2))
        return
    table = Table("name", "what it shows", "claims", "paper", header_style="dim")
    for experiment in known:
        table.add_row(experiment.name, experiment.title, str(len(experiment.claims)), experiment.paper)
    print_result(table)


def _as_dict(experiment: "Experiment") -> dict[str, Any]:
    from ohmweave.report import show

    return {
        "name": experiment.name,
        "title": experiment.title,
        "paper": experiment.paper,
        "summary": experiment.summary,
        "claims": [
            {
                "claim": claim.key,
                "quantity": claim.quantity,
                "unit": claim.unit,
                "paper": claim.paper,
                "where": claim.where,
                "accept": claim.accept.describe(partial(show, unit=claim.unit)),
                "note": claim.note,
            }
            for claim in experiment.claims
        ],
        "assumptions": [{"text": one.text, "source": one.source} for one in experiment.assumptions],
    }

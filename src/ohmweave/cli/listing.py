"""`ohmweave list`: the registered experiments."""

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.expected_columns import COLUMNS, times
from ohmweave.cli.known_experiments import Imports, load_experiments

if TYPE_CHECKING:
    from ohmweave.experiments import Experiment


def list_experiments(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with claims and assumptions.")] = False,
    imports: Imports = None,
) -> None:
    """List the experiments that `ohmweave run` can run, how long each takes here, and where each comes from."""
    from rich.table import Table

    from ohmweave.experiments import experiments, source_of

    load_experiments(imports)
    known = list(experiments().values())
    if as_json:
        typer.echo(json.dumps([_as_dict(experiment) for experiment in known], indent=2))
        return
    expected = times(known)
    table = Table("name", "what it shows", header_style="dim")
    for head in ("claims", *COLUMNS):
        table.add_column(head, justify="right")
    table.add_column("paper")
    table.add_column("from")
    for experiment, seconds in zip(known, expected, strict=True):
        cells = (experiment.name, experiment.title, str(len(experiment.claims)), *map(_time, seconds.values()))
        table.add_row(*cells, experiment.paper, source_of(experiment.name))
    print_result(table)
    print_note(
        "times: expected here on one core, from durations on a reference machine and a short computation on this one; "
        "– was not measured"
    )


def _time(seconds: float | None) -> str:
    from ohmweave.report import show_duration

    return "–" if seconds is None else show_duration(seconds)


def _as_dict(experiment: "Experiment") -> dict[str, Any]:
    from ohmweave.experiments import source_of
    from ohmweave.report import show

    return {
        "name": experiment.name,
        "title": experiment.title,
        "paper": experiment.paper,
        "summary": experiment.summary,
        "from": source_of(experiment.name),
        "devices": list(experiment.devices),
        "claims": [
            {
                "claim": claim.key,
                "quantity": claim.quantity,
                "unit": claim.unit,
                "paper": claim.paper,
                "where": claim.where,
                "accept": claim.condition(partial(show, unit=claim.unit)),
                "note": claim.remarks,
            }
            for claim in experiment.claims
        ],
        "assumptions": [{"text": one.text, "source": one.source} for one in experiment.assumptions],
    }

"""`ohmweave fit`: measured pulse trains into a cell file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.measured_files import (
    ColumnList,
    ColumnMap,
    Decimal,
    Files,
    Kind,
    ReadVoltage,
    Scale,
    Unit,
    condition_name,
    read_files,
)

if TYPE_CHECKING:
    from rich.table import Table

    from ohmweave.fitting import Fit, Interval, Measurement


LowerEnd = Annotated[str | None, typer.Option(show_default="the lowest seen", help="Lower end of the window: '2 uS'.")]
UpperEnd = Annotated[
    str | None, typer.Option(show_default="the highest seen", help="Upper end of the window: '20 uS'.")
]
StuckBelow = Annotated[
    float, typer.Option(min=0, max=1, help="Stuck: spans less than this fraction of what the widest cell spans.")
]
Law = Annotated[
    str | None,
    typer.Option(show_default="by held-out likelihood", help="linear, soft-bounds, exponential or pulse-table."),
]


def fit(
    files: Files,
    unit: Unit = None,
    v_read: ReadVoltage = None,
    columns: ColumnList = None,
    column: ColumnMap = None,
    scale: Scale = None,
    kind: Kind = None,
    decimal: Decimal = None,
    g_min: LowerEnd = None,
    g_max: UpperEnd = None,
    bins: Annotated[int, typer.Option(min=1, help="Bins of the pulse table, at most.")] = 10,
    stuck_below: StuckBelow = 0.1,
    law: Law = None,
    out: Annotated[Path | None, typer.Option(show_default="FILE with .json", help="The cell file.")] = None,
    figure: Annotated[bool, typer.Option(help="Draw the trains beside the law, next to the cell file.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the estimates as JSON, in SI units.")] = False,
) -> None:
    """Read measured files, fit switching laws to pulse trains, choose one, and write the cell to a file."""
    from ohmweave.fitting import PulseTrains, fit_trains

    measured = read_files(
        files, unit=unit, v_read=v_read, columns=columns, column=column, scale=scale, kind=kind, decimal=decimal
    )
    trains = [part for part in measured.parts if isinstance(part, PulseTrains)]
    low, high = _quantity(g_min, "S", "g_min"), _quantity(g_max, "S", "g_max")
    for line in measured.summary():
        print_note(line)
    results = [fit_trains(one, g_min=low, g_max=high, bins=bins, stuck_below=stuck_below, law=law) for one in trains]
    abouts = [{"file": ", ".join(measured.files), **_about(one), **_origin(measured)} for one in results]
    first = (files[0].with_suffix("") if files[0].suffix == ".gz" else files[0]).with_suffix(".json")
    paths = _paths(first if out is None else out, results)
    written = [_write(*one, figure=figure) for one in zip(results, paths, abouts, strict=True)]
    if as_json and abouts:
        typer.echo(json.dumps(abouts[0] if len(abouts) == 1 else abouts, indent=2))
    for result in () if as_json else results:
        _print(result)
    notes = [f"note: {note}" for result in results for note in result.notes]
    if len(trains) < len(measured.parts):
        notes.append("note: this command fits pulse trains alone; other measurements are read and shown")
    for note in (*notes, *written):
        print_note(note)


def _paths(path: Path, results: "list[Fit]") -> list[Path]:
    """The cell file of each result: `path`, with amplitudes and widths in its name where there are several."""
    if len(results) < 2:
        return [path] * len(results)
    names = [condition_name(dict(result.trains.conditions)) for result in results]
    return [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names]


def _origin(measured: "Measurement") -> dict[str, Any]:
    """What was guessed and left out, for JSON and the cell file."""
    return {"guessed": list(measured.guesses), "left_out": [str(one) for one in measured.left_out]}


def _quantity(text: str | None, unit: str, name: str) -> float | None:
    """The quantity that an option gives, in `unit`; None if the option is not given."""
    from ohmweave.base.units import parse_quantity

    return None if text is None else parse_quantity(text, unit, name)


def _write(result: "Fit", path: Path, about: dict[str, Any], *, figure: bool) -> str:
    """Write the cell file, and its figure beside it. Returns a note that names the files."""
    from ohmweave.cells import save

    save(result.cell, path, about=about)
    note = f"{path}: ohmweave.cells.load reads it"
    return f"{note}; {_draw(result, path.with_suffix('.png'))} shows it" if figure else note


def _draw(result: "Fit", path: Path) -> Path:
    from ohmweave.base.files import atomic_write
    from ohmweave.plot import pulse_fit

    with atomic_write(path) as part:
        pulse_fit(result).savefig(part, dpi=150)
    return path


def _about(result: "Fit") -> dict[str, Any]:
    """The estimates and their origin, for JSON and the cell file: SI units, fractions, 95 % intervals."""
    return {
        "cells": len(result.used.working),
        "pulses": len(result.used.cell),
        "conditions": dict(result.trains.conditions),
        "chosen": result.chosen.name,
        "g_min": result.used.g_min,
        "g_max": result.used.g_max,
        "parameters": {name: list(interval) for name, interval in result.chosen.parameters.items()},
        "d2d": list(result.chosen.d2d),
        "stuck": list(result.stuck),
        "read_noise": {name: list(interval) for name, interval in result.chosen.read_noise.items()},
        "agreement": asdict(result.agreement),
        "behind": {name: list(gap) for name, gap in result.behind.items()},
        "notes": list(result.notes),
    }


def _print(result: "Fit") -> None:
    print_result(_laws_table(result))
    print_result(_chosen_table(result))
    if result.agreement.describes:
        print_result(str(result.agreement))


def _laws_table(result: "Fit") -> "Table":
    """All laws, with the differences of their held-out log-likelihoods from the best."""
    from rich.table import Table

    table = Table(
        "law",
        "parameters",
        "behind, nats a pulse",
        title="Held-out likelihood",
        header_style="dim",
        title_justify="left",
    )
    for name, one in result.laws.items():
        gap, error = result.behind[name]
        mark = "  chosen" if one is result.chosen else ""
        table.add_row(name, str(one.n_parameters), (f"{gap:.4f} ± {error:.4f}" if gap else "best") + mark)
    return table


def _chosen_table(result: "Fit") -> "Table":
    """Window, parameters, spread and stuck cells of the chosen law, with 95 % intervals."""
    from rich.table import Table

    from ohmweave.base.units import format_quantity

    def row(name: str, interval: "Interval", unit: str = "") -> tuple[str, str, str]:
        value, *ends = (None if x is None else format_quantity(x, unit) for x in interval)
        return name, str(value), "none" if None in ends else f"{ends[0]} to {ends[1]}"

    table = Table(result.chosen.name, "estimate", "95 %", header_style="dim")
    used = result.used
    table.add_row("window", f"{format_quantity(used.g_min, 'S')} to {format_quantity(used.g_max, 'S')}", "")
    for name, interval in result.chosen.parameters.items():
        table.add_row(*row(name, interval, "S"))
    table.add_row(*row("d2d", result.chosen.d2d))
    for name, interval in result.chosen.read_noise.items():
        table.add_row(*row(f"read noise, {name}", interval, "S" if name == "floor" else ""))
    if not result.chosen.read_noise and result.read_noise is not None:
        table.add_row(*row("read noise", result.read_noise, "S"))
    table.add_row(*row("stuck", result.stuck))
    return table

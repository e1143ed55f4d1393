"""`ohmweave fit`: measurements into a cell file."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_note
from ohmweave.cli.fit_report import print_fits, print_verdicts, pulses_of
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
    from matplotlib.figure import Figure

    from ohmweave.cells import Cell
    from ohmweave.fitting import CellFit, Fit

BaseCell = Annotated[
    Path | None,
    typer.Option(
        metavar="CELL.json", show_default="the cell of the pulses", help="A cell file that the parts are added to."
    ),
]
LowerEnd = Annotated[str | None, typer.Option(show_default="the lowest seen", help="Lower end of the window: '2 uS'.")]
UpperEnd = Annotated[
    str | None, typer.Option(show_default="the highest seen", help="Upper end of the window: '20 uS'.")
]
StuckBelow = Annotated[
    float, typer.Option(min=0, max=1, help="Stuck: spans less than this fraction of what the widest cell spans.")
]
Amplitude = Annotated[
    str | None,
    typer.Option(
        show_default="no such cell", help="Also a cell at this amplitude, '1.25 V', by the law over three or more."
    ),
]
Law = Annotated[
    str | None,
    typer.Option(
        show_default="by held-out likelihood",
        help="linear, soft-bounds, exponential, power, stretched-exponential or pulse-table.",
    ),
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
    v_set: Amplitude = None,
    v_reset: Amplitude = None,
    cell: BaseCell = None,
    out: Annotated[
        Path | None, typer.Option(show_default="beside the first FILE, with .json", help="The cell file.")
    ] = None,
    figure: Annotated[bool, typer.Option(help="Draw data beside the laws, next to the cell file.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the estimates as JSON, in SI units.")] = False,
) -> None:
    """Read measured files, fit each kind of measurement, and write the cell to a file.

    Pulse trains give the switching law, cycling one of two states; relaxation, time series and I-V sweeps give parts
    that join it, or the cell of --cell.
    """
    from ohmweave.fitting import Fit, fit_cell

    measured = read_files(
        files, unit=unit, v_read=v_read, columns=columns, column=column, scale=scale, kind=kind, decimal=decimal
    )
    for line in measured.summary():
        print_note(line)
    low, high = _quantity(g_min, "S", "g_min"), _quantity(g_max, "S", "g_max")
    base = None if cell is None else _loaded(cell)
    result = fit_cell(measured, cell=base, g_min=low, g_max=high, bins=bins, stuck_below=stuck_below, law=law)
    options = {"g_min": low, "g_max": high, "bins": bins, "stuck_below": stuck_below, "law": law}
    origin = {"options": {name: value for name, value in options.items() if value is not None}, **_code()}
    abouts = [_about(result, index, cell, origin) for index in range(max(1, len(result.cells)))]
    if v_set is not None or v_reset is not None:
        result, abouts = _at_amplitude(
            result, abouts, _quantity(v_set, "V", "v_set"), _quantity(v_reset, "V", "v_reset")
        )
    first = (files[0].with_suffix("") if files[0].suffix == ".gz" else files[0]).with_suffix(".json")
    pulses = [part.result for part in result.parts if isinstance(part.result, Fit)]
    at = "-".join(f"{name} {v}".replace(" ", "") for name, v in (("set", v_set), ("reset", v_reset)) if v is not None)
    paths = _paths(first if out is None else out, pulses)
    paths += [paths[0].with_name(f"{(first if out is None else out).stem}-at-{at}.json")] if at else []
    written = _write(result, paths, abouts, figure=figure)
    verdicts = [str(part.result.agreement) for part in result.parts if isinstance(part.result, Fit)]
    notes = [
        f"note: {pulses_of(result, part.result) if isinstance(part.result, Fit) else ''}{note}"
        for part in result.parts
        for note in part.notes
        if note not in verdicts
    ]
    notes += [f"note: {note}" for note in result.notes]
    if not result.cells:
        notes.append("no cell file: these data do not tell how cells switch; --cell CELL.json adds them to a cell")
    if not as_json:
        print_verdicts(result)
    for note in (*written, *notes):
        print_note(note)
    if as_json:
        typer.echo(json.dumps(abouts[0] if len(abouts) == 1 else abouts, indent=2))
    else:
        print_fits(result)


def _at_amplitude(
    result: "CellFit", abouts: list[dict[str, Any]], v_set: float | None, v_reset: float | None
) -> "tuple[CellFit, list[dict[str, Any]]]":
    """The result with one cell more, by the law over the amplitude, and its note."""
    from ohmweave.base import DataError

    if result.amplitudes is None:
        raise DataError(
            "`v_set`, `v_reset` (`--v-set`, `--v-reset`) need pulses of three amplitudes or more, but there are fewer"
        )
    cell = result.amplitudes.cell(v_set=v_set, v_reset=v_reset)
    found = result.amplitudes.parameters(v_set=v_set, v_reset=v_reset)
    about = {
        "verdict": f"by the law over the amplitude, not measured itself: {result.amplitudes!r}",
        **{name: value for name, value in abouts[0].items() if name in ("file", "guessed", "left_out", "origin")},
        "conditions": {"v_set": v_set, "v_reset": v_reset},
        "parameters": {name: list(one) for name, one in found.items()},
        "d2d": list(result.amplitudes.d2d),
    }
    return replace(result, cells=(*result.cells, cell)), [*abouts, about]


def _loaded(path: Path) -> "Cell":
    from ohmweave.cells import load

    return load(path)


def _about(result: "CellFit", index: int, base: Path | None, origin: dict[str, Any]) -> dict[str, Any]:
    """The note of a cell file; of a cell that parts were added to, with what its own file says."""
    about = result.about(index)
    about["origin"] |= origin
    if base is None:
        return about
    before = json.loads(base.read_text(encoding="utf-8")).get("about") or {}
    if not isinstance(before, dict):
        return about
    kept = {name: value for name, value in before.items() if name not in ("parts", "origin", "joined")}
    parts = before.get("parts")
    lists = {name: [*_listed(before.get(name)), *about[name]] for name in ("guessed", "left_out")}
    return {
        **about,
        **kept,
        **lists,
        "parts": {**(parts if isinstance(parts, dict) else {}), **about.get("parts", {})},
        "origin": {**about["origin"], "cell": {"file": base.name, "origin": before.get("origin")}},
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _code() -> dict[str, Any]:
    """The versions and the commit that fit."""
    from ohmweave.experiments.provenance import commit, versions

    return {"versions": versions(), "commit": commit()}


def _paths(path: Path, pulses: "list[Fit]") -> list[Path]:
    """The cell file of each law: `path`, with amplitudes and widths in its name where there are several."""
    if len(pulses) < 2:
        return [path]
    names = [condition_name(dict(one.trains.conditions)) for one in pulses]
    return [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names]


def _write(result: "CellFit", paths: list[Path], abouts: list[dict[str, Any]], *, figure: bool) -> list[str]:
    """Write the cell files, and the figures beside them. Returns notes that name the files."""
    from ohmweave.cells import save
    from ohmweave.fitting import Fit
    from ohmweave.plot import part_fit, pulse_fit

    said: dict[Path, list[str]] = {path: [] for path in paths}
    for cell, path, about in zip(result.cells, paths, abouts, strict=False):
        save(cell, path, about=about)
        said[path].append(f"{path}: ohmweave.cells.load reads it")
    pulses = iter(paths)
    counts: Counter[str] = Counter()
    for part in result.parts if figure else ():
        if part.result is None:
            continue
        if isinstance(part.result, Fit):
            path = next(pulses)
            at = _draw(pulse_fit(part.result), path.with_suffix(".png"))
        else:
            name = type(part.result).__name__.removesuffix("Fit").lower()
            counts[name] += 1
            name += f"-{counts[name]}" if counts[name] > 1 else ""
            path = paths[0]
            at = _draw(part_fit(part), path.with_name(f"{path.stem}-{name}.png"))
        said[path].append(f"{at} shows it")
    return ["; ".join(lines) for lines in said.values() if lines]


def _draw(figure: "Figure", path: Path) -> Path:
    from ohmweave.base.files import atomic_write

    with atomic_write(path) as part:
        figure.savefig(part, dpi=150)
    return path


def _quantity(text: str | None, unit: str, name: str) -> float | None:
    """The quantity that an option gives, in `unit`; None if the option is not given."""
    from ohmweave.base.units import parse_quantity

    return None if text is None else parse_quantity(text, unit, name)

"""Options of commands that read measured files, and what was read."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ohmweave.fitting import Measurement

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        show_default=False,
        help="Tables of an instrument (.csv, .tsv, .txt, .gz, .h5 of arc2control; `ohmweave docs fit`); ramps of SET "
        "and of RESET may be two files.",
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(show_default="the header's", help="Unit of readings without one: uS, kOhm, 'A @ 0.1 V' for currents."),
]
ReadVoltage = Annotated[
    str | None, typer.Option(show_default="the header's", help="Read voltage, where the file has currents: '0.2 V'.")
]
ColumnList = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        show_default="the header's",
        help="What the columns hold, in order: 'cell, r_set (kOhm), -, cycle'; - is not read.",
    ),
]
ColumnMap = Annotated[
    list[str] | None,
    typer.Option(metavar="WHAT=TITLE", show_default=False, help="What one column holds: 'g (uS)=Cond'; repeatable."),
]
Scale = Annotated[
    str | None,
    typer.Option(show_default="none", help="For numbers without unit, two points of a line: '0 = 2 uS, 1 = 20 uS'."),
]
Kind = Annotated[
    str | None,
    typer.Option(show_default="by the columns", help="trains, cycling, relaxation, 'time series', sweep or readout."),
]
Decimal = Annotated[str | None, typer.Option(metavar="MARK", show_default="from the numbers", help="Decimal mark.")]


def read_files(
    files: Sequence[Path],
    *,
    unit: str | None,
    v_read: str | None,
    columns: str | None,
    column: Sequence[str] | None,
    scale: str | None,
    kind: str | None,
    decimal: str | None,
) -> "Measurement":
    """The measurement in some files. Raises `DataError`, `OutOfRangeError` and `typer.BadParameter`."""
    from typing import cast

    from ohmweave.base.units import parse_quantity
    from ohmweave.fitting import read
    from ohmweave.fitting.read_options import Kind as KindOfFile
    from ohmweave.fitting.read_options import parse_scale

    if columns is not None and column:
        raise typer.BadParameter("--columns names all columns and --column some of them; leave one of the two out")
    return read(
        list(files),
        columns=_in_order(columns) if columns is not None else _by_title(column or ()) or None,
        unit=unit,
        v_read=None if v_read is None else parse_quantity(v_read, "V", "--v-read"),
        scale=None if scale is None else parse_scale(scale, "--scale"),
        kind=cast("KindOfFile | None", kind),
        decimal=decimal,
    )


def _in_order(text: str) -> list[str]:
    """The parts between commas that are not in brackets."""
    return [part.strip() for part in re.split(r",(?![^(\[]*[)\]])", text)]


def _by_title(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        what, equals, title = text.partition("=")
        if not equals or not what.strip() or not title.strip():
            raise typer.BadParameter(f"--column must be WHAT=TITLE, as in 'g (uS)=Conductance', but is {text!r}")
        if what.strip() in found:
            raise typer.BadParameter(
                f"--column names {what.strip()!r} twice, for {found[what.strip()]!r} and {title!r}"
            )
        found[what.strip()] = title.strip()
    return found


def condition_name(conditions: dict[str, float]) -> str:
    """Amplitudes and widths as part of a file name: `set-1.2V-50ns-reset-1.4V`."""
    from ohmweave.base.units import format_quantity

    parts = []
    for word in ("set", "reset"):
        found = [(conditions.get(f"{name}_{word}"), unit) for name, unit in (("v", "V"), ("width", "s"))]
        texts = [format_quantity(value, unit).replace(" ", "").replace("µ", "u") for value, unit in found if value]
        parts += [word, *texts] if texts else []
    return "-".join(parts) or "trains"

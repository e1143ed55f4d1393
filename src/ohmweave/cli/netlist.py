"""`ohmweave netlist`: a crossbar with its wires and inputs as a file that SPICE runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.console import print_note

if TYPE_CHECKING:
    import torch


def netlist(
    conductances: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            show_default="random cells",
            help="Conductances in S, rows by columns: .csv without a header, or .npy.",
        ),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(show_default="all rows at --v-read", help="Row voltages in V: .csv or .npy, one a row."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows of a random array.")] = 16,
    cols: Annotated[int, typer.Option(min=1, help="Columns of a random array.")] = 16,
    g_min: Annotated[str, typer.Option(help="Lowest conductance of random cells.")] = "2 uS",
    g_max: Annotated[str, typer.Option(help="Highest conductance of random cells.")] = "20 uS",
    seed: Annotated[int, typer.Option(min=0, help="Of random cells.")] = 0,
    v_read: Annotated[str, typer.Option(help="Voltage of all rows, where --inputs gives none.")] = "0.2 V",
    r_row: Annotated[str, typer.Option(help="One segment of a row wire.")] = "1 Ohm",
    r_col: Annotated[str, typer.Option(help="One segment of a column wire.")] = "1 Ohm",
    r_driver: Annotated[str, typer.Option(help="Of a row's driver.")] = "0 Ohm",
    r_sense: Annotated[str, typer.Option(help="Of a column's sense circuit.")] = "0 Ohm",
    r_cell: Annotated[str, typer.Option(help="In series with every cell: its transistor.")] = "0 Ohm",
    sinh_v0: Annotated[
        str | None, typer.Option(show_default="linear cells", help="Cells carry g v0 sinh(v / v0), with this v0.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The netlist.")] = Path("crossbar.cir"),
) -> None:
    """Write the SPICE netlist of a crossbar: its cells, wires, drivers and sense circuits, and one input."""
    import torch

    from ohmweave.base import generator
    from ohmweave.base.units import parse_quantity
    from ohmweave.circuit import Wires, to_spice

    if conductances is not None:
        g = _numbers(conductances, "FILE")
    else:
        low, high = parse_quantity(g_min, "S", "g_min"), parse_quantity(g_max, "S", "g_max")
        chance = generator(seed, "netlist")
        g = torch.rand(rows, cols, generator=chance, dtype=torch.float64) * (high - low) + low
    volts = parse_quantity(v_read, "V", "v_read")
    v_row = g.new_full((len(g),), volts) if inputs is None else _numbers(inputs, "--inputs").flatten()
    wires = Wires(
        r_row=parse_quantity(r_row, "Ohm", "r_row"),
        r_col=parse_quantity(r_col, "Ohm", "r_col"),
        r_driver=parse_quantity(r_driver, "Ohm", "r_driver"),
        r_sense=parse_quantity(r_sense, "Ohm", "r_sense"),
    )
    text = to_spice(
        g,
        v_row,
        wires,
        r_cell=parse_quantity(r_cell, "Ohm", "r_cell"),
        sinh_v0=None if sinh_v0 is None else parse_quantity(sinh_v0, "V", "sinh_v0"),
        title=f"crossbar of {len(g)} x {g.shape[1]} cells",
    )
    out.write_text(text, encoding="utf-8")
    print_note(f"{len(g)} x {g.shape[1]} cells in {out}; currents of the columns: ngspice -b {out}")


def _numbers(path: Path, name: str) -> "torch.Tensor":
    """A table of numbers, `(rows, columns)` float64."""
    import numpy as np
    import torch

    from ohmweave.base import DataError

    try:
        values = np.load(path) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError as error:
        raise DataError(f"`{name}` must be a table of numbers, but {path} is not: {error}") from error
    return torch.from_numpy(np.atleast_2d(values).astype(np.float64))

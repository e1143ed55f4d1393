"""`ohmweave netlist`: a crossbar with its wires and inputs as a file that SPICE runs."""

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_note

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ohmweave.circuit import Wires


Conductances = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        show_default="random cells",
        help="Conductances in --unit, rows by columns: .csv without a header, or .npy.",
    ),
]
Inputs = Annotated[
    Path | None,
    typer.Option(show_default="all rows at --v-read", help="Row voltages in --inputs-unit: .csv or .npy, one a row."),
]
CellResistance = Annotated[str, typer.Option(help="Resistance in series with every cell, as of its transistor.")]
SinhVoltage = Annotated[
    str | None, typer.Option(show_default="linear cells", help="Cells carry g v0 sinh(v / v0), with this v0.")
]
Unit = Annotated[str, typer.Option(help="Unit of the conductances in FILE: S, uS, ...")]

_OF_RANDOM_CELLS = ("rows", "cols", "g_min", "g_max", "seed")
_MOST_EXPECTED = 2**20  # cells of an array whose currents are worked out: larger ones would take minutes
_SHOWN = 8  # currents that are printed here; ngspice prints all
_MOST_LINES = 4096  # three lines of text a cell: 3 GB
_LARGEST_V = 100.0  # V: no cell survives it, but a number in mV that is taken for V often reaches it
_LARGEST_G = 1.0  # S: no cell conducts as much, but a number in uS or mS that is taken for S often does


def netlist(
    context: typer.Context,
    conductances: Conductances = None,
    inputs: Inputs = None,
    unit: Unit = "S",
    inputs_unit: Annotated[str, typer.Option(help="Unit of the voltages in --inputs: V, mV, ...")] = "V",
    rows: Annotated[int, typer.Option(min=1, max=_MOST_LINES, help="Rows of a random array.")] = 16,
    cols: Annotated[int, typer.Option(min=1, max=_MOST_LINES, help="Columns of a random array.")] = 16,
    g_min: Annotated[str, typer.Option(help="Lowest conductance of random cells.")] = "2 uS",
    g_max: Annotated[str, typer.Option(help="Highest conductance of random cells.")] = "20 uS",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random cells.")] = 0,
    v_read: Annotated[str, typer.Option(help="Voltage of all rows, where --inputs gives none.")] = "0.2 V",
    r_row: Annotated[str, typer.Option(help="One segment of a row wire.")] = "1 Ohm",
    r_col: Annotated[str, typer.Option(help="One segment of a column wire.")] = "1 Ohm",
    r_driver: Annotated[str, typer.Option(help="Resistance of a row's driver.")] = "0 Ohm",
    r_sense: Annotated[str, typer.Option(help="Resistance of a column's sense circuit.")] = "0 Ohm",
    r_cell: CellResistance = "0 Ohm",
    sinh_v0: SinhVoltage = None,
    out: Annotated[Path, typer.Option(help="File of the netlist.")] = Path("crossbar.cir"),
) -> None:
    """Write the SPICE netlist of a crossbar: its cells, wires, drivers and sense circuits, and one input."""
    from ohmweave.base.files import atomic_write
    from ohmweave.base.units import format_quantity
    from ohmweave.circuit import Wires, to_spice

    _refuse_unused_options(context, from_file=conductances is not None, with_inputs=inputs is not None)
    v0 = None if sinh_v0 is None else _positive_volts(sinh_v0, "--sinh-v0")
    g = _random_cells(rows, cols, g_min, g_max, seed) if conductances is None else _conductances(conductances, unit)
    volts = _volts(v_read, "--v-read")
    v_row = g.new_full((len(g),), volts) if inputs is None else _voltages(inputs, len(g), inputs_unit)
    wires = Wires(
        r_row=_ohms(r_row, "--r-row"),
        r_col=_ohms(r_col, "--r-col"),
        r_driver=_ohms(r_driver, "--r-driver"),
        r_sense=_ohms(r_sense, "--r-sense"),
    )
    size, series = f"{len(g)} x {g.shape[1]} cells", _ohms(r_cell, "--r-cell")
    expected = _expected(g, v_row, wires, series, v0) if g.numel() <= _MOST_EXPECTED else None
    text = to_spice(g, v_row, wires, r_cell=series, sinh_v0=v0, title=f"crossbar of {size}", expected=expected)
    with atomic_write(out) as part:
        part.write_text(text, encoding="utf-8")
    window = " to ".join(format_quantity(float(end), "S") for end in (g.min(), g.max()))
    print_note(f"{size} of {window} in {out}; currents of the columns: ngspice -b {out}")
    if expected is not None:
        shown = ", ".join(format_quantity(float(current), "A", digits=6) for current in expected[:_SHOWN])
        more = f", and {len(expected) - _SHOWN} more in the file" if len(expected) > _SHOWN else ""
        print_note(f"expected, column by column: {shown}{more}; ngspice prints them beside its own")


def _refuse_unused_options(context: typer.Context, *, from_file: bool, with_inputs: bool) -> None:
    """Raise `typer.BadParameter` if an option was typed that the other arguments leave without effect."""
    unused = dict.fromkeys(_OF_RANDOM_CELLS, "with FILE, whose cells are not random") if from_file else {}
    unused |= {} if from_file else {"unit": "without FILE"}
    unused |= (
        {"v_read": "with --inputs, which gives the voltages"} if with_inputs else {"inputs_unit": "without --inputs"}
    )
    for name, why in unused.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name.replace('_', '-')} has no effect {why}; leave one of them out")


def _expected(
    g: "torch.Tensor", v_row: "torch.Tensor", wires: "Wires", r_cell: float, v0: float | None
) -> "torch.Tensor":
    """Column currents `(cols,)`, A, that the netlist should give."""
    from ohmweave.circuit import read_through_wires, sinh_law, solve_nonlinear

    if v0 is None:
        return read_through_wires(g, v_row, wires, r_cell=r_cell, tolerance=1e-12)
    current, slope = sinh_law(g, v0)
    return solve_nonlinear(current, v_row, g.shape[1], wires, didv=slope, r_cell=r_cell, tolerance=1e-12).i_col


def _ohms(text: str, option: str) -> float:
    """The resistance that `option` gives, Ohm, >= 0."""
    from ohmweave.base import check_non_negative
    from ohmweave.base.units import parse_quantity

    value = parse_quantity(text, "Ohm", option)
    check_non_negative(option, value, "Ohm")
    return value


def _volts(text: str, option: str) -> float:
    """The voltage that `option` gives, V, at most `_LARGEST_V`."""
    from ohmweave.base import OutOfRangeError
    from ohmweave.base.units import parse_quantity

    value = parse_quantity(text, "V", option)
    if not abs(value) <= _LARGEST_V:
        raise OutOfRangeError(f"`{option}` must be a voltage up to {_LARGEST_V:g} V, but is {text!r}")
    return value


def _positive_volts(text: str, option: str) -> float:
    """The voltage that `option` gives, V, > 0."""
    from ohmweave.base import check_positive

    value = _volts(text, option)
    check_positive(option, value, "V")
    return value


def _factor(unit: str, si: str, option: str) -> float:
    """What one `unit` is in `si`, as `option` gives it."""
    from ohmweave.base import OutOfRangeError
    from ohmweave.base.units import parse_quantity

    try:
        value = parse_quantity(f"1 {unit}", si, option)
    except OutOfRangeError:
        raise OutOfRangeError(f"`{option}` must be a unit that converts to {si}, but is {unit!r}") from None
    if not value > 0:
        raise OutOfRangeError(f"`{option}` must be a unit > 0 {si}, but is {unit!r}")
    return value


def _random_cells(rows: int, cols: int, g_min: str, g_max: str, seed: int) -> "torch.Tensor":
    """Conductances `(rows, cols)`, S, float64, evenly distributed between the ends of the window."""
    import torch

    from ohmweave.base import OutOfRangeError, generator
    from ohmweave.base.units import parse_quantity

    low, high = parse_quantity(g_min, "S", "--g-min"), parse_quantity(g_max, "S", "--g-max")
    if not high <= _LARGEST_G:
        raise OutOfRangeError(f"`--g-max` must be a conductance up to {_LARGEST_G:g} S, but is {g_max!r}")
    if not 0 <= low <= high:
        raise OutOfRangeError(f"`--g-min` must be from 0 S to --g-max, {g_max}, but is {g_min!r}")
    random = generator(seed, "netlist")
    share = torch.rand(rows, cols, generator=random, dtype=torch.float64, device=random.device)
    return share * (high - low) + low


def _conductances(path: Path, unit: str) -> "torch.Tensor":
    """The conductances in a file in `unit`: `(rows, cols)`, S, float64, from 0 to `_LARGEST_G`."""
    from ohmweave.base import OutOfRangeError

    g = _numbers(path, "FILE") * _factor(unit, "S", "--unit")
    if not (g >= 0).all():  # false for NaN as well
        raise OutOfRangeError(f"`FILE` must hold conductances >= 0 S, but {path} holds {g[~(g >= 0)][0].item():g}")
    if float(g.max()) > _LARGEST_G:
        raise OutOfRangeError(
            f"`FILE` must hold conductances up to {_LARGEST_G:g} S, but {path} holds {float(g.max()):g} S; "
            "if its numbers are in another unit, name it, as in --unit uS"
        )
    return g


def _voltages(path: Path, n_rows: int, unit: str) -> "torch.Tensor":
    """The row voltages in a file in `unit`: `(rows,)`, V, float64, at most `_LARGEST_V`."""
    from ohmweave.base import OutOfRangeError, ShapeError

    v_row = _numbers(path, "--inputs").flatten() * _factor(unit, "V", "--inputs-unit")
    if not (v_row.abs() <= _LARGEST_V).all():  # false for NaN as well
        raise OutOfRangeError(
            f"`--inputs` must hold voltages up to {_LARGEST_V:g} V, but {path} holds {float(v_row.abs().max()):g} V; "
            "if its numbers are in another unit, name it, as in --inputs-unit mV"
        )
    if len(v_row) != n_rows:
        raise ShapeError(
            f"`--inputs` must hold one voltage for each of the {n_rows} rows, but {path} holds {len(v_row)}"
        )
    return v_row


def _numbers(path: Path, name: str) -> "torch.Tensor":
    """A table of numbers, `(rows, columns)` float64."""
    import numpy as np
    import torch

    from ohmweave.base import DataError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy only warns of an empty file and of complex numbers
            values = _npy(path) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
            table = np.atleast_2d(values).astype(np.float64)
    except (ValueError, TypeError, EOFError, Warning) as error:
        raise DataError(f"`{name}` must be a table of numbers, but {path} is not: {error}") from error
    if table.ndim != 2 or not table.size:
        raise DataError(f"`{name}` must be a table of numbers, but {path} has the shape {tuple(table.shape)}")
    return torch.from_numpy(table)


def _npy(path: Path) -> "NDArray[Any]":
    """The array of a .npy file. The size that its header gives is compared with that of the file before it is read."""
    import numpy as np

    with path.open("rb") as file:
        major, _ = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        try:
            shape, _, dtype = read_header(file)
        except Exception as error:  # of Python's parser and tokenizer, which NumPy gives the header
            raise ValueError(f"its header cannot be read: {error}") from error
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != path.stat().st_size - file.tell():
            raise ValueError(f"its size is not that of {shape} numbers")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)

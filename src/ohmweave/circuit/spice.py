"""A crossbar with its input as a SPICE netlist."""

from collections.abc import Iterator

import torch

from ohmweave.base import OutOfRangeError, ShapeError, check_non_negative, check_positive, check_tensor, shown
from ohmweave.circuit.wires import Wires, check_inputs, check_numbers, check_wires, series_conductance


def to_spice(
    g: torch.Tensor,
    v_row: torch.Tensor,
    wires: Wires,
    *,
    r_cell: float = 0.0,
    sinh_v0: float | None = None,
    title: str = "crossbar",
    expected: torch.Tensor | None = None,
) -> str:
    """Netlist of one crossbar and one input for the batch mode of ngspice, which prints the column currents.

    Rows are driven by `Vrow<i>` (and by `Vfar<i>` at the right end if both ends are driven). Columns end in
    `Vsense<j>`, 0 V sources whose currents are the column currents. Nodes are `r<i>_<j>` on row wires and `c<i>_<j>` on
    column wires. Nodes without resistance between them are one node and cells without conductance are left out, so that
    both are exact.

    Args:
        g: `(rows, cols)`, S, >= 0. Conductances; at low voltage, if the cells are non-linear.
        v_row: `(rows,)`, V.
        wires: The resistances around the cells.
        r_cell: Ohm, >= 0, in series with every cell.
        sinh_v0: V, > 0. Cells carry g v0 sinh(v / v0) (behavioural sources); None: resistors.
        title: First line of the netlist.
        expected: `(cols,)`, A, finite: column currents that ngspice prints beside its own; None: none.

    Returns:
        The text, the same for the same arguments, with 17 significant digits.

    Raises:
        OutOfRangeError: a number is out of range.
        ShapeError: `g` or `v_row` is not that of one crossbar and one input, or `expected` has another shape.
    """
    series_conductance(g, r_cell)
    check_non_negative("r_cell", r_cell, "Ohm")
    if g.ndim != 2 or check_tensor("v_row", v_row).ndim != 1:
        raise ShapeError(
            f"a netlist holds one crossbar (rows, cols) and one input (rows,), but `g` has the shape {tuple(g.shape)} "
            f"and `v_row` {tuple(v_row.shape)}"
        )
    rows, cols = g.shape
    check_inputs(v_row, rows)
    check_wires(wires)
    if not isinstance(title, str):
        raise OutOfRangeError(f"`title` must be text, but is {shown(title)}")
    if sinh_v0 is not None:
        check_positive("sinh_v0", sinh_v0, "V")
    lines = [
        f"* {' '.join(title.split())}",
        ".options reltol=1e-12 abstol=1e-20 vntol=1e-15 gmin=1e-20",
        *_rows(rows, cols, v_row.detach().double().tolist(), wires),
        *_columns(rows, cols, wires),
        *_cells(g.detach().double().tolist(), wires, r_cell, sinh_v0),
        ".control",
        "set numdgt=16",
        "set width=1000",
        "op",
        *_prints(cols, expected),
        ".endc",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _row_node(i: int, j: int, wires: Wires) -> str:
    return f"r{i}_{j if wires.r_row > 0 else 0}"


def _col_node(i: int, j: int, wires: Wires) -> str:
    return f"c{i if wires.r_col > 0 else 0}_{j}"


def _prints(cols: int, expected: torch.Tensor | None) -> list[str]:
    """The commands that print the column currents, and after each the expected one."""
    prints = [f"print i(vsense{j})" for j in range(cols)]
    if expected is None:
        return prints
    check_numbers("expected", expected, (cols,), whole=True)
    echoes = [f"echo expected by ohmweave: {current:.9e} A" for current in expected.detach().double().tolist()]
    return [line for both in zip(prints, echoes, strict=True) for line in both]


def _rows(rows: int, cols: int, v_row: list[float], wires: Wires) -> Iterator[str]:
    r_end = wires.r_driver + wires.r_row
    for i in range(rows):
        first, last = _row_node(i, 0, wires), _row_node(i, cols - 1, wires)
        yield from _source(f"Vrow{i}", f"Rrow{i}", f"in{i}", first, v_row[i], r_end)
        # With no resistance at all both ends are the same node, and one source holds it.
        if wires.driven_from == "both" and r_end > 0:
            yield from _source(f"Vfar{i}", f"Rfar{i}", f"far{i}", last, v_row[i], r_end)
        if wires.r_row > 0:
            for j in range(1, cols):
                yield f"Rr{i}_{j} {_row_node(i, j - 1, wires)} {_row_node(i, j, wires)} {wires.r_row:.17g}"


def _columns(rows: int, cols: int, wires: Wires) -> Iterator[str]:
    for j in range(cols):
        if wires.r_col > 0:
            for i in range(1, rows):
                yield f"Rc{i}_{j} {_col_node(i - 1, j, wires)} {_col_node(i, j, wires)} {wires.r_col:.17g}"
        last = _col_node(rows - 1, j, wires)
        r_end = wires.r_col + wires.r_sense
        if r_end > 0:
            yield f"Rsense{j} {last} sense{j} {r_end:.17g}"
        yield f"Vsense{j} {f'sense{j}' if r_end > 0 else last} 0 0"


def _source(source: str, resistor: str, terminal: str, node: str, v: float, r: float) -> Iterator[str]:
    if r > 0:
        yield f"{resistor} {terminal} {node} {r:.17g}"
    yield f"{source} {terminal if r > 0 else node} 0 {v:.17g}"


def _cells(g: list[list[float]], wires: Wires, r_cell: float, sinh_v0: float | None) -> Iterator[str]:
    for i, row in enumerate(g):
        for j, conductance in enumerate(row):
            if conductance == 0:
                continue
            top, bottom = _row_node(i, j, wires), _col_node(i, j, wires)
            if r_cell > 0:
                yield f"Rt{i}_{j} {top} m{i}_{j} {r_cell:.17g}"
                top = f"m{i}_{j}"
            if sinh_v0 is None:
                yield f"Rg{i}_{j} {top} {bottom} {1 / conductance:.17g}"
            else:
                amplitude = conductance * sinh_v0
                yield f"Bg{i}_{j} {top} {bottom} I={amplitude:.17g}*sinh(V({top},{bottom})/{sinh_v0:.17g})"

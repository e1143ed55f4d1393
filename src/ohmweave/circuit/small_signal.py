"""Changes of the currents of a non-linear crossbar at its operating point."""

import torch

from ohmweave.base import check_non_negative
from ohmweave.circuit.conjugate_gradients import wire_drop
from ohmweave.circuit.newton import newton_direction
from ohmweave.circuit.wires import OHMS, Wires, check_conductances, check_numbers, check_wires


def small_signal_currents(source: torch.Tensor, g: torch.Tensor, wires: Wires, *, r_cell: float = 0.0) -> torch.Tensor:
    """Changes of the cell currents when each cell carries a small additional current, with all lines driven.

    A cell that would carry `source` more at a fixed voltage lowers its own voltage, and that of its neighbours, by
    the drops along the resistances. One cell behind a resistance r changes by source / (1 + g r).

    Args:
        source: `(..., rows, cols)`, A: the additional currents at fixed cell voltages.
        g: same shape, S, >= 0: differential conductances di/dv of the cells at the operating point.
        wires: the resistances around the cells.
        r_cell: Ohm, >= 0, in series with every cell.

    Returns:
        `(..., rows, cols)`, A, float64; the current of a column changes by the sum over its rows.

    Raises:
        OutOfRangeError: `r_cell` is out of range, or a number is not finite or a conductance negative.
        ShapeError: `source` and `g` have different shapes.

    Valid for: changes that are small compared with those that bend the law. Cost: one Newton step. Source: ours.
    """
    check_non_negative("r_cell", r_cell, "Ohm", at_most=OHMS)
    check_wires(wires)
    check_conductances(g)
    check_numbers("source", source, g.shape, whole=True)
    source, g = source.to(torch.float64), g.to(torch.float64)
    rows, cols = source.shape[-2:]
    wire = wire_drop(wires, rows, cols, source)

    def drop(i_cell: torch.Tensor) -> torch.Tensor:
        return wire(i_cell) + r_cell * i_cell

    return source + g * newton_direction(drop, g, drop(source))

"""Maps of the voltages in a crossbar: on its wires and across its cells."""

from matplotlib.figure import Figure

from ohmweave.base import ShapeError
from ohmweave.circuit import CircuitSolution


def voltage_drop(solution: CircuitSolution) -> Figure:
    """Maps of the voltages on the row wires, on the column wires and across the cells of one crossbar.

    Args:
        solution: of `solve_nodes`, for one crossbar: voltages `(rows, cols)`, V, without chip dimensions.

    Returns:
        A figure with three panels, in V, rows downwards and columns to the right.

    Raises:
        ShapeError: the solution has chip dimensions.
    """
    if solution.v_cell.ndim != 2:
        shape = tuple(solution.v_cell.shape)
        raise ShapeError(f"`solution` must hold one crossbar (rows, cols), but its cells have the shape {shape}")
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = {
        "row wires": solution.v_row_wire,
        "column wires": solution.v_col_wire,
        "across the cells": solution.v_cell,
    }
    for axes, (title, volts) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        image = axes.imshow(volts.cpu().numpy(), aspect="auto", interpolation="nearest")
        axes.set(title=title, xlabel="column", ylabel="row")
        figure.colorbar(image, ax=axes, label="V")
    return figure

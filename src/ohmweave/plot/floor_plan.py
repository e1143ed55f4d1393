"""The floor plan of a chip: where the tiles of each matrix are on its arrays."""

from typing import TYPE_CHECKING

from ohmweave.base import check_integer
from ohmweave.mapping import Chip

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def floor_plan(chip: Chip, *, columns: int = 2) -> "Figure":
    """A panel for each array, with rows (inputs) downwards, and a box for each tile in the colour of its matrix.

    Arrays are numbered from 0, as in `OnChip(arrays=)` and `Tile.array`. Papers often number them from 1.

    Args:
        chip: the chip; nothing needs to be placed on it.
        columns: number of panels side by side, >= 1.

    Raises:
        OutOfRangeError: `columns` is below 1.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    check_integer("columns", columns, at_least=1)
    array = chip.array
    n_panel_rows = -(-array.n_arrays // columns)  # rounded up
    height = max(0.6, 4.2 * array.rows / array.cols)
    figure = Figure(figsize=(4.2 * columns + 0.4, (height + 0.45) * n_panel_rows + 0.7), layout="constrained")
    panels = figure.subplots(n_panel_rows, columns, squeeze=False).flatten()
    palette = colormaps["tab20" if len(chip.placed) <= 20 else "viridis"]
    n = max(20, len(chip.placed))
    colour = {name: palette(index if n == 20 else index / n) for index, name in enumerate(chip.placed)}
    for index, axes in enumerate(panels):
        axes.set_visible(index < array.n_arrays)
        axes.set_xlim(0, array.cols)
        axes.set_ylim(array.rows, 0)
        axes.set_title(f"array {index}", fontsize=8, pad=2)
        axes.tick_params(labelsize=6)
    for name, placement in chip.placed.items():
        for tile in placement.tiles:
            box = Rectangle((tile.col, tile.row), tile.cols, tile.rows, facecolor=colour[name], edgecolor="white")
            panels[tile.array].add_patch(box)
    figure.legend(
        handles=[Patch(color=colour[name], label=name) for name in chip.placed],
        loc="outside lower center",
        ncols=min(5, max(1, len(chip.placed))),
        fontsize=7,
        frameon=False,
        title=f"{chip.n_taken:,} of {chip.n_cells:,} cells taken; rows are inputs, columns are outputs",
        title_fontsize=8,
    )
    return figure

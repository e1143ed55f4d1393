"""What `print(net)` shows of a deployed network."""

from collections.abc import Mapping, Sequence

import torch

from ohmweave.mapping import Chip, Matrix
from ohmweave.programming import WriteReport

SHOWN = 8
"""Number of layers that a printout lists."""


def printout(
    model: torch.nn.Module,
    chip: Chip,
    matrices: Mapping[str, Matrix],
    reports: Mapping[str, WriteReport],
    digital: Sequence[str],
) -> str:
    """The chip, a line for each layer on it with its cells, and what is digital; cells are those of one chip.

    Args:
        model: with its layers on the chip.
        chip: the chip.
        matrices: of the layers on the chip, by name.
        reports: of their writes, by name.
        digital: names of the layers with parameters that stayed digital.
    """
    array, n = chip.array, chip.chip_shape
    chips, each = (f"{n[0]} chips, each", " on each") if n else ("one chip", "")
    size = f"{_counted(array.n_arrays, 'array')} of {array.rows} x {array.cols} cells"
    text = [f"Deployed {type(model).__name__} on {chips} of {size}, {chip.n_taken:,} taken{each}"]
    text += [
        f"  {name or 'model'}: {_layer(model, name, matrices[name])}{_failed(reports.get(name), n)}"
        for name in list(matrices)[:SHOWN]
    ]
    if len(matrices) > SHOWN:
        text.append(f"  and {len(matrices) - SHOWN} more layers")
    parts = [f"{name} ({type(model.get_submodule(name)).__name__})" for name in digital]
    # The weights of layers on the chip are in cells, but their biases are added in software.
    parts += [f"bias of {name or 'model'}" for name in matrices if _has_bias(model.get_submodule(name))]
    if len(parts) > SHOWN:
        parts[SHOWN:] = [f"and {len(parts) - SHOWN} more"]
    return "\n".join([*text, f"  digital: {', '.join(parts) or 'none'}"])


def _layer(model: torch.nn.Module, name: str, matrix: Matrix) -> str:
    """As in "Linear(...), 320 cells in 2 tiles on 1 array", of one chip."""
    placement = matrix.placement
    n_arrays = len({tile.array for tile in placement.tiles})
    place = f"{_counted(len(placement.tiles), 'tile')} on {_counted(n_arrays, 'array')}"
    text = f"{model.get_submodule(name)!r}, {_counted(placement.cells.numel(), 'cell')} in {place}"
    return text.replace("\n", " ")


def _failed(report: WriteReport | None, chips: Sequence[int]) -> str:
    """As in ", 3 not converged on 2 chips": a report counts the cells of all chips."""
    if report is None or not report.n_failed:
        return ""
    return f", {report.n_failed:,} not converged" + (f" on {chips[0]} chips" if chips else "")


def _has_bias(layer: torch.nn.Module) -> bool:
    return layer._parameters.get("bias") is not None


def _counted(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"

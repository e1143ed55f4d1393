"""What `print(net)` shows of a deployed network."""

from collections.abc import Mapping, Sequence

import torch

from ohmweave.base.text import counted
from ohmweave.mapping import Chip, Matrix
from ohmweave.nn.composite import CompositeLayer
from ohmweave.nn.layer_table import LayerRow, table
from ohmweave.programming import WriteReport


def printout(
    model: torch.nn.Module,
    chip: Chip,
    matrices: Mapping[str, Matrix],
    reports: Mapping[str, WriteReport],
    digital: Sequence[str],
) -> str:
    """The chip, and a table of the layers on it and of what is digital; cells are those of one chip.

    Args:
        model: with its layers on the chip.
        chip: the chip.
        matrices: of the layers on the chip, by name.
        reports: of their writes, by name.
        digital: names of the layers with parameters, and of parameters, that stayed digital.
    """
    array, n = chip.array, chip.chip_shape
    chips, each = (f"{counted(n[0], 'chip')}, each", " on each") if n else ("one chip", "")
    size = f"{counted(array.n_arrays, 'array')} of {array.rows} x {array.cols} cells"
    rows = [_on_chip(model, name, matrix, reports.get(name), n) for name, matrix in matrices.items()]
    rows += [_digital(model, name) for name in digital]
    rows += digital_products(model)
    title = f"Deployed {type(model).__name__} on {chips} of {size}, {chip.n_taken:,} taken{each}"
    return "\n".join([title, *(f"  {line}" for line in table(in_order(rows, model)))])


def in_order(rows: Sequence[LayerRow], model: torch.nn.Module) -> list[LayerRow]:
    """The rows in the order of the modules of `model`; a parameter is where its module is."""
    order = {name: index for index, (name, _) in enumerate(model.named_modules())}
    return sorted(rows, key=lambda row: order.get(row.name, order.get(row.name.rpartition(".")[0], -1)))


def digital_products(model: torch.nn.Module) -> list[LayerRow]:
    """A row for each layer whose products of activations no array computes."""
    return [
        LayerRow(name=name, kind=type(part).__name__, on="digital", note=part.digital_products)
        for name, part in model.named_modules()
        if isinstance(part, CompositeLayer) and part.digital_products
    ]


def _on_chip(
    model: torch.nn.Module, name: str, matrix: Matrix, report: WriteReport | None, chips: Sequence[int]
) -> LayerRow:
    """The row of a layer on the chip. Its weight is in cells, but its bias is added in software."""
    placement, layer = matrix.placement, model.get_submodule(name)
    notes = [f"placed as {matrix.name!r}"] if matrix.name != (name or "model") else []
    notes += ["bias digital"] if layer._parameters.get("bias") is not None else []
    if report is not None and report.n_failed:  # of all chips
        on_all = f" on {counted(chips[0], 'chip')}" if chips else ""
        notes.append(f"{counted(report.n_failed, 'cell')} not converged{on_all}")
    return LayerRow(
        name=name,
        kind=type(layer).__name__,
        on="chip",
        note=", ".join(notes),
        n_cells=placement.cells.numel(),
        n_tiles=len(placement.tiles),
        n_arrays=len({tile.array for tile in placement.tiles}),
    )


def _digital(model: torch.nn.Module, name: str) -> LayerRow:
    """The row of a layer or parameter in software."""
    modules = dict(model.named_modules())
    return LayerRow(name=name, kind=type(modules[name]).__name__ if name in modules else "Parameter", on="digital")

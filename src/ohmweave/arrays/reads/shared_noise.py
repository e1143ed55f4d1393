"""Read noise of linear cells behind shared resistances: variances that are quadratic forms of the inputs.

The noise of a cell is proportional to the voltage across it, and that contains the drops which all other driven rows
cause on shared wires and sense resistances (`ohmweave.circuit.noise`). The forms are reduced to a diagonal and a few
squares. Where these drops matter little for any input, the diagonal is enough, and a read costs what it costs without
wires; elsewhere each square costs one more product.
"""

import warnings
from typing import NamedTuple

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.placement import Placement, Tile
from ohmweave.arrays.writes.wiring import Wiring
from ohmweave.circuit import FormFactors, factor_forms, noise_forms

VARIANCE_TOLERANCE = 0.05
"""Largest relative error of a variance, for any input: standard deviations are within 2.6 %."""

# Intermediate numbers in the evaluation of forms: they stay in a core's cache.
_CACHE_VALUES = 2**18
# Products in the preparation of a tile's forms above which a warning is given, about a minute on one core.
_MANY_PRODUCTS = 1e12


class _Block(NamedTuple):
    """The forms of one tile.

    Attributes:
        driven: the numbers that are driven: inputs, or outputs if transposed.
        sensed: the numbers that are sensed.
        factors: of the forms `(chips, sensed, driven, driven)`, S^2.
    """

    driven: slice
    sensed: slice
    factors: FormFactors


class SharedNoise:
    """The noise of reads of one placement; keeps no reference to it.

    Args:
        bank: the cells.
        wiring: the resistances around them.
        placement: of the matrix.
        transposed: True for reads that drive the outputs and sense the inputs.
    """

    def __init__(self, bank: CellBank, wiring: Wiring, placement: Placement, *, transposed: bool = False) -> None:
        self._chips = bank.n_sets
        self._shape = (placement.n_out, placement.n_in) if transposed else (placement.n_in, placement.n_out)
        self._blocks: list[_Block] = []
        self.diagonal = torch.zeros(self._chips, *self._shape, dtype=bank.dtype, device=bank.device)
        """`(chips, driven, sensed)` S^2: the variances with one number driven at a time."""
        for tile in placement.tiles:
            factors = factor_forms(tile_forms(bank, wiring, placement, tile, transposed), tolerance=VARIANCE_TOLERANCE)
            block = _Block(*_lines_of(placement, tile, transposed), factors)
            self.diagonal[:, block.driven, block.sensed] += factors.diagonal.mT
            self._blocks.append(block)

    @property
    def coupled(self) -> bool:
        """True if the diagonal is not enough."""
        return any(block.factors.rank for block in self._blocks)

    def variance(self, row: RowVoltages) -> torch.Tensor:
        """`(*chips, n, driven)` voltages to the variances of a read, `(*chips, n, sensed)` A^2.

        The intervals of a bit-serial read have independent noise.
        """
        *outer, _ = row.numbers.shape
        n = row.numbers.shape[-2]
        found = row.numbers.new_zeros(self._chips, n, self._shape[1])
        for v, weight in row.intervals():
            v = v.reshape(self._chips, n, -1)
            for driven, sensed, factors in self._blocks:
                found[..., sensed] += weight**2 * evaluate_in_parts(factors, v[..., driven])
        return found.view(*outer, -1)


def tile_forms(
    bank: CellBank,
    wiring: Wiring,
    placement: Placement,
    tile: Tile,
    transposed: bool = False,
    *,
    by_line: bool = False,
) -> torch.Tensor:
    """Quadratic forms of the noise of a tile's currents, all other rows of its array at 0 V.

    Args:
        bank: the cells.
        wiring: the resistances around them.
        placement: of the matrix.
        tile: of the placement.
        transposed: True to drive the outputs and sense the inputs.
        by_line: True for the currents of single column lines instead of outputs.

    Returns:
        `(chips, sensed, driven, driven)` S^2, of the dtype of the bank.
    """
    h, c = placement.row_gain, placement.col_gain
    _warn_of_time(bank, tile)
    first_in, first_out = tile.row_line // len(h), 0 if by_line else tile.col_line // len(c)
    inputs, outputs = _lines_of(placement, tile, False)
    drive = torch.zeros(bank.rows, inputs.stop - first_in, dtype=torch.float64, device="cpu")
    for r in range(tile.rows):
        line = tile.row_line + r
        drive[tile.row + r, line // len(h) - first_in] = h[line % len(h)]
    sense = torch.zeros(
        bank.cols, tile.cols if by_line else outputs.stop - first_out, dtype=torch.float64, device="cpu"
    )
    for k in range(tile.cols):
        line = tile.col_line + k
        if by_line:
            sense[tile.col + k, k] = 1.0
        else:
            sense[tile.col + k, line // len(c) - first_out] = c[line % len(c)]
    drive, sense = drive.to(bank.device), sense.to(bank.device)
    index = torch.arange(bank.n_sets, device=bank.device) * bank.n_arrays + tile.array
    return torch.cat(
        [
            noise_forms(*wiring.transfers(part, drive, sense), transposed=transposed)
            for part in index.split(wiring.arrays_at_once)
        ]
    )


def evaluate_in_parts(factors: FormFactors, v: torch.Tensor) -> torch.Tensor:
    """`factors.evaluate` of `(chips, n, k)` vectors, `(chips, n, L)`, in parts that stay in a core's cache."""
    chips, n_forms, _ = factors.diagonal.shape
    n = max(1, _CACHE_VALUES // max(1, chips * n_forms * max(1, factors.rank)))
    return torch.cat([factors.evaluate(part) for part in v.split(n, 1)], 1)


def _lines_of(placement: Placement, tile: Tile, transposed: bool) -> tuple[slice, slice]:
    """The inputs and outputs that a tile has lines of; outputs first if transposed."""
    h, c = len(placement.row_gain), len(placement.col_gain)
    inputs = slice(tile.row_line // h, -(-(tile.row_line + tile.rows) // h))
    outputs = slice(tile.col_line // c, -(-(tile.col_line + tile.cols) // c))
    return (outputs, inputs) if transposed else (inputs, outputs)


def _warn_of_time(bank: CellBank, tile: Tile) -> None:
    """Warn if the forms of a tile, with as many outputs as columns, take minutes."""
    products = bank.n_sets * bank.cells_per_array * tile.cols * tile.rows**2
    if products > _MANY_PRODUCTS:
        warnings.warn(
            f"preparing the read noise of a tile of {tile.rows} x {tile.cols} cells behind shared resistances takes "
            f"about {products / _MANY_PRODUCTS:.0f} minutes after each programming: use smaller arrays, or cells "
            "without read noise, whose reads need no such preparation",
            stacklevel=2,
        )

"""Read noise of linear cells behind shared resistances: variances that are quadratic forms of the inputs.

The noise of a cell is proportional to the voltage across it, and that contains the drops which all other driven rows
cause on shared wires and sense resistances (`ohmweave.circuit.noise`). Where these drops matter little for any input,
the diagonal of the form is enough and a read costs what it costs without wires; elsewhere the form itself is evaluated.
"""

from typing import NamedTuple

import torch

from ohmweave.arrays.bank import CellBank
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.placement import Placement, Tile
from ohmweave.arrays.writes.wiring import Wiring
from ohmweave.circuit import form_coupling, noise_forms

MAX_COUPLING = 0.05
"""Up to this `circuit.form_coupling`, the diagonal replaces the form: standard deviations are then within 2.6 %."""

# Numbers in the matrices of the chips that are worked on together: a bound on memory.
_NUMBERS_AT_ONCE = 2**24
# Intermediate numbers in the evaluation of forms: they stay in a core's cache.
_CACHE_VALUES = 2**18


class _Block(NamedTuple):
    """The forms of one tile.

    Attributes:
        driven: the numbers that are driven: inputs, or outputs if transposed.
        sensed: the numbers that are sensed.
        forms: `(chips, sensed, driven, driven)` S^2.
    """

    driven: slice
    sensed: slice
    forms: torch.Tensor


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
        blocks = [
            _Block(*_lines_of(placement, tile, transposed), tile_forms(bank, wiring, placement, tile, transposed))
            for tile in placement.tiles
        ]
        self.diagonal = blocks[0].forms.new_zeros(self._chips, *self._shape)
        """`(chips, driven, sensed)` S^2: the variances with one number driven at a time."""
        for driven, sensed, forms in blocks:
            self.diagonal[:, driven, sensed] += forms.diagonal(dim1=-2, dim2=-1).mT
        self.coupled = any(form_coupling(block.forms) > MAX_COUPLING for block in blocks)
        """True if the diagonal is not enough."""
        self._blocks = blocks if self.coupled else []  # the forms are large

    def variance(self, row: RowVoltages) -> torch.Tensor:
        """`(*chips, n, driven)` voltages to the variances of a read, `(*chips, n, sensed)` A^2; only if `coupled`.

        The intervals of a bit-serial read have independent noise.
        """
        *outer, _ = row.numbers.shape
        n = row.numbers.shape[-2]
        found = row.numbers.new_zeros(self._chips, n, self._shape[1])
        for v, weight in row.intervals():
            v = v.reshape(self._chips, n, -1)
            for driven, sensed, forms in self._blocks:
                found[..., sensed] += weight**2 * evaluate_forms(forms, v[..., driven])
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
    first_in, first_out = tile.row_line // len(h), 0 if by_line else tile.col_line // len(c)
    inputs, outputs = _lines_of(placement, tile, False)
    drive = torch.zeros(bank.rows, inputs.stop - first_in, dtype=torch.float64)
    for r in range(tile.rows):
        line = tile.row_line + r
        drive[tile.row + r, line // len(h) - first_in] = h[line % len(h)]
    sense = torch.zeros(bank.cols, tile.cols if by_line else outputs.stop - first_out, dtype=torch.float64)
    for k in range(tile.cols):
        line = tile.col_line + k
        if by_line:
            sense[tile.col + k, k] = 1.0
        else:
            sense[tile.col + k, line // len(c) - first_out] = c[line % len(c)]
    drive, sense = drive.to(bank.device), sense.to(bank.device)
    index = torch.arange(bank.n_sets, device=bank.device) * bank.n_arrays + tile.array
    n_chips = max(1, _NUMBERS_AT_ONCE // (bank.cells_per_array * bank.cols))
    return torch.cat(
        [noise_forms(*wiring.transfers(part, drive, sense), transposed=transposed) for part in index.split(n_chips)]
    )


def evaluate_forms(forms: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """`v @ Q @ v` for every vector and form.

    Args:
        forms: `(chips, L, k, k)`, symmetric.
        v: `(chips, n, k)`.

    Returns:
        `(chips, n, L)`, >= 0.
    """
    chips, n_forms, k, _ = forms.shape
    matrix = forms.permute(0, 3, 1, 2).reshape(chips, k, n_forms * k)
    found = v.new_empty(*v.shape[:-1], n_forms)
    n = max(1, _CACHE_VALUES // max(1, chips * n_forms * k))
    for first in range(0, v.shape[1], n):
        part = v[:, first : first + n]
        image = (part @ matrix).unflatten(-1, (n_forms, k))
        found[:, first : first + n] = (image @ part[..., None])[..., 0]
    return found.clamp_(min=0.0)  # rounding can make a variance that cancels negative


def _lines_of(placement: Placement, tile: Tile, transposed: bool) -> tuple[slice, slice]:
    """The inputs and outputs that a tile has lines of; outputs first if transposed."""
    h, c = len(placement.row_gain), len(placement.col_gain)
    inputs = slice(tile.row_line // h, -(-(tile.row_line + tile.rows) // h))
    outputs = slice(tile.col_line // c, -(-(tile.col_line + tile.cols) // c))
    return (outputs, inputs) if transposed else (inputs, outputs)

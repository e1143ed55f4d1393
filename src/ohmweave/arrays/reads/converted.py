"""Reads with an ADC at the columns: all tiles, bit planes and chips of a placement in one batched product.

Currents are in units of the converter's lsb, so that a conversion is a rounding and a clamp. With x_p the input of bit
plane p (0 or 1, times the sign of the input; the voltage itself if the input is not bit-serial), G_t the matrix of
tile t and c the column lines of an output,

    out[o] = lsb * sum over t, c, p of  line[c] * weight[p] * code(G_t[o, c] x_p).

The sum over planes is the shift-and-add, the sum over lines the (digital) differential subtraction, the sum over tiles
the accumulation after the arrays. For non-linear cells, G_t x_p is replaced by the currents of an operating point.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch

from ohmweave.arrays.converters.columns import ColumnConverters, Record
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.converters.signs import check_signs
from ohmweave.arrays.placement import Placement, Tile
from ohmweave.arrays.reads.bit_planes import bit_planes, drive_of
from ohmweave.arrays.reads.converted_images import Codes, ConvertedImages, Stack
from ohmweave.arrays.reads.tile_currents import LinearTiles, TilesOf
from ohmweave.base import NormalStream, ShapeError

# Conversions in one chunk: the passes over a chunk are cheap while it stays in a core's cache.
CACHE_VALUES = 2**18


class ConvertedMatrix:
    """A placement with the converters of its columns; keeps no reference to the placement.

    Args:
        placement: of the matrix.
        tiles_of: the currents at the columns of stacked tiles.
        columns: the converters.
        dac: of the rows; None drives any voltage.

    Raises:
        ShapeError: the column lines of one output are on different tiles.
        OutOfRangeError: the converter is unsigned and the placement makes negative currents.
    """

    def __init__(self, placement: Placement, tiles_of: TilesOf, *, columns: ColumnConverters, dac: DAC | None) -> None:
        adc = columns.adc
        self._adc, self._n_out = adc, placement.n_out
        self._lsb = adc.lsb(columns.full_scale(placement))
        check_signs(placement, dac=dac, adc=adc)
        self._watch = columns.watch(placement)
        serial = dac is not None and dac.bit_serial
        self._n_planes = dac.n_planes if dac is not None else 1
        # Each bit plane is driven at `v_max`; `_scale` converts the weighted sum of codes to A at the DAC's voltages.
        drive = 1.0 if dac is None else dac.v_max if serial else dac.v_lsb
        self._scale = self._lsb * (dac.v_lsb / dac.v_max if dac is not None and serial else 1.0)
        analogue = adc.subtract == "analogue"
        line = columns.faults.gain.new_tensor([1.0] if analogue else placement.col_gain)
        # Plane p counts 2^p; flattened over (line, plane), in the order of the codes in `_convert`.
        weight = 2.0 ** torch.arange(self._n_planes, dtype=line.dtype, device=line.device)
        self._weight = (line[:, None] * weight).flatten()
        self._stacks = [
            _stack(placement, tiles, tiles_of, columns, lsb=self._lsb, drive=drive, analogue=analogue)
            for tiles in _by_columns(placement.tiles)
        ]
        self._images: ConvertedImages | None = None
        if all(isinstance(one.currents, LinearTiles) and one.currents.factors is None for one in self._stacks):
            unit = Codes(adc, lsb=self._lsb, weight=self._weight, n_planes=self._n_planes, scale=self._scale)
            self._images = ConvertedImages(self._stacks, unit, self._n_out, self._watch)

    def read(self, row: RowVoltages, *, noise: NormalStream, record: Record | None = None) -> torch.Tensor:
        """Convert a read.

        Args:
            row: `(chips, batch, n_in)`, from the DAC that the matrix was made with.
            noise: stream of the noise of reads and converters.
            record: what the currents at the converters are recorded in; then nothing is rounded or clamped (range
                finding).

        Returns:
            `(chips, batch, n_out)` A: the current that the row voltages would cause, applied at once.
        """
        chips, n, _ = row.numbers.shape
        out = row.numbers.new_zeros(chips, self._n_out, n)
        drive = drive_of(row, self._adc).mT
        watched = record is None and self._watch.is_due()
        for stack in self._stacks:
            conversions = math.prod(stack.shape[:3]) * self._n_planes
            # Chunks of the batch that stay in the cache while they are converted; noise is drawn chunk by chunk.
            n_chunk = max(1, CACHE_VALUES // conversions)
            for first in range(0, n, n_chunk):
                part = slice(first, first + n_chunk)
                lines = drive[..., part].index_select(1, stack.inputs)
                planes = bit_planes(lines, row.dac, self._n_planes, stack.offset.dtype)
                look = watched and first == 0
                out[:, stack.outputs, part] += self._convert(stack, planes, noise, record, look=look)
        if watched:
            self._watch.judge()
        return out.mul_(self._scale).mT

    @property
    def images(self) -> ConvertedImages | None:
        """Reads of images without copies of their patches; None if cells are not linear or share resistances."""
        return self._images

    def _convert(
        self, stack: Stack, planes: torch.Tensor, noise: NormalStream, record: Record | None, *, look: bool
    ) -> torch.Tensor:
        """Drives `(chips, T * k, planes, n)` to `(chips, outputs, n)`, in lsb of the lowest plane."""
        chips, tiles, _, k = stack.shape
        n = planes.shape[-1]
        code = stack.currents(planes.view(chips * tiles, k, self._n_planes * n), noise=noise)
        if look:
            self._watch.look(code)
        if record is None:
            self._adc.digitise(code, offset=stack.offset, inl=stack.inl, noise=noise)
        else:
            record.add(code.view(-1, self._n_planes, n).movedim(1, 0), self._lsb)
        # Shift-and-add, and the digital subtraction of the lines of an output, as one product with the weights.
        by_output = code.view(chips * tiles * (stack.outputs.stop - stack.outputs.start), len(self._weight), n)
        total = self._weight.expand(len(by_output), 1, -1) @ by_output
        # Tiles are converted separately and added as numbers: rounding happens once for each tile.
        return total.view(chips, tiles, -1, n).sum(1)


def _by_columns(tiles: Sequence[Tile]) -> list[list[Tile]]:
    """Tiles grouped by their column lines: tiles of one group are stacked, and their results are summed."""
    groups: dict[tuple[int, int], list[Tile]] = defaultdict(list)
    for tile in tiles:
        groups[tile.col_line, tile.cols].append(tile)
    return list(groups.values())


def _stack(
    placement: Placement,
    tiles: Sequence[Tile],
    tiles_of: TilesOf,
    columns: ColumnConverters,
    *,
    lsb: float,
    drive: float,
    analogue: bool,
) -> Stack:
    """Stack tiles of the same column lines with their converters; see `Stack`.

    `drive` is V per unit of drive; `lsb` is in A.
    """
    h, c = len(placement.row_gain), len(placement.col_gain)
    if any(tile.col_line % c or tile.cols % c for tile in tiles):
        raise ShapeError(f"tiles must keep the {c} lines of an output together where they are converted")
    spans = [range(tile.row_line // h, -(-(tile.row_line + tile.rows) // h)) for tile in tiles]
    n_lines = tiles[0].cols // c if analogue else tiles[0].cols
    shape = (len(columns.faults.gain), len(tiles), n_lines, max(len(span) for span in spans))
    inputs = torch.zeros(shape[1], shape[3], dtype=torch.int64, device=columns.faults.gain.device)
    faults = [fault.new_empty(*shape[:3], 1) for fault in columns.faults]
    for t, (tile, span) in enumerate(zip(tiles, spans, strict=True)):
        inputs[t, : len(span)] = torch.arange(span.start, span.stop, device=inputs.device)
        # Analogue subtraction: one converter for each output, that of the output's first column.
        at = slice(tile.col, tile.col + tile.cols, c if analogue else 1)
        for fault, of_column in zip(faults, columns.faults, strict=True):
            fault[:, t, :, 0] = of_column[:, tile.array, at]
    return Stack(
        inputs=inputs.flatten(),
        shape=shape,
        currents=tiles_of(tiles, spans, faults[0] / lsb, drive, analogue),
        offset=faults[1].flatten(0, 1),
        inl=faults[2].flatten(0, 1),
        outputs=slice(tiles[0].col_line // c, (tiles[0].col_line + tiles[0].cols) // c),
        spans=tuple(spans),
    )

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
from typing import NamedTuple

import torch

from ohmweave.arrays.converters.columns import ColumnConverters, Record
from ohmweave.arrays.converters.dac import DAC
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.placement import Placement, Tile
from ohmweave.arrays.reads.converted_images import TileKernels, tile_kernels
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.patches import by_parts
from ohmweave.arrays.reads.tile_currents import LinearTiles, TileCurrents, TilesOf
from ohmweave.base import NormalStream, OutOfRangeError, ShapeError

# Conversions in one chunk: the passes over a chunk are cheap while it stays in a core's cache.
CACHE_VALUES = 2**18
# The same of images: a call of a convolution costs more.
IMAGE_VALUES = 2**20


class _Stack(NamedTuple):
    """T tiles that hold the same L column lines, stacked, their inputs padded to the same number, k.

    Attributes:
        inputs: `(T * k,)` int64, the input of each row of each tile; input 0 in the padding, where conductances are 0.
        shape: (chips, T, L, k).
        currents: of the lines, in lsb.
        offset, inl: `(chips * T, L, 1)`, lsb, of the converter of each line.
        outputs: the outputs that the lines belong to.
        spans: the inputs of each tile.
    """

    inputs: torch.Tensor
    shape: tuple[int, int, int, int]
    currents: TileCurrents
    offset: torch.Tensor
    inl: torch.Tensor
    outputs: slice
    spans: tuple[range, ...]


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
        # A row driven at -V sends a negative current into an unsigned converter, whatever the cells hold.
        if not adc.signed and min(placement.row_gain) < 0:
            raise OutOfRangeError("`signed` of the ADC must be true where rows are driven both ways, but is False")
        serial = dac is not None and dac.bit_serial
        self._n_planes = dac.n_planes if dac is not None else 1
        # Each bit plane is driven at `v_max`; `_scale` converts the weighted sum of codes to A at the DAC's voltages.
        drive = dac.v_max if dac is not None and serial else 1.0
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
        self._kernels: dict[tuple[int, int], list[list[TileKernels]]] = {}

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
        drive = self._drive_of(row).mT
        for stack in self._stacks:
            conversions = math.prod(stack.shape[:3]) * self._n_planes
            # Chunks of the batch that stay in the cache while they are converted; noise is drawn chunk by chunk.
            n_chunk = max(1, CACHE_VALUES // conversions)
            for first in range(0, n, n_chunk):
                part = slice(first, first + n_chunk)
                planes = self._planes(drive[..., part].index_select(1, stack.inputs), row.dac, stack.offset.dtype)
                out[:, stack.outputs, part] += self._convert(stack, planes, noise, record)
        return out.mul_(self._scale).mT

    def reads_images(self) -> bool:
        """True if `read_images` can be called: cells are linear and their noise is independent."""
        return all(isinstance(one.currents, LinearTiles) and one.currents.factors is None for one in self._stacks)

    def read_images(
        self, row: RowVoltages, geometry: ConvGeometry, *, noise: NormalStream, record: Record | None = None
    ) -> torch.Tensor:
        """`read` of every patch of images.

        Args:
            row: `(chips, batch, H, W, C)`.
            geometry: of the patches; the padding is at 0 V.
            noise: stream of the noise of reads and converters.
            record: as in `read`.

        Returns:
            `(chips, batch, out H, out W, n_out)` A.
        """
        drive = self._drive_of(row)
        size = geometry.out_size(drive.shape[2:4])
        n_values = max(stack.shape[2] for stack in self._stacks) * self._n_planes * size[0] * size[1]

        def read_part(part: torch.Tensor) -> torch.Tensor:
            of_dac = [row.of_numbers(images) for images in part]
            return torch.stack([self._read_chip(k, one, geometry, noise, record) for k, one in enumerate(of_dac)])

        return by_parts(drive, n_values, read_part, at_most=IMAGE_VALUES).mul_(self._scale)

    def _read_chip(
        self, chip: int, row: RowVoltages, geometry: ConvGeometry, noise: NormalStream, record: Record | None
    ) -> torch.Tensor:
        """Drives of one chip's images `(n, H, W, C)` to `(n, out H, out W, n_out)`, in lsb of the lowest plane."""
        images = row.numbers
        planes = self._planes(images.reshape(1, 1, -1), row.dac, self._weight.dtype).view(-1, *images.shape[1:])
        n_pixels, size = len(planes), geometry.out_size(images.shape[1:3])
        out = planes.new_zeros(len(images), *size, self._n_out)
        for stack, tiles in zip(self._stacks, self._kernels_of(geometry), strict=True):
            for t, tile in enumerate(tiles):
                halved = tile.halves(planes, n_pixels * size[0] * size[1])
                current = tile.currents(planes, chip, geometry, noise=noise, halved=halved)
                at = chip * stack.shape[1] + t
                out[..., stack.outputs] += self._convert_pixels(current, stack.offset[at], stack.inl[at], noise, record)
        return out

    def _kernels_of(self, geometry: ConvGeometry) -> list[list[TileKernels]]:
        """The kernels of the tiles of each stack, made once for a size of the kernel."""
        if geometry.kernel_size not in self._kernels:
            found = []
            for stack in self._stacks:
                assert isinstance(stack.currents, LinearTiles)
                found.append(tile_kernels(stack.currents, stack.spans, geometry.kernel_size))
            self._kernels[geometry.kernel_size] = found
        return self._kernels[geometry.kernel_size]

    def _convert_pixels(
        self,
        current: torch.Tensor,
        offset: torch.Tensor,
        inl: torch.Tensor,
        noise: NormalStream,
        record: Record | None,
    ) -> torch.Tensor:
        """Currents `(planes * n, out H, out W, L)` to `(n, out H, out W, outputs)`, in lsb of the lowest plane.

        `offset` and `inl` are `(L, 1)`.
        """
        n_lines = current.shape[-1]
        by_line = current.view(1, -1, n_lines).mT
        if record is None:
            self._adc.digitise(by_line, offset=offset, inl=inl, noise=noise)
        else:
            record.add(current.view(self._n_planes, -1), self._lsb)
        codes = current.view(self._n_planes, -1, *current.shape[1:])
        if len(self._weight) == 1:
            return codes[0] if self._weight[0] == 1 else codes[0].mul_(self._weight[0])
        by_output = codes.unflatten(-1, (-1, len(self._weight) // self._n_planes))
        weight = self._weight.view(-1, self._n_planes)
        total = by_output[0] @ weight[:, 0]
        for plane in range(1, self._n_planes):
            total += by_output[plane] @ weight[:, plane]
        return total

    def _drive_of(self, row: RowVoltages) -> torch.Tensor:
        """`row`, of any shape: codes if they are sent bit by bit, else V."""
        if not self._adc.signed and (row.dac is None or row.dac.signed) and bool((row.numbers < 0).any()):
            raise OutOfRangeError("`signed` of the ADC must be true for negative row voltages, but is False")
        if row.dac is None or not row.dac.bit_serial:
            return row.v
        if row.dac.signed:
            return row.numbers
        # Bits are extracted from integers; uint8 is faster than int32.
        return row.numbers.to(torch.uint8 if row.dac.bits <= 8 else torch.int32)

    def _convert(self, stack: _Stack, planes: torch.Tensor, noise: NormalStream, record: Record | None) -> torch.Tensor:
        """Drives `(chips, T * k, planes, n)` to `(chips, outputs, n)`, in lsb of the lowest plane."""
        chips, tiles, _, k = stack.shape
        n = planes.shape[-1]
        code = stack.currents(planes.view(chips * tiles, k, self._n_planes * n), noise=noise)
        if record is None:
            self._adc.digitise(code, offset=stack.offset, inl=stack.inl, noise=noise)
        else:
            record.add(code.view(-1, self._n_planes, n).movedim(1, 0), self._lsb)
        # Shift-and-add, and the digital subtraction of the lines of an output, as one product with the weights.
        by_output = code.view(chips * tiles * (stack.outputs.stop - stack.outputs.start), len(self._weight), n)
        total = self._weight.expand(len(by_output), 1, -1) @ by_output
        # Tiles are converted separately and added as numbers: rounding happens once for each tile.
        return total.view(chips, tiles, -1, n).sum(1)

    def _planes(self, drive: torch.Tensor, dac: DAC | None, dtype: torch.dtype) -> torch.Tensor:
        """`(chips, lines, n)` to `(chips, lines, planes, n)`: the bits, lowest first, or the drive as one plane."""
        if dac is None or not dac.bit_serial:
            return drive.unsqueeze(-2).to(dtype).contiguous()
        sign = None
        if dac.signed:
            # A signed DAC sends the bits of the magnitude, all with the sign of the number.
            sign = drive.sign()
            drive = drive.abs().to(torch.int32)
        bits = torch.arange(self._n_planes, dtype=drive.dtype, device=drive.device)[:, None]
        planes = ((drive.unsqueeze(-2) >> bits) & 1).to(dtype)
        return planes if sign is None else planes * sign.unsqueeze(-2)


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
) -> _Stack:
    """Stack tiles of the same column lines with their converters; see `_Stack`.

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
    return _Stack(
        inputs=inputs.flatten(),
        shape=shape,
        currents=tiles_of(tiles, spans, faults[0] / lsb, drive, analogue),
        offset=faults[1].flatten(0, 1),
        inl=faults[2].flatten(0, 1),
        outputs=slice(tiles[0].col_line // c, (tiles[0].col_line + tiles[0].cols) // c),
        spans=tuple(spans),
    )

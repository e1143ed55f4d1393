"""Converted reads of all patches of images, without copies of the patches.

The current of a column line is a convolution of the images with the cells of the line, as without a converter
(`patches`); a tile holds some of the inputs, so it is the convolution with those alone, of the channels that they
belong to. Each pixel of it is one conversion. The patches need not be copied, and noise and conversions are passes over
the outputs. `ConvertedMatrix.read` of the patches is the reference.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ohmweave.arrays.converters.adc import ADC, converts_alike
from ohmweave.arrays.converters.columns import Record
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.converters.saturation import SaturationWatch
from ohmweave.arrays.reads.bit_planes import bit_planes, drive_of
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.arrays.reads.half_variance import halved_squares, worth_halving
from ohmweave.arrays.reads.patches import convolve
from ohmweave.arrays.reads.tile_currents import LinearTiles, TileCurrents
from ohmweave.base import NormalStream, in_threads, worth_compiling

# Conversions in one part of the images: the passes over a part are cheap while it stays in a core's cache.
IMAGE_VALUES = 2**20
# Conversions of a chip above which convolutions are faster than copies of patches of all chips.
WORTH = 2**13
# Conversions of a chip above which vectors are read as images of one pixel: a product for each chip and tile, and one
# pass of conversion, in place of products of all chips and passes for each step of the conversion.
VECTORS_WORTH = 2**17
POINT = ConvGeometry(kernel_size=(1, 1))


class Stack(NamedTuple):
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


class Codes(NamedTuple):
    """What codes mean.

    Attributes:
        adc: the converter.
        lsb: A, between its codes.
        weight: `(c * planes,)`, of the codes of the c lines of an output, line by line.
        n_planes: bit planes of an input, lowest first; 1 if it is sent at once.
        scale: A for 1 in the weighted sum of codes.
    """

    adc: ADC
    lsb: float
    weight: torch.Tensor
    n_planes: int
    scale: float


class TileKernels(NamedTuple):
    """One tile as kernels of a convolution.

    Attributes:
        channels: that its inputs belong to.
        g: `(chips, lines, channels, kh, kw)`, lsb per unit of drive; 0 for inputs that are on other tiles.
        variance: the same shape, lsb^2 per squared unit of drive, or None.
        half: `variance` in bfloat16, or None.
    """

    channels: slice
    g: torch.Tensor
    variance: torch.Tensor | None
    half: torch.Tensor | None

    def currents(
        self, drive: torch.Tensor, chip: int, geometry: ConvGeometry, *, noise: NormalStream, halved: bool
    ) -> torch.Tensor:
        """Images `(n, H, W, C)` of all channels to currents with read noise, `(n, out H, out W, lines)`, in lsb."""
        own = drive[..., self.channels]
        current = convolve(own, self.g[chip], geometry)
        variance = self.half if halved else self.variance
        if variance is not None:
            squares = halved_squares(own) if variance.dtype == torch.bfloat16 else own.square()
            noise.add_(current, convolve(squares, variance[chip], geometry))
        return current

    def halves(self, drive: torch.Tensor, n_outputs: int) -> bool:
        """True if the variances of `n_outputs` patches are computed in bfloat16."""
        return self.half is not None and worth_halving(drive, n_outputs * self.g[0].numel())


def tile_kernels(tiles: LinearTiles, spans: tuple[range, ...], kernel_size: tuple[int, int]) -> list[TileKernels]:
    """The tiles of a stack as kernels.

    Args:
        tiles: `(chips * T, lines, k)`, without factors of forms.
        spans: the inputs of each of the T tiles; input `channel * taps + tap`.
        kernel_size: rows and columns.
    """
    taps = kernel_size[0] * kernel_size[1]

    def kernels(lines: torch.Tensor, t: int) -> torch.Tensor:
        span = spans[t]
        of_tile = lines.unflatten(0, (-1, len(spans)))[:, t, :, : len(span)]
        before, after = span.start % taps, -span.stop % taps
        whole = F.pad(of_tile, (before, after)).unflatten(-1, (-1, *kernel_size))
        # Stored with the channels last, like the images.
        by_pixel: torch.Tensor = whole.movedim(-3, -1).contiguous().movedim(-1, -3)
        return by_pixel

    found = []
    for t, span in enumerate(spans):
        variance = None if tiles.variance is None else kernels(tiles.variance, t)
        half = variance.bfloat16() if variance is not None and variance.dtype == torch.float32 else None
        channels = slice(span.start // taps, -(-span.stop // taps))
        found.append(TileKernels(channels, kernels(tiles.g, t), variance, half))
    return found


class ConvertedImages:
    """The converted reads of all patches of images.

    Args:
        stacks: whose currents are `LinearTiles` without factors.
        codes: of the converters.
        n_out: outputs of the placement.
        watch: what looks for currents beyond full scale.
    """

    def __init__(self, stacks: Sequence[Stack], codes: Codes, n_out: int, watch: SaturationWatch) -> None:
        self._stacks, self._codes, self._n_out, self._watch = stacks, codes, n_out, watch
        self._kernels: dict[tuple[int, int], list[list[TileKernels]]] = {}

    def is_worth(self, images: torch.Tensor, geometry: ConvGeometry) -> bool:
        """True if `read` is faster than reads of patches: a convolution is called for each chip and tile.

        Args:
            images: `(*chips, batch, H, W, C)`.
            geometry: of the patches.
        """
        n_patches = images.shape[-4] * torch.Size(geometry.out_size(images.shape[-3:-1])).numel()
        return n_patches * self._codes.n_planes * max(stack.shape[2] for stack in self._stacks) >= WORTH

    def read_vectors(self, row: RowVoltages, *, noise: NormalStream, record: Record | None = None) -> torch.Tensor:
        """Convert reads of vectors `(chips, batch, n_in)`, as `ConvertedMatrix.read` does."""
        pixels = row.of_numbers(row.numbers[:, :, None, None])
        return self.read(pixels, POINT, noise=noise, record=record)[:, :, 0, 0]

    def is_worth_vectors(self, vectors: torch.Tensor) -> bool:
        """True if `read_vectors` is faster than products of all chips; `vectors` are `(chips, batch, n_in)`."""
        n_lines = max(stack.shape[2] for stack in self._stacks)
        return vectors.shape[1] * self._codes.n_planes * n_lines >= VECTORS_WORTH

    def read(
        self, row: RowVoltages, geometry: ConvGeometry, *, noise: NormalStream, record: Record | None = None
    ) -> torch.Tensor:
        """Convert the reads of every patch of images.

        Args:
            row: `(chips, batch, H, W, C)`.
            geometry: of the patches; the padding is at 0 V.
            noise: stream of the noise of reads and converters.
            record: as in `ConvertedMatrix.read`.

        Returns:
            `(chips, batch, out H, out W, n_out)` A.
        """
        drive = drive_of(row, self._codes.adc)
        size = geometry.out_size(drive.shape[2:4])
        n_values = max(stack.shape[2] for stack in self._stacks) * self._codes.n_planes * size[0] * size[1]

        n_images = max(1, IMAGE_VALUES // max(1, n_values))
        out = drive.new_empty(*drive.shape[:2], *size, self._n_out, dtype=self._codes.weight.dtype)
        watched = record is None and self._watch.is_due()
        for first in range(0, drive.shape[1], n_images):
            for chip in range(len(drive)):
                part = slice(first, first + n_images)
                of_part, into = row.of_numbers(drive[chip, part]), out[chip, part]
                look = watched and first == 0
                self._read_chip(chip, of_part, geometry, noise, record, into, look=look)
        if watched:
            self._watch.judge()
        return out.mul_(self._codes.scale)

    def _read_chip(
        self,
        chip: int,
        row: RowVoltages,
        geometry: ConvGeometry,
        noise: NormalStream,
        record: Record | None,
        out: torch.Tensor,
        *,
        look: bool,
    ) -> None:
        """Drives of a chip's images `(n, H, W, C)` to `out`, `(n, out H, out W, n_out)`, in lsb of the lowest plane."""
        images = row.numbers
        planes = bit_planes(images.reshape(1, 1, -1), row.dac, self._codes.n_planes, self._codes.weight.dtype).view(
            -1, *images.shape[1:]
        )
        n_patches = self._codes.n_planes * out.shape[:-1].numel()
        for stack, tiles in zip(self._stacks, self._kernels_of(geometry), strict=True):
            for t, tile in enumerate(tiles):
                current = tile.currents(planes, chip, geometry, noise=noise, halved=tile.halves(planes, n_patches))
                if look:
                    self._watch.look(current.view(-1, current.shape[-1]).mT)
                at, into = chip * stack.shape[1] + t, out[..., stack.outputs]
                if record is None and converts_alike(self._codes.adc) and worth_compiling(current.numel()):
                    self._convert_compiled(current, stack.offset[at], stack.inl[at], into, fresh=t == 0)
                    continue
                found = self._convert_pixels(current, stack.offset[at], stack.inl[at], noise, record)
                into.copy_(found) if t == 0 else into.add_(found)

    def _kernels_of(self, geometry: ConvGeometry) -> list[list[TileKernels]]:
        """The kernels of the tiles of each stack, made once for a size of the kernel."""
        if geometry.kernel_size not in self._kernels:
            found = []
            for stack in self._stacks:
                assert isinstance(stack.currents, LinearTiles)
                found.append(tile_kernels(stack.currents, stack.spans, geometry.kernel_size))
            self._kernels[geometry.kernel_size] = found
        return self._kernels[geometry.kernel_size]

    def _convert_compiled(
        self, current: torch.Tensor, offset: torch.Tensor, inl: torch.Tensor, out: torch.Tensor, *, fresh: bool
    ) -> None:
        """As `_convert_pixels`, in one pass, added to `out`."""
        from ohmweave.arrays.converters.compiled_codes import convert_vectors

        number = current.numpy().dtype.type
        low, high = self._codes.adc.codes
        n_vectors = out.shape[:-1].numel()
        args = (
            current.view(self._codes.n_planes, -1).numpy(),
            offset.flatten().numpy() if self._codes.adc.offset > 0 else offset.flatten()[:0].numpy(),
            inl.flatten().numpy() if self._codes.adc.inl > 0 else inl.flatten()[:0].numpy(),
            (number(low), number(high)),
            self._codes.weight.view(-1, self._codes.n_planes).mT.contiguous().numpy(),
            out.view(n_vectors, out.shape[-1]).numpy(),
            fresh,
        )
        at_least = 1 + 2**16 // current[0, 0, 0].numel()
        in_threads(n_vectors, lambda first, last: convert_vectors(*args, first, last), at_least=at_least)

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
            self._codes.adc.digitise(by_line, offset=offset, inl=inl, noise=noise)
        else:
            record.add(current.view(self._codes.n_planes, -1), self._codes.lsb)
        codes = current.view(self._codes.n_planes, -1, *current.shape[1:])
        if len(self._codes.weight) == 1:
            return codes[0] if self._codes.weight[0] == 1 else codes[0].mul_(self._codes.weight[0])
        by_output = codes.unflatten(-1, (-1, len(self._codes.weight) // self._codes.n_planes))
        weight = self._codes.weight.view(-1, self._codes.n_planes)
        total: torch.Tensor = by_output[0] @ weight[:, 0]
        for plane in range(1, self._codes.n_planes):
            total += by_output[plane] @ weight[:, plane]
        return total

"""What all convolutions on a chip share: sizes, padding, and the way from one or three dimensions to images.

A line is an image of one row. A volume is cut into slabs of as many slices as the kernel is deep, one for each slice of
the output; a slab is an image with channels times depth channels. So every convolution is read patch by patch, with the
same cells as in two dimensions. Padding other than zeros is digital: the pixels are copied before they are read.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F

from ohmweave.arrays import ConvGeometry
from ohmweave.base import OutOfRangeError, ShapeError, check_integer, check_shape, shown
from ohmweave.mapping import Chip
from ohmweave.nn.array_convolution import array_convolution
from ohmweave.nn.chip_batch import is_in_software, with_batch
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.further_inputs import check_dims
from ohmweave.nn.on_chip import OnChip

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
"""Names of torch's layers and of `torch.nn.functional.pad`."""


def sizes_of(name: str, value: int | tuple[int, ...], n_dims: int, *, at_least: int) -> tuple[int, ...]:
    """A size for each dimension, from one number for all or from a tuple.

    Raises:
        OutOfRangeError: a size is no integer of at least `at_least`, or there are too few or too many of them.
    """
    sizes = tuple(value) if isinstance(value, tuple | list) else (value,) * n_dims
    if len(sizes) != n_dims:
        raise OutOfRangeError(f"`{name}` must be a number or {n_dims} numbers, but is {shown(value)}")
    return tuple(check_integer(name, size, at_least=at_least, at_most=2**15) for size in sizes)


def paddings(
    padding: int | tuple[int, ...] | str,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """Pixels to add before and after, last dimension first, as `torch.nn.functional.pad` takes them.

    With "same" the odd pixel is behind, as in torch, TensorFlow and MATLAB.

    Raises:
        OutOfRangeError: `padding` is an unknown word, "same" with a stride, or no padding of as many dimensions.
    """
    n_dims = len(kernel_size)
    if padding == "valid":
        return (0, 0) * n_dims
    if padding == "same":
        if any(one != 1 for one in stride):
            raise OutOfRangeError(f"`stride` must be 1 with padding 'same', but is {stride}")
        extra = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        return tuple(part for one in reversed(extra) for part in (one // 2, one - one // 2))
    if isinstance(padding, str):
        raise OutOfRangeError(f"`padding` must be a number, {n_dims} numbers, 'same' or 'valid', but is {padding!r}")
    each = sizes_of("padding", padding, n_dims, at_least=0)
    return tuple(part for one in reversed(each) for part in (one, one))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvShape:
    """The sizes of a convolution of any number of dimensions; tuples have one number for each, the slowest first.

    Attributes:
        in_channels, out_channels: of the images and of the outputs.
        kernel_size, stride, dilation: in pixels.
        padding: pixels to add, as `paddings` returns them.
        padding_mode: what is added.
        groups: of channels; each has outputs of its own.

    Raises:
        OutOfRangeError: a size is no positive integer, or the groups do not divide the channels.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    padding_mode: PaddingMode = "zeros"
    groups: int = 1

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("groups", "in_channels", "out_channels"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), at_least=1))
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise OutOfRangeError(f"`groups` must divide `{name}`, {channels}, but is {self.groups}")
        if self.padding_mode not in _MODES:
            raise OutOfRangeError(f"`padding_mode` must be one of {list(_MODES)}, but is {self.padding_mode!r}")

    @property
    def n_dims(self) -> int:
        """Dimensions of an image."""
        return len(self.kernel_size)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """`(out, in / groups, *kernel)`."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        """`x` `(n, in, *size)` with the digital part of the padding."""
        if self.padding_mode != "zeros":
            return F.pad(x, self.padding, mode=_MODES[self.padding_mode])
        # Zeros around the rows and columns of an image need not be stored: they are at 0 V in the reads.
        deep = self.padding[4:]
        return F.pad(x, (0, 0, 0, 0, *deep)) if any(deep) else x

    @property
    def geometry(self) -> ConvGeometry:
        """Of the images that the array reads, after `padded`; a line is an image of one row."""
        flat = [(1, *sizes)[-2:] for sizes in (self.kernel_size, self.stride, self.dilation)]
        pads = (*self.padding, 0, 0)[:4] if self.padding_mode == "zeros" else (0, 0, 0, 0)
        kernel, stride, dilation = ((one[0], one[1]) for one in flat)
        return ConvGeometry(
            kernel_size=kernel, stride=stride, dilation=dilation, padding=(pads[0], pads[1], pads[2], pads[3])
        )

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ShapeError` if an image `size` is smaller than the kernel's reach."""
        reach = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        pads = self.padding
        found = tuple(n + pads[-2 - 2 * i] + pads[-1 - 2 * i] for i, n in enumerate(size))
        if any(have < least for have, least in zip(found, reach, strict=True)):
            raise ShapeError(f"`x` must have an image of at least {reach} pixels, padding included, but has {found}")

    def __str__(self) -> str:
        """As torch prints a convolution: what differs from the defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, value, default in (
            ("stride", self.stride, {1}),
            ("padding", self.padding, {0}),
            ("dilation", self.dilation, {1}),
        ):
            text += "" if set(value) == default else f", {name}={value}"
        text += "" if self.groups == 1 else f", groups={self.groups}"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode!r}"


def conv_shape(
    n_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    padding: int | tuple[int, ...] | str,
    dilation: int | tuple[int, ...],
    groups: int,
    padding_mode: PaddingMode,
) -> ConvShape:
    """The sizes of a convolution of `n_dims` dimensions from the arguments of torch's layer.

    Raises:
        OutOfRangeError: an argument is out of range.
    """
    size, strides, dilations = (
        sizes_of(name, value, n_dims, at_least=1)
        for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    return ConvShape(
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=size,
        stride=strides,
        dilation=dilations,
        padding=paddings(padding, size, strides, dilations),
        padding_mode=padding_mode,
        groups=groups,
    )


class Convolution(ChipLayer):
    """A convolution on a chip, of one, two or three dimensions; the base of `Conv1d`, `Conv2d` and the rest.

    `weight` is `(*chips, out, in / groups, *kernel)`, the bias `(*chips, out)`. Each group has tiles of its own, driven
    with the channels of the group, so that no cell is spent on weights that are zero.

    Args:
        shape: the sizes.
        bias: True for a digital bias.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`. Without `tile_rows` as many kernel
            slices as fit are packed on an array's rows.

    Raises:
        ChipFullError: there is no room.
    """

    def __init__(self, shape: ConvShape, *, bias: bool, chip: Chip, name: str, on_chip: OnChip | None) -> None:
        n_in = math.prod(shape.weight_shape[1:])
        (on_chip or OnChip()).refuse_transposed("a convolution")
        matrix = (on_chip or OnChip()).matrix(chip, name, (shape.out_channels, n_in), groups=shape.groups)
        super().__init__(matrix, weight_shape=shape.weight_shape, bias=bias)
        self.channels_last = False
        self.shape, self.geometry = shape, shape.geometry
        self.in_channels, self.out_channels, self.groups = shape.in_channels, shape.out_channels, shape.groups
        self.kernel_size, self.stride, self.dilation = shape.kernel_size, shape.stride, shape.dilation
        self.padding, self.padding_mode = shape.padding, shape.padding_mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From `(chips * batch, in, *size)` to `(chips * batch, out, *out size)`; without a batch as in torch."""
        return self.in_layout(self.guarded(x), x)

    def in_layout(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The output `y` with the memory layout that torch's layer gives it for an input `x`.

        `x.view(len(x), -1)` after a convolution needs it. Reads give outputs with the channels last, and so does
        torch if those of `x` are. With `channels_last` they stay as they are, which saves a copy.
        """
        if self.channels_last:
            return channels_last(y, self.shape.n_dims) if is_in_software() else y
        last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        return y if last else y.contiguous()

    def on_array(self, x: torch.Tensor) -> torch.Tensor:
        """As `forward`, on the array."""
        chips = self.matrix.chip.chip_shape
        check_dims("x", x, (self.shape.n_dims + 1, self.shape.n_dims + 2))
        images = with_batch(x, self.shape.n_dims + 2, self.in_channels, chips)
        check_shape("x", images, (None, self.in_channels, *(None,) * self.shape.n_dims))
        self.shape.check_size(tuple(images.shape[2:]))
        y = self._convolved(self.shape.padded(images))
        # `biased` adds to the last dimension.
        y = own_memory(y) if self.bias is None else self.biased(y.movedim(1, -1)).movedim(-1, 1)
        return y if x.dim() == images.dim() else y.flatten(0, 1)

    def _convolved(self, x: torch.Tensor) -> torch.Tensor:
        """The convolution of `(n, in, *size)`, after its padding."""
        n_dims = self.shape.n_dims
        if n_dims == 1:
            return array_convolution(x.unsqueeze(2), self.weight, self.geometry).squeeze(2)
        if n_dims == 2:
            return array_convolution(x, self.weight, self.geometry)
        slabs = _slabs(x, self.kernel_size[0], self.shape.stride[0], self.dilation[0])
        y = array_convolution(slabs.flatten(0, 1), self.weight, self.geometry)
        volumes: torch.Tensor = y.unflatten(0, slabs.shape[:2]).transpose(1, 2)
        return volumes

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.shape}, on {self.matrix.name!r}"


def own_memory(y: torch.Tensor) -> torch.Tensor:
    """`y`, but no view that a function of autograd returned: torch refuses to change such a view in place."""
    return y.clone() if y.requires_grad and y._is_view() else y


def channels_last(y: torch.Tensor, n_dims: int) -> torch.Tensor:
    """`(..., channels, *size)` with `n_dims` sizes, and the channels last in memory."""
    return y.movedim(-n_dims - 1, -1).contiguous().movedim(-1, -n_dims - 1)


def _slabs(x: torch.Tensor, depth: int, stride: int, dilation: int) -> torch.Tensor:
    """Volumes `(n, channels, D, H, W)` to slabs `(n, out D, channels * depth, H, W)`, the channel the slower index."""
    taps = x.unfold(2, dilation * (depth - 1) + 1, stride)[..., ::dilation]
    slabs: torch.Tensor = taps.permute(0, 2, 1, 5, 3, 4).flatten(2, 3)
    return slabs


def placed_like(
    kind: Callable[..., Convolution], module: torch.nn.modules.conv._ConvNd, chip: Chip, name: str, on_chip: OnChip
) -> Convolution:
    """A layer of the class `kind`, of the sizes of one of torch's convolutions."""
    return kind(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        module.stride,
        module.padding,
        dilation=module.dilation,
        groups=module.groups,
        bias=module.bias is not None,
        padding_mode=module.padding_mode,
        chip=chip,
        name=name,
        on_chip=on_chip,
    )

"""`torch.nn.Conv2d` with its kernels on a chip: every patch of the image is one read."""

from collections.abc import Sequence
from typing import Literal

import torch

from ohmweave.arrays import ConvGeometry
from ohmweave.base import OutOfRangeError, ShapeError, check_integer, check_shape
from ohmweave.mapping import Chip, Corner, DifferentialPair, InputScaling, Matrix, WeightMapping
from ohmweave.nn.convolution import array_convolution
from ohmweave.nn.linear import add_bias
from ohmweave.nn.weight import ArrayWeight
from ohmweave.programming import Write, WriteReport

Pair = int | tuple[int, int]


def pair_of(value: Pair) -> tuple[int, int]:
    """(vertical, horizontal) of a number for both, or of a pair."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def sides(
    padding: Pair | Literal["same", "valid"],
    kernel_size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int, int, int]:
    """Zeros to add (left, right, top, bottom); "same" puts the odd line after.

    Raises:
        OutOfRangeError: `padding` is an unknown word, or "same" with a stride.
    """
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise OutOfRangeError(f"`stride` must be 1 with padding 'same', but is {stride}")
        extra_h, extra_w = (d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True))
        return (extra_w // 2, extra_w - extra_w // 2, extra_h // 2, extra_h - extra_h // 2)
    if isinstance(padding, str):
        raise OutOfRangeError(f"`padding` must be a number, a pair, 'same' or 'valid', but is {padding!r}")
    height, width = pair_of(padding)
    return (width, width, height, height)


def patches(
    x: torch.Tensor, kernel_size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> torch.Tensor:
    """`(n, channels, height, width)` to `(n, out height, out width, channels * kernel height * kernel width)`.

    The channel is the slowest index of a patch, as in a convolution's flattened weight, so one kernel slice of one
    channel is a run of neighbouring lines.
    """
    (kh, kw), (sh, sw), (dh, dw) = kernel_size, stride, dilation
    windows = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)[..., ::dh, ::dw]
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3)


class Conv2d(torch.nn.Module):
    """A convolution on a chip: input `(chips * batch, in, height, width)`, output likewise, stored channels-last.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, bias: as in torch; "same" padding puts the
            odd line after, as TensorFlow and MATLAB do.
        groups: must be 1.
        chip, name, mapping, scaling, arrays, corners: as in `Matrix`.
        tile_rows: row lines of a tile; None packs as many kernel slices as fit on an array's rows.

    Raises:
        OutOfRangeError: an argument is out of range, or `groups` is not 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | Literal["same", "valid"] = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        chip: Chip,
        name: str,
        mapping: WeightMapping | None = None,
        scaling: InputScaling | None = None,
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
        corners: Sequence[Corner] | None = None,
    ) -> None:
        super().__init__()
        check_integer("in_channels", in_channels, at_least=1)
        check_integer("out_channels", out_channels, at_least=1)
        if groups != 1:
            raise OutOfRangeError(f"`groups` must be 1 on a chip, but is {groups!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.dilation = pair_of(kernel_size), pair_of(stride), pair_of(dilation)
        self.padding = sides(padding, self.kernel_size, self.stride, self.dilation)
        self.geometry = ConvGeometry(
            kernel_size=self.kernel_size, stride=self.stride, dilation=self.dilation, padding=self.padding
        )
        n_in = in_channels * self.kernel_size[0] * self.kernel_size[1]
        self.matrix = Matrix(
            chip,
            name,
            (out_channels, n_in),
            mapping=mapping or DifferentialPair(),
            scaling=scaling,
            tile_rows=tile_rows,
            arrays=arrays,
            corners=corners,
        )
        self.weight = ArrayWeight(self.matrix, (out_channels, in_channels, *self.kernel_size))
        self.bias = (
            torch.nn.Parameter(torch.zeros(*chip.chip_shape, out_channels, dtype=self.weight.dtype)) if bias else None
        )

    def program(self, weight: torch.Tensor, write: Write) -> WriteReport:
        """Write `weight` `(out, in, kernel height, kernel width)`, with or without chips, and read it back."""
        check_shape("weight", weight, (self.out_channels, self.in_channels, *self.kernel_size))
        report = self.matrix.program(weight.flatten(-3), write)
        self.weight.refresh()
        return report

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The convolution as the array computes it, one read a patch."""
        check_shape("x", x, (self.in_channels, None, None))
        self._check_size(x.shape[-2], x.shape[-1])
        y = array_convolution(x, self.weight, self.matrix, self.geometry)
        if self.bias is None:
            return y
        return add_bias(y.permute(0, 2, 3, 1), self.bias, self.matrix.chip.chip_shape).permute(0, 3, 1, 2)

    def _check_size(self, height: int, width: int) -> None:
        left, right, top, bottom = self.padding
        reach_h, reach_w = self.geometry.reach
        if height + top + bottom <= reach_h or width + left + right <= reach_w:
            raise ShapeError(
                f"`x` must have an image of at least ({reach_h + 1}, {reach_w + 1}) pixels, padding included, but has "
                f"({height + top + bottom}, {width + left + right})"
            )

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, on {self.matrix.name!r}"

"""`torch.nn.Conv2d` with its kernels on a chip, with one read for each patch of the image."""

from typing import Literal

import torch

from ohmweave.base import OutOfRangeError, ShapeError, check_integer, check_shape, check_tensor, shown
from ohmweave.mapping import Chip
from ohmweave.nn.convolution import Convolution, PaddingMode, conv_shape, paddings, placed_like
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip

Pair = int | tuple[int, int]


def pair_of(value: Pair, name: str = "kernel_size", *, at_least: int = 1) -> tuple[int, int]:
    """(vertical, horizontal), from one number for both or from a pair."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        raise OutOfRangeError(f"`{name}` must be one number or a pair, but is {shown(value)}")
    return (
        check_integer(name, pair[0], at_least=at_least, at_most=2**15),
        check_integer(name, pair[1], at_least=at_least, at_most=2**15),
    )


def sides(
    padding: Pair | Literal["same", "valid"],
    kernel_size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int, int, int]:
    """Zeros to add (left, right, top, bottom); with "same" the odd row is at the bottom, the odd column at the right.

    Raises:
        OutOfRangeError: `padding` is an unknown word, or "same" with a stride.
    """
    left, right, top, bottom = paddings(padding, kernel_size, stride, dilation)
    return left, right, top, bottom


def patches(
    x: torch.Tensor, kernel_size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> torch.Tensor:
    """`(n, channels, height, width)` to `(n, out height, out width, channels * kernel height * kernel width)`.

    The channel is the slowest index of a patch, as in a convolution's flattened weight, so the kernel of one channel is
    on neighbouring rows of an array.
    """
    check_shape("x", check_tensor("x", x), (None, None, None, None))
    (kh, kw), (sh, sw), (dh, dw) = (
        pair_of(pair, name) for name, pair in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    if x.dim() != 4 or x.shape[2] <= dh * (kh - 1) or x.shape[3] <= dw * (kw - 1):
        raise ShapeError(f"`x` must be images (n, channels, H, W) as large as a patch, but has {tuple(x.shape)}")
    taps = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)[..., ::dh, ::dw]
    return taps.permute(0, 2, 3, 1, 4, 5).flatten(3)


class Conv2d(Convolution):
    """A convolution on a chip: input `(chips * batch, in, height, width)`, output likewise, stored channels-last.

    `weight` is `(*chips, out, in / groups, kernel height, kernel width)`, the bias `(*chips, out)`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode: as in torch;
            "same" padding puts the odd row at the bottom and the odd column at the right, as TensorFlow and MATLAB do.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`. Without `tile_rows` as many kernel
            slices as fit are packed on an array's rows.

    Raises:
        OutOfRangeError: an argument is out of range.
        ChipFullError: there is no room.
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
        padding_mode: PaddingMode = "zeros",
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
    ) -> None:
        shape = conv_shape(2, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        super().__init__(shape, bias=bias, chip=chip, name=name, on_chip=on_chip)


def _build(module: torch.nn.Conv2d, chip: Chip, name: str, on_chip: OnChip) -> Convolution:
    return placed_like(Conv2d, module, chip, name, on_chip)


TO_CHIP = register_layer(
    ToChip(
        module=torch.nn.Conv2d,
        build=_build,
        weight=lambda module: module.weight,
        bias=lambda module: module.bias,
        groups=lambda module: module.groups,
    )
)

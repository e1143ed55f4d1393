"""`torch.nn.Conv2d` with its kernels on a chip, with one read for each patch of the image."""

from numbers import Integral
from typing import Any, Literal

import torch

from ohmweave.arrays import ConvGeometry
from ohmweave.base import OutOfRangeError, ShapeError, check_integer, check_shape, check_tensor, shown
from ohmweave.mapping import Chip
from ohmweave.nn.array_convolution import array_convolution
from ohmweave.nn.chip_layer import ChipLayer
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
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise OutOfRangeError(f"`stride` must be 1 with padding 'same', but is {stride}")
        extra_h, extra_w = (d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True))
        return (extra_w // 2, extra_w - extra_w // 2, extra_h // 2, extra_h - extra_h // 2)
    if isinstance(padding, str):
        raise OutOfRangeError(f"`padding` must be a number, a pair, 'same' or 'valid', but is {padding!r}")
    height, width = pair_of(padding, "padding", at_least=0)
    return (width, width, height, height)


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


class Conv2d(ChipLayer):
    """A convolution on a chip: input `(chips * batch, in, height, width)`, output likewise, stored channels-last.

    `weight` is `(*chips, out, in, kernel height, kernel width)`, the bias `(*chips, out)`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, bias: as in torch; "same" padding
            puts the odd row at the bottom and the odd column at the right, as TensorFlow and MATLAB do.
        groups: must be 1.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`. Without `tile_rows` as many kernel
            slices as fit are packed on an array's rows.

    Raises:
        OutOfRangeError: an argument is out of range, or `groups` is not 1.
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
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
    ) -> None:
        n_in = check_integer("in_channels", in_channels, at_least=1)
        n_out = check_integer("out_channels", out_channels, at_least=1)
        one: Any = groups  # NumPy's integers are no `int`
        if isinstance(one, bool) or not isinstance(one, Integral) or int(one) != 1:
            raise OutOfRangeError(f"`groups` must be 1 on a chip, but is {shown(groups)}")
        size, strides, dilations = pair_of(kernel_size), pair_of(stride, "stride"), pair_of(dilation, "dilation")
        zeros = sides(padding, size, strides, dilations)
        geometry = ConvGeometry(kernel_size=size, stride=strides, dilation=dilations, padding=zeros)
        matrix = (on_chip or OnChip()).matrix(chip, name, (n_out, n_in * size[0] * size[1]))
        super().__init__(matrix, weight_shape=(n_out, n_in, *size), bias=bias)
        self.in_channels, self.out_channels, self.geometry = n_in, n_out, geometry
        self.kernel_size, self.stride, self.dilation, self.padding = size, strides, dilations, zeros

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From `(chips * batch, in, height, width)` to `(chips * batch, out, out height, out width)`."""
        y: torch.Tensor = self.guarded(x)
        return y

    def on_array(self, x: torch.Tensor) -> torch.Tensor:
        """As `forward`, on the array."""
        check_shape("x", x, (None, self.in_channels, None, None))
        if x.dim() != 4:
            raise ShapeError(f"`x` must have the shape (chips * batch, in, height, width), but has {tuple(x.shape)}")
        self._check_size(x.shape[-2], x.shape[-1])
        y = array_convolution(x, self.weight, self.geometry)
        # `biased` adds to the last dimension.
        return y if self.bias is None else self.biased(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

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


def _build(module: torch.nn.Conv2d, chip: Chip, name: str, on_chip: OnChip) -> Conv2d:
    return Conv2d(
        module.in_channels,
        module.out_channels,
        module.kernel_size,  # type: ignore[arg-type]
        module.stride,  # type: ignore[arg-type]
        module.padding,  # type: ignore[arg-type]
        module.dilation,  # type: ignore[arg-type]
        bias=module.bias is not None,
        chip=chip,
        name=name,
        on_chip=on_chip,
    )


def _refuse(module: torch.nn.Conv2d) -> str | None:
    if module.groups != 1:
        return f"groups={module.groups}"
    return None if module.padding_mode == "zeros" else f"padding_mode={module.padding_mode!r}"


TO_CHIP = register_layer(
    ToChip(
        module=torch.nn.Conv2d,
        build=_build,
        weight=lambda module: module.weight,
        bias=lambda module: module.bias,
        refuse=_refuse,
    )
)

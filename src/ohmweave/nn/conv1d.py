"""`torch.nn.Conv1d` with its kernels on a chip, with one read for each patch of the sequence."""

from typing import Literal

import torch

from ohmweave.mapping import Chip
from ohmweave.nn.convolution import Convolution, PaddingMode, conv_shape, placed_like
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip


class Conv1d(Convolution):
    """A convolution of sequences on a chip: input `(chips * batch, in, length)`, output likewise.

    `weight` is `(*chips, out, in / groups, kernel)`, the bias `(*chips, out)`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode: as in torch.
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
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | Literal["same", "valid"] = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
    ) -> None:
        shape = conv_shape(1, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        super().__init__(shape, bias=bias, chip=chip, name=name, on_chip=on_chip)


def _build(module: torch.nn.Conv1d, chip: Chip, name: str, on_chip: OnChip) -> Convolution:
    return placed_like(Conv1d, module, chip, name, on_chip)


TO_CHIP = register_layer(
    ToChip(
        module=torch.nn.Conv1d,
        build=_build,
        weight=lambda module: module.weight,
        bias=lambda module: module.bias,
        groups=lambda module: module.groups,
    )
)

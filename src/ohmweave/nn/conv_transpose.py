"""torch's transposed convolutions on a chip.

A transposed convolution is an ordinary one of the image with `stride - 1` zeros between its pixels and
`dilation * (kernel_size - 1) - padding` around them, with the kernel turned round and its two channels exchanged. So it
needs the same cells, and one read for each pixel of the output. A row of zeros is at 0 V. The other order, one read for
each pixel of the image and a digital sum of overlapping kernels, would need kernel size / stride as many conversions.
Source: V. Dumoulin and F. Visin, arXiv:1603.07285 (2016), section 4.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from ohmweave.base import OutOfRangeError, ShapeError, check_shape
from ohmweave.mapping import Chip
from ohmweave.nn.chip_batch import with_batch
from ohmweave.nn.convolution import Convolution, ConvShape, own_memory, sizes_of
from ohmweave.nn.further_inputs import check_dims
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip

Sizes = int | tuple[int, ...]


def turned_round(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The kernel of the ordinary convolution from that of the transposed one, and back.

    Args:
        weight: `(in, out / groups, *kernel)`.
        groups: of channels.

    Returns:
        `(out, in / groups, *kernel)`.
    """
    exchanged: torch.Tensor = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return exchanged.flip(tuple(range(2, weight.dim())))


class ConvTranspose(Convolution):
    """A transposed convolution on a chip, of one, two or three dimensions; the base of the classes below.

    `weight` is that of the ordinary convolution, `(*chips, out, in / groups, *kernel)`: see `turned_round`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation: as in torch,
            whose only padding mode is zeros.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`.

    Raises:
        OutOfRangeError: an argument is out of range.
        ChipFullError: there is no room.
    """

    n_dims = 0
    """Dimensions of an image; of a subclass."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
    ) -> None:
        n = self.n_dims
        size, upsampling, dilations = (
            sizes_of(what, value, n, at_least=1)
            for what, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
        )
        shape = ConvShape(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=size,
            stride=(1,) * n,
            dilation=dilations,
            padding=(0, 0) * n,
            groups=groups,
        )
        cut, last = (
            sizes_of("padding", padding, n, at_least=0),
            sizes_of("output_padding", output_padding, n, at_least=0),
        )
        for more, s, d in zip(last, upsampling, dilations, strict=True):
            if more >= max(s, d):
                raise OutOfRangeError(
                    f"`output_padding` must be below `stride` or `dilation`, but is {output_padding!r}"
                )
        super().__init__(shape, bias=bias, chip=chip, name=name, on_chip=on_chip)
        self.stride, self.padding, self.output_padding = upsampling, cut, last

    def forward(self, x: torch.Tensor, output_size: Sequence[int] | None = None) -> torch.Tensor:
        """From `(chips * batch, in, *size)` to `(chips * batch, out, *out size)`; without a batch as in torch.

        Args:
            x: images.
            output_size: of the output, `(*out size)` or with the dimensions before, one of those that the stride
                allows. None is the least one and `output_padding`.
        """
        return self.in_layout(self.guarded(x, None if output_size is None else list(output_size)), x)

    def on_array(self, x: torch.Tensor, output_size: Sequence[int] | None = None) -> torch.Tensor:
        """As `forward`, on the array."""
        check_dims("x", x, (self.n_dims + 1, self.n_dims + 2))
        images = with_batch(x, self.n_dims + 2, self.in_channels, self.matrix.chip.chip_shape)
        check_shape("x", images, (None, self.in_channels, *(None,) * self.n_dims))
        size = images.shape[2:]
        if min(size) < 1:
            raise ShapeError(f"`x` must have images of at least one pixel, but has {tuple(x.shape)}")
        more = self.output_padding if output_size is None else self._more(size, output_size)
        spread = images.new_zeros(*images.shape[:2], *((n - 1) * s + 1 for n, s in zip(size, self.stride, strict=True)))
        spread[tuple([slice(None)] * 2 + [slice(None, None, s) for s in self.stride])] = images
        pads: list[int] = []
        for reach, cut, last in zip(self._reach, self.padding, more, strict=True):
            pads[:0] = [reach - cut, reach - cut + last]
        padded = F.pad(spread, pads)  # a negative number cuts pixels away
        self.shape.check_size(tuple(padded.shape[2:]))
        y = self._convolved(padded)
        y = own_memory(y) if self.bias is None else self.biased(y.movedim(1, -1)).movedim(-1, 1)
        return y if x.dim() == images.dim() else y.flatten(0, 1)

    @property
    def _reach(self) -> tuple[int, ...]:
        return tuple(d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True))

    def _more(self, size: Sequence[int], output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that gives an output of `output_size`."""
        wanted = tuple(output_size)[-self.n_dims :]
        facts = zip(size, self.stride, self.padding, self._reach, strict=True)
        least = tuple((n - 1) * s - 2 * cut + reach + 1 for n, s, cut, reach in facts)
        if len(wanted) != self.n_dims or any(
            not low <= have < low + s for have, low, s in zip(wanted, least, self.stride, strict=True)
        ):
            most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
            raise OutOfRangeError(f"`output_size` must be from {least} to {most}, but is {tuple(output_size)}")
        return tuple(have - low for have, low in zip(wanted, least, strict=True))

    def in_software(self, weight: torch.Tensor) -> torch.Tensor:
        """`(out, in / groups, *kernel)` to torch's `(in, out / groups, *kernel)`."""
        return turned_round(weight, self.groups)

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for what, value in (("padding", self.padding), ("output_padding", self.output_padding)):
            text += f", {what}={value}" if any(value) else ""
        text += "" if set(self.dilation) == {1} else f", dilation={self.dilation}"
        return f"{text}{'' if self.groups == 1 else f', groups={self.groups}'}, on {self.matrix.name!r}"


class ConvTranspose1d(ConvTranspose):
    """A transposed convolution of sequences on a chip: `(chips * batch, in, length)`; see `ConvTranspose`."""

    n_dims = 1


class ConvTranspose2d(ConvTranspose):
    """A transposed convolution of images on a chip: `(chips * batch, in, height, width)`; see `ConvTranspose`."""

    n_dims = 2


class ConvTranspose3d(ConvTranspose):
    """A transposed convolution of volumes on a chip; see `ConvTranspose`."""

    n_dims = 3


def _build_as(
    kind: type[ConvTranspose],
) -> Callable[[torch.nn.modules.conv._ConvTransposeNd, Chip, str, OnChip], ConvTranspose]:
    def build(module: torch.nn.modules.conv._ConvTransposeNd, chip: Chip, name: str, on_chip: OnChip) -> ConvTranspose:
        return kind(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,  # type: ignore[arg-type]
            module.output_padding,
            module.groups,
            module.bias is not None,
            module.dilation,
            chip=chip,
            name=name,
            on_chip=on_chip,
        )

    return build


for _module, _kind in (
    (torch.nn.ConvTranspose1d, ConvTranspose1d),
    (torch.nn.ConvTranspose2d, ConvTranspose2d),
    (torch.nn.ConvTranspose3d, ConvTranspose3d),
):
    register_layer(
        ToChip(
            module=_module,
            build=_build_as(_kind),
            weight=lambda module: turned_round(module.weight, module.groups),
            bias=lambda module: module.bias,
            groups=lambda module: module.groups,
        )
    )

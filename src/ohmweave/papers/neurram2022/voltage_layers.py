"""Convolutions and linear layers on cores with voltage-mode sensing.

A weight is two cells of one column, on rows driven with +v and -v. A core of 256 rows takes 128 inputs; larger layers
are cut by input channels, each part is converted, and the sums are digital.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F

from ohmweave.base import OutOfRangeError, check_fields, integer, positive
from ohmweave.circuit import SettledColumns, VoltageSense

Layer = torch.nn.Conv2d | torch.nn.Linear


class Pairs(NamedTuple):
    """Attributes: g_pos, g_neg: `(out, in, ...)` S, in the shape of the weight; g_per_w: S per unit weight."""

    g_pos: torch.Tensor
    g_neg: torch.Tensor
    g_per_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A core and its converters.

    Attributes:
        n_inputs: of a core, each with two rows.
        bits: of the columns' converters, with sign.
        v_read: V, of the largest input.
    """

    n_inputs: Annotated[int, integer(at_least=1)] = 128
    bits: Annotated[int, integer(at_least=2, at_most=24)] = 8
    v_read: Annotated[float, positive("V")] = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)


class VoltageModeLayer(torch.nn.Module):
    """A layer on cores: `(n, in, h, w)` or `(n, in)` to the layer's output, with rounded column voltages.

    The range of the converters is one voltage for each part of the layer, found in the calls while `calibrating` is
    True as the largest voltage of a column; before that nothing is rounded.

    Args:
        layer: `Conv2d` without groups, or `Linear`; its weight is not used.
        pairs: conductances of its cells.
        core: of the chip.
        x_max: the largest magnitude of an input, which is driven with `v_read`.
    """

    def __init__(self, layer: Layer, pairs: Pairs, core: Core, x_max: float) -> None:
        super().__init__()
        self.layer, self.core, self.x_max = layer, core, x_max
        self.g_per_w = pairs.g_per_w
        self.parts = _parts(pairs, core)
        self.v_max = [0.0] * len(self.parts)
        self.calibrating = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output of the layer on the cores."""
        v = x * (self.core.v_read / self.x_max)
        total: torch.Tensor | None = None
        at = 0
        for index, (difference, g_col) in enumerate(self.parts):
            n = difference.shape[1]
            settled = self._settle(v[:, at : at + n], difference, g_col)
            at += n
            if self.calibrating:
                self.v_max[index] = max(self.v_max[index], float(settled.v_col.abs().max()))
                product = settled.v_col * settled.g_col
            else:
                product = VoltageSense(bits=self.core.bits, v_max=self.v_max[index]).products(settled)
            total = product if total is None else total + product
        assert total is not None
        y = total * (self.x_max / (self.core.v_read * self.g_per_w))
        bias = self.layer.bias
        return y if bias is None else y + (bias.view(-1, 1, 1) if y.dim() == 4 else bias)

    def _settle(self, v: torch.Tensor, difference: torch.Tensor, g_col: torch.Tensor) -> SettledColumns:
        """As `circuit.settle_columns`, with a convolution as the product."""
        if isinstance(self.layer, torch.nn.Conv2d):
            if isinstance(self.layer.padding, str):
                raise OutOfRangeError(f"`padding` of the layer must be numbers, but is {self.layer.padding!r}")
            current = F.conv2d(v, difference, stride=self.layer.stride, padding=self.layer.padding)
            g_col = g_col.view(-1, 1, 1)
        else:
            current = F.linear(v, difference)
        return SettledColumns(current / g_col, g_col)


def _parts(pairs: Pairs, core: Core) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Differences `(out, in of the part, ...)` S and conductances of the columns `(out,)` S, part by part."""
    a_channel = pairs.g_pos[0, 0].numel()
    n = max(core.n_inputs // a_channel, 1)
    return [
        (g_pos - g_neg, (g_pos + g_neg).flatten(1).sum(dim=1))
        for g_pos, g_neg in zip(pairs.g_pos.split(n, dim=1), pairs.g_neg.split(n, dim=1), strict=True)
    ]


def set_calibrating(layers: Sequence[VoltageModeLayer], on: bool) -> None:
    """Switch the search for ranges on or off; on forgets the ranges found before."""
    for layer in layers:
        layer.calibrating = on
        if on:
            layer.v_max = [0.0] * len(layer.parts)

"""`torch.nn.Linear` with its weight on a chip."""

from typing import Any

import torch

from ohmweave.base import check_integer, check_shape
from ohmweave.mapping import Chip
from ohmweave.nn.array_product import array_product
from ohmweave.nn.backward_pass import Backward
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip


class Linear(ChipLayer):
    """A linear layer on a chip: input `(chips * batch, ..., in)`, output `(chips * batch, ..., out)`.

    `weight` is `(*chips, out, in)`, torch's order; the bias, if any, is digital: `(*chips, out)`, added after the
    conversion.

    Args:
        in_features, out_features, bias: as in torch.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`.
        backward: how the gradient of the input is computed: "readout" multiplies by the weight as read out, which is
            read out again if it is stale; "array" makes a transposed read in each backward pass.

    Raises:
        OutOfRangeError: an argument is out of range.
        ChipFullError: there is no room.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
        backward: Backward = "readout",
    ) -> None:
        in_features = check_integer("in_features", in_features, at_least=1)
        out_features = check_integer("out_features", out_features, at_least=1)
        transposed = (on_chip or OnChip()).is_transposed(backward)
        super().__init__((on_chip or OnChip()).matrix(chip, name, (out_features, in_features)), bias=bias)
        self.in_features, self.out_features, self._transposed = in_features, out_features, transposed
        self.backward: Backward = "array" if transposed else "readout"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x @ weight.T + bias` by reads: `(chips * batch, ..., in)` to `(chips * batch, ..., out)`."""
        y: torch.Tensor = self.guarded(x)
        return y

    def on_array(self, x: torch.Tensor) -> torch.Tensor:
        """As `forward`, on the array."""
        check_shape("x", x, (None, self.in_features))
        y = array_product(x.flatten(0, -2), self.weight, transposed=self._transposed)
        return self.biased(y.view(*x.shape[:-1], self.out_features))

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"in_features={self.in_features}, out_features={self.out_features}, on {self.matrix.name!r}"


def _build(module: torch.nn.Linear, chip: Chip, name: str, on_chip: OnChip) -> Linear:
    has_bias = module.bias is not None
    return Linear(module.in_features, module.out_features, has_bias, chip=chip, name=name, on_chip=on_chip)


def _bias(module: Any) -> torch.Tensor | None:
    bias: torch.Tensor | None = module.bias
    return bias


TO_CHIP = register_layer(ToChip(module=torch.nn.Linear, build=_build, weight=lambda module: module.weight, bias=_bias))

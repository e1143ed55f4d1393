"""`torch.nn.Bilinear` on a chip: the products of both inputs drive the rows of one matrix.

    y_k = sum_ij x1_i A_kij x2_j + b_k = sum_r A_kr (x1 (x) x2)_r + b_k

The outer product x1 (x) x2 is one of activations and is computed digitally; it has in1 * in2 rows. Source: ours.
"""

import torch

from ohmweave.base import check_integer, check_shape
from ohmweave.mapping import Chip
from ohmweave.nn.array_product import array_product
from ohmweave.nn.backward_pass import Backward
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip


class Bilinear(ChipLayer):
    """A bilinear layer on a chip: inputs `(chips * batch, ..., in1)` and `(..., in2)`, output `(..., out)`.

    `weight` is `(*chips, out, in1, in2)`, as in torch, on in1 * in2 rows; the digital bias is `(*chips, out)`.

    Args:
        in1_features, in2_features, out_features, bias: as in torch.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`.
        backward: as in `Linear`.

    Raises:
        OutOfRangeError: an argument is out of range.
        ChipFullError: there is no room.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
        backward: Backward = "readout",
    ) -> None:
        sizes = {"in1_features": in1_features, "in2_features": in2_features, "out_features": out_features}
        for argument, size in sizes.items():
            check_integer(argument, size, at_least=1)
        transposed = (on_chip or OnChip()).is_transposed(backward)
        matrix = (on_chip or OnChip()).matrix(chip, name, (out_features, in1_features * in2_features))
        super().__init__(matrix, weight_shape=(out_features, in1_features, in2_features), bias=bias)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self._transposed = transposed

    def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
        """`(chips * batch, ..., in1)` and `(chips * batch, ..., in2)` to `(chips * batch, ..., out)`."""
        y: torch.Tensor = self.guarded(x1, x2)
        return y

    def rows_of(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
        """The outer product of both inputs, `(chips * batch, ..., in1 * in2)`."""
        return (x1.unsqueeze(-1) * x2.unsqueeze(-2)).flatten(-2)

    def on_array(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
        """As `forward`, on the array."""
        check_shape("x1", x1, (None, self.in1_features))
        check_shape("x2", x2, (*x1.shape[:-1], self.in2_features))
        # The order of (in1, in2) is that of the weight's rows.
        rows = self.rows_of(x1, x2)
        y = array_product(rows.flatten(0, -2), self.weight, transposed=self._transposed)
        return self.biased(y.view(*x1.shape[:-1], self.out_features))

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.in1_features}, {self.in2_features}, {self.out_features}, on {self.matrix.name!r}"


def _build(module: torch.nn.Bilinear, chip: Chip, name: str, on_chip: OnChip) -> Bilinear:
    sizes = (module.in1_features, module.in2_features, module.out_features, module.bias is not None)
    return Bilinear(*sizes, chip=chip, name=name, on_chip=on_chip)


TO_CHIP = register_layer(
    ToChip(
        module=torch.nn.Bilinear,
        build=_build,
        weight=lambda module: module.weight,
        bias=lambda module: module._parameters["bias"],
    )
)

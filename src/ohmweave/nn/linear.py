"""`torch.nn.Linear` with its weight on a chip."""

from collections.abc import Sequence
from typing import Literal

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_shape
from ohmweave.mapping import Chip, Corner, DifferentialPair, InputScaling, Matrix, WeightMapping
from ohmweave.nn.product import array_product, fold_chips, unfold_chips
from ohmweave.nn.weight import ArrayWeight
from ohmweave.programming import Write, WriteReport


class Linear(torch.nn.Module):
    """A linear layer on a chip: input `(chips * batch, ..., in)`, output `(chips * batch, ..., out)`.

    The bias, if any, is digital: `(*chips, out)`, added after the conversion.

    Args:
        in_features, out_features, bias: as in torch.
        chip: where the cells are.
        name: of the placement on the chip.
        backward: how errors go back: "readout" by the weights as last read out, "array" by a transposed read.
        mapping, scaling, tile_rows, arrays, corners: as in `Matrix`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        chip: Chip,
        name: str,
        mapping: WeightMapping | None = None,
        scaling: InputScaling | None = None,
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
        corners: Sequence[Corner] | None = None,
        backward: Literal["readout", "array"] = "readout",
    ) -> None:
        super().__init__()
        check_integer("in_features", in_features, at_least=1)
        check_integer("out_features", out_features, at_least=1)
        if backward not in ("readout", "array"):
            raise OutOfRangeError(f"`backward` must be 'readout' or 'array', but is {backward!r}")
        self.in_features, self.out_features, self.backward = in_features, out_features, backward
        self.matrix = Matrix(
            chip,
            name,
            (out_features, in_features),
            mapping=mapping or DifferentialPair(),
            scaling=scaling,
            tile_rows=tile_rows,
            arrays=arrays,
            corners=corners,
        )
        self.weight = ArrayWeight(self.matrix, (out_features, in_features))
        self.bias = (
            torch.nn.Parameter(torch.zeros(*chip.chip_shape, out_features, dtype=self.weight.dtype)) if bias else None
        )

    def program(self, weight: torch.Tensor, write: Write) -> WriteReport:
        """Write `weight` `(out, in)` or `(*chips, out, in)` to the cells, and read it back."""
        report = self.matrix.program(weight, write)
        self.weight.refresh()
        return report

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x @ weight.T + bias` as the array computes it."""
        check_shape("x", x, (self.in_features,))
        transposed = self.backward == "array"
        y = array_product(x.flatten(0, -2), self.weight, self.matrix, transposed=transposed)
        y = y.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else add_bias(y, self.bias, self.matrix.chip.chip_shape)

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"in_features={self.in_features}, out_features={self.out_features}, on {self.matrix.name!r}"


def add_bias(y: torch.Tensor, bias: torch.Tensor, chips: tuple[int, ...]) -> torch.Tensor:
    """Add the digital bias `(*chips, out)` to `(chips * batch, ..., out)`."""
    per_chip = unfold_chips(y, chips)
    inner = (1,) * (per_chip.dim() - len(chips) - 1)
    return fold_chips(per_chip + bias.view(*chips, *inner, -1), chips)

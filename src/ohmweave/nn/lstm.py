"""`torch.nn.LSTMCell` on a chip: all four gates are one matrix, read once a step."""

from collections.abc import Sequence

import torch

from ohmweave.base import check_integer, check_shape
from ohmweave.mapping import Chip, Corner, DifferentialPair, InputScaling, Matrix
from ohmweave.nn.linear import add_bias
from ohmweave.nn.product import array_product
from ohmweave.nn.weight import ArrayWeight
from ohmweave.programming import Write, WriteReport

State = tuple[torch.Tensor, torch.Tensor]
"""(h, c), as in torch."""


def gated(preactivation: torch.Tensor, c: torch.Tensor) -> State:
    """The step of an LSTM from its four gates.

    Args:
        preactivation: `(n, 4 * hidden, ...)`, in torch's order: input, forget, cell, output.
        c: `(n, hidden, ...)`, cell state before.
    """
    i, f, g, o = preactivation.chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class LSTMCell(torch.nn.Module):
    """An LSTM cell on a chip, with torch's order of gates and torch's states.

    Input and recurrent rows are stacked, so a step is one read of (x, h). `weight` is torch's `weight_ih` and
    `weight_hh` side by side, `(*chips, 4 * hidden_size, input_size + hidden_size)`; the one digital `bias` stands for
    the sum of torch's two.

    Args:
        input_size, hidden_size, bias: as in torch.
        chip: where the cells are.
        name: of the placement on the chip.
        mapping, scaling, tile_rows, arrays, corners: as in `Matrix`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        chip: Chip,
        name: str,
        mapping: DifferentialPair | None = None,
        scaling: InputScaling | None = None,
        tile_rows: int | None = None,
        arrays: Sequence[int] | None = None,
        corners: Sequence[Corner] | None = None,
    ) -> None:
        super().__init__()
        check_integer("input_size", input_size, at_least=1)
        check_integer("hidden_size", hidden_size, at_least=1)
        self.input_size, self.hidden_size = input_size, hidden_size
        shape = (4 * hidden_size, input_size + hidden_size)
        self.matrix = Matrix(
            chip,
            name,
            shape,
            mapping=mapping or DifferentialPair(),
            scaling=scaling,
            tile_rows=tile_rows,
            arrays=arrays,
            corners=corners,
        )
        self.weight = ArrayWeight(self.matrix, shape)
        self.bias = (
            torch.nn.Parameter(torch.zeros(*chip.chip_shape, shape[0], dtype=self.weight.dtype)) if bias else None
        )

    def program(self, weight: torch.Tensor, write: Write) -> WriteReport:
        """Write `weight`, `weight_ih` and `weight_hh` side by side, to the cells, and read it back."""
        report = self.matrix.program(weight, write)
        self.weight.refresh()
        return report

    def forward(self, x: torch.Tensor, state: State | None = None) -> State:
        """One step: `(chips * batch, input_size)` and (h, c) to the next (h, c); no state is zeros."""
        check_shape("x", x, (None, self.input_size))
        h, c = state or (x.new_zeros(x.shape[0], self.hidden_size),) * 2
        gates = array_product(torch.cat([x, h], dim=1), self.weight, self.matrix)
        if self.bias is not None:
            gates = add_bias(gates, self.bias, self.matrix.chip.chip_shape)
        return gated(gates, c)

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.input_size}, {self.hidden_size}, on {self.matrix.name!r}"

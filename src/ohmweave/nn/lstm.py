"""`torch.nn.LSTMCell` on a chip: all four gates are one matrix, which is read once in each time step."""

import torch

from ohmweave.base import check_integer, check_shape
from ohmweave.mapping import Chip
from ohmweave.nn.array_product import array_product
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip

State = tuple[torch.Tensor, torch.Tensor]
"""(h, c), as in torch."""


def gated(preactivation: torch.Tensor, c: torch.Tensor) -> State:
    """The next (h, c) of an LSTM, each `(n, hidden, ...)`.

    Args:
        preactivation: `(n, 4 * hidden, ...)`, gates in torch's order: input, forget, cell, output.
        c: `(n, hidden, ...)`, the cell state before.
    """
    i, f, g, o = preactivation.chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class LSTMCell(ChipLayer):
    """An LSTM cell on a chip, with torch's order of gates and torch's states.

    The rows of x and of h are stacked, so a time step is one read. `weight` is torch's `weight_ih` and `weight_hh` side
    by side, `(*chips, 4 * hidden_size, input_size + hidden_size)`. The digital `bias`, `(*chips, 4 * hidden_size)`, is
    the sum of torch's two.

    Args:
        input_size, hidden_size, bias: as in torch.
        chip: holds the cells.
        name: of the placement on the chip.
        on_chip: mapping, scaling and place; None takes the defaults of `OnChip`.

    Raises:
        OutOfRangeError: an argument is out of range.
        ChipFullError: there is no room.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
    ) -> None:
        input_size = check_integer("input_size", input_size, at_least=1)
        hidden_size = check_integer("hidden_size", hidden_size, at_least=1)
        shape = (4 * hidden_size, input_size + hidden_size)
        super().__init__((on_chip or OnChip()).matrix(chip, name, shape), bias=bias)
        self.input_size, self.hidden_size = input_size, hidden_size

    def forward(self, x: torch.Tensor, state: State | None = None) -> State:
        """One time step.

        Args:
            x: `(chips * batch, input_size)`.
            state: (h, c), each `(chips * batch, hidden_size)`; None is zeros.

        Returns:
            The next (h, c), of the same shapes.
        """
        new: State = self.guarded(x, state)
        return new

    def on_array(self, x: torch.Tensor, state: State | None) -> State:
        """As `forward`, on the array."""
        check_shape("x", x, (None, self.input_size))
        h, c = state or (x.new_zeros(x.shape[0], self.hidden_size),) * 2
        check_shape("state[0]", h, (x.shape[0], self.hidden_size))
        return gated(self.biased(array_product(torch.cat([x, h], dim=1), self.weight)), c)

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.input_size}, {self.hidden_size}, on {self.matrix.name!r}"


def _build(module: torch.nn.LSTMCell, chip: Chip, name: str, on_chip: OnChip) -> LSTMCell:
    return LSTMCell(module.input_size, module.hidden_size, module.bias, chip=chip, name=name, on_chip=on_chip)


def _bias(module: torch.nn.LSTMCell) -> torch.Tensor | None:
    return module.bias_ih + module.bias_hh if module.bias else None


def _refuse(module: torch.nn.LSTMCell) -> str | None:
    if module.weight_ih.requires_grad != module.weight_hh.requires_grad:
        return "one of weight_ih and weight_hh is frozen, but both are one matrix"
    return None


TO_CHIP = register_layer(
    ToChip(
        module=torch.nn.LSTMCell,
        build=_build,
        weight=lambda module: torch.cat([module.weight_ih, module.weight_hh], dim=1),
        bias=_bias,
        parameters=("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
        refuse=_refuse,
    )
)

"""`torch.nn.LSTMCell` and `RNNCell` on a chip: the rows of x and of h are one matrix, read once in each time step."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave.base import OutOfRangeError, check_integer, check_shape, shown
from ohmweave.mapping import Chip
from ohmweave.nn.array_product import array_product
from ohmweave.nn.backward_pass import Backward
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.further_inputs import check_dims, check_like
from ohmweave.nn.layer_registry import ToChip, register_layer
from ohmweave.nn.on_chip import OnChip

State = tuple[torch.Tensor, torch.Tensor]
"""(h, c), as in torch."""


def gated(preactivation: torch.Tensor, c: torch.Tensor) -> State:
    """The next (h, c) of an LSTM, each `(n, hidden, ...)`.

    Args:
        preactivation: `(n, 4 * hidden, ...)`, gates in torch's order: input, forget, cell, output. Without gradients it
            is overwritten.
        c: `(n, hidden, ...)`, the cell state before.
    """
    if not torch.is_grad_enabled():
        return _gated_in_place(preactivation, c)
    i, f, g, o = preactivation.chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gated_in_place(preactivation: torch.Tensor, c: torch.Tensor) -> State:
    """As `gated`, which overwrites `preactivation`: the same operations in less memory and fewer calls."""
    both, g, o = preactivation.split((2 * c.shape[1], c.shape[1], c.shape[1]), dim=1)
    i, f = both.sigmoid_().chunk(2, dim=1)
    c = (f * c).add_(i.mul_(g.tanh_()))
    return c.tanh().mul_(o.sigmoid_()), c


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
        backward: as in `Linear`.

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
        backward: Backward = "readout",
    ) -> None:
        transposed = (on_chip or OnChip()).is_transposed(backward)
        input_size = check_integer("input_size", input_size, at_least=1)
        hidden_size = check_integer("hidden_size", hidden_size, at_least=1)
        shape = (4 * hidden_size, input_size + hidden_size)
        super().__init__((on_chip or OnChip()).matrix(chip, name, shape), bias=bias)
        self.input_size, self.hidden_size, self._transposed = input_size, hidden_size, transposed

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

    def rows_of(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """Input and state, as they drive the rows."""
        return x if state is None else torch.cat([x, state[0]], dim=1)

    def on_array(self, x: torch.Tensor, state: State | None) -> State:
        """As `forward`, on the array."""
        check_dims("x", x, (2,))
        check_shape("x", x, (None, self.input_size))
        if state is not None and (not isinstance(state, tuple | list) or len(state) != 2):
            raise TypeError(f"`state` must be two tensors (h, c), but is {shown(state)}")
        h, c = state or (x.new_zeros(x.shape[0], self.hidden_size),) * 2
        for k, part in enumerate((h, c)):
            check_like(f"state[{k}]", part, (x.shape[0], self.hidden_size), x)
        rows = torch.cat([x, h], dim=1)
        return gated(self.biased(array_product(rows, self.weight, transposed=self._transposed)), c)

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.input_size}, {self.hidden_size}, on {self.matrix.name!r}"


class RNNCell(ChipLayer):
    """An Elman cell on a chip: h' = tanh(W_ih x + W_hh h + b), or relu.

    Rows, `weight` and `bias` are as in `LSTMCell`: `(*chips, hidden_size, input_size + hidden_size)` and
    `(*chips, hidden_size)`.

    Args:
        input_size, hidden_size, bias, nonlinearity: as in torch; `nonlinearity` is "tanh" or "relu".
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
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
        backward: Backward = "readout",
    ) -> None:
        check_integer("input_size", input_size, at_least=1)
        check_integer("hidden_size", hidden_size, at_least=1)
        if nonlinearity not in ("tanh", "relu"):
            raise OutOfRangeError(f"`nonlinearity` must be 'tanh' or 'relu', but is {nonlinearity!r}")
        transposed = (on_chip or OnChip()).is_transposed(backward)
        shape = (hidden_size, input_size + hidden_size)
        super().__init__((on_chip or OnChip()).matrix(chip, name, shape), bias=bias)
        self.input_size, self.hidden_size, self._transposed = input_size, hidden_size, transposed
        self.nonlinearity = nonlinearity

    def forward(self, x: torch.Tensor, h: torch.Tensor | None = None) -> torch.Tensor:
        """One time step: x `(chips * batch, input_size)`, h and the result `(chips * batch, hidden_size)`."""
        new: torch.Tensor = self.guarded(x, h)
        return new

    def rows_of(self, x: torch.Tensor, h: torch.Tensor | None = None) -> torch.Tensor:
        """Input and state, as they drive the rows."""
        return x if h is None else torch.cat([x, h], dim=1)

    def on_array(self, x: torch.Tensor, h: torch.Tensor | None) -> torch.Tensor:
        """As `forward`, on the array."""
        check_dims("x", x, (2,))
        check_shape("x", x, (None, self.input_size))
        h = x.new_zeros(x.shape[0], self.hidden_size) if h is None else h
        check_like("h", h, (x.shape[0], self.hidden_size), x)
        y = self.biased(array_product(torch.cat([x, h], dim=1), self.weight, transposed=self._transposed))
        return y.tanh() if self.nonlinearity == "tanh" else y.relu()

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.input_size}, {self.hidden_size}, {self.nonlinearity}, on {self.matrix.name!r}"


def _build(module: torch.nn.LSTMCell, chip: Chip, name: str, on_chip: OnChip) -> LSTMCell:
    return LSTMCell(module.input_size, module.hidden_size, module.bias, chip=chip, name=name, on_chip=on_chip)


def _build_rnn(module: torch.nn.RNNCell, chip: Chip, name: str, on_chip: OnChip) -> RNNCell:
    sizes = (module.input_size, module.hidden_size, module.bias, module.nonlinearity)
    return RNNCell(*sizes, chip=chip, name=name, on_chip=on_chip)


def _bias(module: torch.nn.RNNCellBase) -> torch.Tensor | None:
    return module.bias_ih + module.bias_hh if module.bias else None


def _refuse(module: torch.nn.RNNCellBase) -> str | None:
    if module.weight_ih.requires_grad != module.weight_hh.requires_grad:
        return "one of weight_ih and weight_hh is frozen, but both are one matrix"
    return None


def _entry(kind: type[torch.nn.RNNCellBase], build: Callable[[Any, Chip, str, OnChip], ChipLayer]) -> ToChip:
    return ToChip(
        module=kind,
        build=build,
        weight=lambda module: torch.cat([module.weight_ih, module.weight_hh], dim=1),
        bias=_bias,
        parameters=("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
        refuse=_refuse,
    )


TO_CHIP = register_layer(_entry(torch.nn.LSTMCell, _build))
RNN_TO_CHIP = register_layer(_entry(torch.nn.RNNCell, _build_rnn))

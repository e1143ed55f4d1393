r"""Convolutional LSTM on a chip: the gates of each pixel are one read of its input patch and its recurrent patch.

    i, f, g, o = W_x * x_t + W_h * h_{t-1} (+ b),
    c_t = \sigma(f) c_{t-1} + \sigma(i) tanh(g),    h_t = \sigma(o) tanh(c_t),

with * a convolution. The input's is padded as `padding` says, the recurrent one is "same", with the odd row and column
of zeros at the bottom and at the right. There are no peephole connections. Source: X. Shi et al., NeurIPS 28 (2015) for
the network; Wang et al., Nat. Mach. Intell. 1, 434 (2019) for its mapping to an array.
"""

from typing import Literal

import torch
import torch.nn.functional as F

from ohmweave.base import OutOfRangeError, check_integer, check_kind, check_shape, shown
from ohmweave.mapping import Chip
from ohmweave.nn.array_product import array_product
from ohmweave.nn.backward_pass import Backward
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.conv2d import Pair, pair_of, patches, sides
from ohmweave.nn.lstm import State, gated
from ohmweave.nn.on_chip import OnChip

_ONE = (1, 1)


class ConvLSTMCell(ChipLayer):
    """One time step of a convolutional LSTM: image and (h, c) to the next (h, c).

    `weight` is `(*chips, 4 * hidden, rows)`: gates in torch's order (input, forget, cell, output). The rows are
    the input patch, channel by channel, followed by the recurrent patch. The digital `bias` is `(*chips, 4 * hidden)`.

    Args:
        in_channels, hidden_channels: channels of the image and of the state, >= 1.
        kernel_size: of the input's convolution.
        hidden_kernel_size: of the recurrent convolution; None is `kernel_size`.
        padding: of the input's convolution, as in torch; the state has the size of its output.
        bias: True for a digital bias for each gate and channel.
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
        in_channels: int,
        hidden_channels: int,
        kernel_size: Pair,
        hidden_kernel_size: Pair | None = None,
        padding: Pair | Literal["same", "valid"] = "same",
        bias: bool = True,
        *,
        chip: Chip,
        name: str,
        on_chip: OnChip | None = None,
        backward: Backward = "readout",
    ) -> None:
        transposed = (on_chip or OnChip()).is_transposed(backward)
        in_channels = check_integer("in_channels", in_channels, at_least=1)
        hidden_channels = check_integer("hidden_channels", hidden_channels, at_least=1)
        kh, kw = kernel = pair_of(kernel_size)
        rh, rw = hidden_kernel = kernel if hidden_kernel_size is None else pair_of(hidden_kernel_size)
        zeros = sides(padding, kernel)
        shape = (4 * hidden_channels, in_channels * kh * kw + hidden_channels * rh * rw)
        super().__init__((on_chip or OnChip()).matrix(chip, name, shape), bias=bias)
        self.in_channels, self.hidden_channels, self._transposed = in_channels, hidden_channels, transposed
        self.kernel_size, self.hidden_kernel_size = kernel, hidden_kernel
        self.padding, self.hidden_padding = zeros, sides("same", hidden_kernel)

    def forward(self, x: torch.Tensor, state: State | None = None) -> State:
        """One time step.

        Args:
            x: `(chips * batch, in_channels, height, width)`.
            state: (h, c), each `(chips * batch, hidden_channels, out height, out width)`; None is zeros.

        Returns:
            The next (h, c), of the same shapes.

        Raises:
            ShapeError: `x` or `state` has another shape.
        """
        new: State = self.guarded(x, state)
        return new

    def rows_of(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """Pixels of image and state, each once."""
        return x if state is None else torch.cat([x.flatten(), state[0].flatten()])

    def on_array(self, x: torch.Tensor, state: State | None) -> State:
        """`forward` on the array: input patch and recurrent patch of a pixel are one vector of row voltages."""
        check_shape("x", x, (None, self.in_channels, None, None))
        input_patches = patches(F.pad(x, self.padding), self.kernel_size, _ONE)
        n, height, width, _ = input_patches.shape
        h, c = state or (x.new_zeros(n, self.hidden_channels, height, width),) * 2
        check_shape("state[0]", h, (n, self.hidden_channels, height, width))
        hidden_patches = patches(F.pad(h, self.hidden_padding), self.hidden_kernel_size, _ONE)
        rows = torch.cat([input_patches, hidden_patches], dim=-1)  # (n, height, width, rows of the matrix)
        gates = array_product(rows.flatten(0, 2), self.weight, transposed=self._transposed)
        return gated(self.biased(gates.view(n, height, width, 4 * self.hidden_channels)).permute(0, 3, 1, 2), c)

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        return f"{self.in_channels}, {self.hidden_channels}, kernel_size={self.kernel_size}, on {self.matrix.name!r}"


class ConvLSTM(torch.nn.Module):
    """A `ConvLSTMCell` applied to each image of a sequence; gradients flow back through all time steps.

    Args:
        cell: the cell, with one set of weights for all time steps.
        batch_first: must be True, because between layers on chips the first dimension is (chips * batch).

    Raises:
        OutOfRangeError: `batch_first` is False.
    """

    def __init__(self, cell: ConvLSTMCell, *, batch_first: bool = True) -> None:
        check_kind("cell", cell, ConvLSTMCell)
        super().__init__()
        if batch_first is not True:
            raise OutOfRangeError(f"`batch_first` must be True on chips, but is {shown(batch_first)}")
        self.cell = cell

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Run over a sequence, as torch's LSTM does.

        Args:
            x: `(chips * batch, time, in_channels, height, width)`, one time step or more.
            state: (h, c) before the first time step, as in `ConvLSTMCell`; None is zeros.

        Returns:
            All outputs h, `(chips * batch, time, hidden_channels, out height, out width)`, and the last (h, c).

        Raises:
            ShapeError: `x` has another shape.
            OutOfRangeError: `x` has no time step.
        """
        check_shape("x", x, (None, None, self.cell.in_channels, None, None))
        outputs = []
        for frame in x.unbind(1):
            state = self.cell(frame, state)
            outputs.append(state[0])
        if state is None:
            raise OutOfRangeError("`x` must have one time step or more, but has none")
        return torch.stack(outputs, dim=1), state

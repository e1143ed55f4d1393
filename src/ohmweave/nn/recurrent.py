"""`torch.nn.LSTM`, `GRU`, `RNN` and `GRUCell` of linear layers that can be placed on a chip, one for each weight.

The products of the input with `weight_ih` do not depend on the state, so all time steps are one batch of reads. The
weights of the state, `weight_hh`, are read once in each time step, and so are projections, `weight_hr`. Gates and
dropout are digital.
Equations as in the documentation of torch.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ohmweave.base import ShapeError, shown
from ohmweave.nn.chip_time import Layout
from ohmweave.nn.composite import CompositeLayer, SequenceLayer, ToLayers, linear_of, register_composite
from ohmweave.nn.further_inputs import check_dims, check_dtype_like, check_like
from ohmweave.nn.lstm import gated
from ohmweave.nn.step_reads import step_read

States = tuple[torch.Tensor, ...]
"""(h,), or (h, c) of an LSTM."""


def gru_gated(of_x: torch.Tensor, of_h: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The next state `(n, hidden)` of a GRU.

    Args:
        of_x: `(n, 3 * hidden)`, the input's part with its bias: gates in torch's order (reset, update, new).
        of_h: `(n, 3 * hidden)`, likewise the state's part; overwritten without gradients.
        h: `(n, hidden)`, the state before.
    """
    if not torch.is_grad_enabled():  # the same operations in less memory and fewer calls
        sizes = (2 * h.shape[1], h.shape[1])
        (both_x, n_x), (both, n_h) = of_x.split(sizes, dim=1), of_h.split(sizes, dim=1)
        r, z = both.add_(both_x).sigmoid_().chunk(2, dim=1)
        new: torch.Tensor = n_h.mul_(r).add_(n_x).tanh_()
        return new.mul_(1 - z).add_(z.mul_(h))
    (r_x, z_x, n_x), (r_h, z_h, n_h) = of_x.chunk(3, dim=1), of_h.chunk(3, dim=1)
    z = (z_x + z_h).sigmoid()
    new = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
    return (1 - z) * new + z * h


class Recurrent(SequenceLayer):
    """The base of `LSTM`, `GRU` and `RNN`: time steps, layers and directions.

    Args:
        like: torch's layer, of which this one has sizes, options and parameters.
    """

    def __init__(self, like: torch.nn.RNNBase) -> None:
        super().__init__()
        self.mode, self.input_size, self.hidden_size = like.mode, like.input_size, like.hidden_size
        self.num_layers, self.bias, self.batch_first = like.num_layers, like.bias, like.batch_first
        self.dropout, self.bidirectional, self.proj_size = like.dropout, like.bidirectional, like.proj_size
        own = like._parameters
        for name in own:
            if name.startswith("weight"):
                self.add_module(name, linear_of(own[name], own.get(name.replace("weight", "bias"))))

    def forward(self, x: torch.Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        """Run over sequences, as torch's layer does.

        Args:
            x: `(time, batch, in)`, `(batch, time, in)` with `batch_first`, `(time, in)`, or a packed sequence. On
                several chips the batch is (chips * batch).
            hx: the state before the first time step, `(layers * directions, batch, hidden)`, or (h, c) of an LSTM;
                None is zeros.

        Returns:
            All outputs in the order of `x`, and the last state.

        Raises:
            ShapeError: `x` or `hx` has another shape.
        """
        return self._packed(x, hx) if isinstance(x, PackedSequence) else self._in_layout(x, hx, None)

    def with_chips_first(self, n_chips: int, x: torch.Tensor, hx: Any = None) -> tuple[Any, Any]:
        """As `forward`, of `(chips * time, batch, in)`; the states are `(chips * layers * directions, batch, ...)`."""
        if not isinstance(x, torch.Tensor):
            return self.forward(x, hx)
        return self._in_layout(x, hx, None if self.batch_first and x.dim() == 3 else n_chips)

    def step(self, of_x: torch.Tensor, of_h: torch.Tensor, state: States) -> States:
        """The next state from the products of the input and of the state with their weights, each `(n, gates)`.

        Without gradients the state's product `of_h` is overwritten.
        """
        raise NotImplementedError

    def state_sizes(self) -> tuple[int, ...]:
        """Number of features of each tensor of the state."""
        return (self.hidden_size,)

    def _in_layout(self, x: torch.Tensor, hx: Any, n_chips: int | None) -> tuple[torch.Tensor, Any]:
        check_dims("x", x, (2, 3))
        layout = Layout(batch_first=self.batch_first, batched=x.dim() > 2, n_chips=n_chips)
        sequence = layout.sequence(x)
        given = None if hx is None else tuple(layout.state(part, self._n_directed) for part in _as_states(hx))
        outputs, state = self._run(sequence, given, None)
        return layout.sequence_back(outputs), self._as_given(tuple(layout.state_back(part) for part in state))

    def _packed(self, x: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        # In the order of the batch before it was sorted by length, because there the chips come first.
        padded, lengths = pad_packed_sequence(x, batch_first=True)
        given = None if hx is None else _as_states(hx)
        outputs, state = self._run(padded, given, lengths.to(padded.device))
        if x.sorted_indices is not None:
            outputs, lengths = outputs.index_select(0, x.sorted_indices), lengths[x.sorted_indices.cpu()]
        data, sizes = pack_padded_sequence(outputs, lengths, batch_first=True)[:2]
        return PackedSequence(data, sizes, x.sorted_indices, x.unsorted_indices), self._as_given(state)

    def _run(self, x: torch.Tensor, hx: States | None, lengths: torch.Tensor | None) -> tuple[torch.Tensor, States]:
        """All layers: `(n, time, in)` to outputs `(n, time, out)` and states `(layers * directions, n, ...)`."""
        if x.shape[1] == 0:
            raise ShapeError("`x` must have one time step or more, but has none")
        self._check_states(hx, x)
        last: list[States] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(layer):
                if hx is None:
                    start = tuple(x.new_zeros(x.shape[0], size) for size in self.state_sizes())
                else:
                    start = tuple(part[len(last)] for part in hx)
                turned = _turned(x, lengths) if suffix.endswith("_reverse") else x
                y, state = self._direction(turned, start, suffix, lengths)
                outputs.append(_turned(y, lengths) if suffix.endswith("_reverse") else y)
                last.append(state)
            x = torch.cat(outputs, dim=-1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout)
        return x, tuple(torch.stack(parts) for parts in zip(*last, strict=True))

    def _direction(
        self, x: torch.Tensor, state: States, suffix: str, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        """One layer in one direction; after the end of a sequence its state stays as it is."""
        of_x = self._modules[f"weight_ih{suffix}"](x).unbind(1)  # type: ignore[misc]
        state_layer, projection = self._modules[f"weight_hh{suffix}"], self._modules.get(f"weight_hr{suffix}")
        assert state_layer is not None
        of_h, project = step_read(state_layer), None if projection is None else step_read(projection)
        outputs = []
        owned = of_h is not state_layer or torch.is_grad_enabled()  # else a hook may have kept the layer's output
        for time, part in enumerate(of_x):
            own = of_h(state[0]) if owned else of_h(state[0]).clone()
            new = self.step(part, own, state)
            if project is not None:
                new = (project(new[0]), *new[1:])
            if lengths is not None:
                runs = (time < lengths).unsqueeze(1)
                new = tuple(torch.where(runs, now, before) for now, before in zip(new, state, strict=True))
            state = new
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state

    def _suffixes(self, layer: int) -> Iterator[str]:
        yield f"_l{layer}"
        if self.bidirectional:
            yield f"_l{layer}_reverse"

    @property
    def _n_directed(self) -> int:
        return self.num_layers * (2 if self.bidirectional else 1)

    def _check_states(self, hx: States | None, x: torch.Tensor) -> None:
        if hx is None:
            return
        wanted = [(self._n_directed, x.shape[0], size) for size in self.state_sizes()]
        found = [tuple(part.shape) for part in hx]
        if found != wanted:
            raise ShapeError(f"`hx` must have the shape {' and '.join(map(str, wanted))}, but has {found}")
        for part in hx:
            check_dtype_like("hx", part, x)

    def _as_given(self, state: States) -> Any:
        return state if len(state) > 1 else state[0]

    def extra_repr(self) -> str:
        """Shown in the network's printout."""
        options = {"bidirectional": self.bidirectional, "batch_first": self.batch_first}
        chosen = "".join(f", {name}=True" for name, value in options.items() if value)
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{chosen}"


class LSTM(Recurrent):
    """`torch.nn.LSTM`, also with `proj_size`, of linear layers named `weight_ih_l0`, `weight_hh_l0` and so on."""

    def step(self, of_x: torch.Tensor, of_h: torch.Tensor, state: States) -> States:
        """As `Recurrent.step`."""
        return gated(_sum(of_x, of_h), state[1])

    def state_sizes(self) -> tuple[int, ...]:
        """As `Recurrent.state_sizes`: h, which a projection makes smaller, and c."""
        return (self.proj_size or self.hidden_size, self.hidden_size)


class GRU(Recurrent):
    """`torch.nn.GRU` of linear layers named `weight_ih_l0`, `weight_hh_l0` and so on."""

    def step(self, of_x: torch.Tensor, of_h: torch.Tensor, state: States) -> States:
        """As `Recurrent.step`."""
        return (gru_gated(of_x, of_h, state[0]),)


class RNN(Recurrent):
    """`torch.nn.RNN`, tanh or relu, of linear layers named `weight_ih_l0`, `weight_hh_l0` and so on."""

    def step(self, of_x: torch.Tensor, of_h: torch.Tensor, state: States) -> States:
        """As `Recurrent.step`."""
        total = _sum(of_x, of_h)
        return (total.tanh() if self.mode == "RNN_TANH" else total.relu(),)


class GRUCell(CompositeLayer):
    """`torch.nn.GRUCell` of two linear layers, `weight_ih` and `weight_hh`.

    They are not one matrix, as those of an `LSTMCell` are, because the reset gate multiplies the state's part of the
    new gate alone.

    Args:
        like: torch's cell, of which this one has sizes and parameters.
    """

    def __init__(self, like: torch.nn.GRUCell) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = like.input_size, like.hidden_size, like.bias
        own = like._parameters
        self.weight_ih = linear_of(own["weight_ih"], own["bias_ih"])
        self.weight_hh = linear_of(own["weight_hh"], own["bias_hh"])

    def forward(self, x: torch.Tensor, hx: torch.Tensor | None = None) -> torch.Tensor:
        """One time step.

        Args:
            x: `(chips * batch, input_size)`, or `(input_size,)` on one chip.
            hx: `(chips * batch, hidden_size)`, or `(hidden_size,)`; None is zeros.

        Returns:
            The next state, of the shape of `hx`.
        """
        check_dims("x", x, (1, 2))
        if hx is not None:
            check_like("hx", hx, (*x.shape[:-1], self.hidden_size), x)
        batch = x if x.dim() > 1 else x.unsqueeze(0)
        size = (batch.shape[0], self.hidden_size)
        h = x.new_zeros(size) if hx is None else hx.reshape(size)
        of_x = self.weight_ih(batch)  # first: it checks the number of features before the state is read
        of_h = self.weight_hh(h)
        if not torch.is_grad_enabled():
            of_h = of_h.clone()  # a hook may have kept the layer's output
        new = gru_gated(of_x, of_h, h)
        return new if x.dim() > 1 else new.squeeze(0)


def _sum(of_x: torch.Tensor, of_h: torch.Tensor) -> torch.Tensor:
    """The sum, in the memory of `of_h` without gradients."""
    return of_x + of_h if torch.is_grad_enabled() else of_h.add_(of_x)


def _as_states(hx: Any) -> States:
    parts = (hx,) if isinstance(hx, torch.Tensor) else hx
    if not isinstance(parts, tuple | list) or not all(isinstance(part, torch.Tensor) for part in parts):
        raise TypeError(f"`hx` must be a tensor, or two of an LSTM, but is {shown(hx)}")
    return tuple(parts)


def _turned(x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """`x` `(n, time, ...)` with time reversed, that of a shorter sequence within its length."""
    if lengths is None:
        return x.flip(1)
    time = torch.arange(x.shape[1], device=x.device)
    at = torch.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
    return x.gather(1, at[:, :, None].expand(x.shape))


for _kind, _build in ((torch.nn.LSTM, LSTM), (torch.nn.GRU, GRU), (torch.nn.RNN, RNN)):
    register_composite(
        ToLayers(module=_kind, build=_build, parameters=lambda module: tuple(module._flat_weights_names))
    )
register_composite(
    ToLayers(
        module=torch.nn.GRUCell,
        build=GRUCell,
        parameters=lambda module: ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if module.bias else ())),
    )
)

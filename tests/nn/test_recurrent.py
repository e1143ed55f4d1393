"""Recurrent layers on the array against torch's own: outputs, states, gradients, layouts, packed sequences."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ohmweave.base import ShapeError, UnplaceableLayerError
from ohmweave.mapping import CentredPair, FixedScaling
from ohmweave.nn import OnChip, calibrate_inputs, deploy
from tests.helpers import assert_close
from tests.nn.sequence_models import F64, RTOL, WRITE, assert_is_the_model, ideal_chip, normal, on_ideal_chips

KINDS: dict[str, Any] = {
    "lstm": lambda **how: nn.LSTM(3, 4, dtype=F64, **how),
    "projected": lambda **how: nn.LSTM(3, 4, dtype=F64, proj_size=2, **how),
    "gru": lambda **how: nn.GRU(3, 4, dtype=F64, **how),
    "rnn": lambda **how: nn.RNN(3, 4, dtype=F64, **how),
    "relu": lambda **how: nn.RNN(3, 4, dtype=F64, nonlinearity="relu", **how),
}


@pytest.mark.parametrize("n_chips", [None, 1, 3])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_is_torchs(kind: str, batch_first: bool, n_chips: int | None) -> None:
    torch.manual_seed(1)
    model = KINDS[kind](num_layers=2, bidirectional=True, batch_first=batch_first)
    net = on_ideal_chips(model, n_chips)
    for batch in (1, 7):
        x = normal(batch, 5, 3) if batch_first else normal(5, batch, 3)
        assert_is_the_model(net, model, x)


@pytest.mark.parametrize("kind", ["projected", "gru"])
def test_one_direction_without_bias_in_evaluation(kind: str) -> None:
    torch.manual_seed(1)
    model = KINDS[kind](bias=False, batch_first=True).eval()
    net = on_ideal_chips(model, 3)
    assert_is_the_model(net, model, normal(7, 5, 3))
    assert net.on_chip[:2] == ("weight_ih_l0", "weight_hh_l0")
    assert net.digital == ()


class WithStates(nn.Module):
    """The batch is first outside, and second inside, where an initial state is made."""

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn
        self.head = nn.Linear(4, 2, dtype=F64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.mean(1)[:, :1].expand(-1, 4).repeat(4, 1, 1)
        y, last = self.rnn(x.transpose(0, 1), (h, h.sin()) if isinstance(self.rnn, nn.LSTM) or self.two else h)
        top = last[0] if isinstance(last, tuple) else last
        return torch.cat([self.head(top[-1]), self.head(top[1]), y.mean(0)], dim=-1)

    two = False


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_model_that_puts_the_batch_second_and_gives_a_state(kind: str) -> None:
    torch.manual_seed(1)
    model = WithStates(KINDS[kind](num_layers=2, bidirectional=True))
    model.two = kind == "lstm"
    for n_chips in (None, 3):
        assert_is_the_model(on_ideal_chips(model, n_chips), model, normal(7, 5, 3))


class Packed(nn.Module):
    """A sequence-length aware classifier."""

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, Any]:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, last = self.rnn(packed)
        padded, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        return padded, last


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_chips", [None, 3])
def test_packed_sequences(kind: str, n_chips: int | None) -> None:
    torch.manual_seed(1)
    model = Packed(KINDS[kind](num_layers=2, bidirectional=True, batch_first=True))
    net = on_ideal_chips(model, n_chips)
    assert_is_the_model(net, model, normal(7, 5, 3), torch.tensor([2, 5, 1, 5, 3, 4, 2]))


def test_a_packed_sequence_that_is_sorted_and_one_without_a_batch() -> None:
    torch.manual_seed(1)
    model = KINDS["gru"](bidirectional=True)
    net = on_ideal_chips(model, None)
    x = pack_padded_sequence(normal(5, 3, 3), torch.tensor([5, 3, 2]))
    (y, h), (want, want_h) = net(x), model(x)
    assert_close(y.data, want.data, rtol=RTOL, scale=1.0)
    assert_close(h, want_h, rtol=RTOL, scale=1.0)
    assert torch.equal(y.batch_sizes, want.batch_sizes)
    for kind in ("lstm", "rnn"):
        model = KINDS[kind](num_layers=2)
        for n_chips in (None, 3):
            assert_is_the_model(on_ideal_chips(model, n_chips), model, normal(5, 3))


def test_dropout_between_layers_in_training_alone() -> None:
    torch.manual_seed(1)
    model = nn.GRU(3, 64, num_layers=2, dropout=0.5, batch_first=True, dtype=F64)
    net, x = deploy(model, ideal_chip(None, 16), write=WRITE), normal(2, 4, 3)
    torch.manual_seed(2)
    first, second = net(x)[0], net(x)[0]
    assert not torch.equal(first, second)
    net.eval()
    model.eval()
    assert_close(net(x)[0], model(x)[0], rtol=RTOL, scale=1.0)
    last = nn.GRU(3, 8, num_layers=1, batch_first=True, dtype=F64)
    last.dropout = 0.5
    net = on_ideal_chips(last, None)
    assert torch.equal(net(x)[0], net(x)[0])


def test_layers_can_be_chosen_for_all_matrices_or_for_one() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 4, batch_first=True, dtype=F64)
            self.fc = nn.Linear(4, 2, dtype=F64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.fc(self.rnn(x)[0])
            return y

    torch.manual_seed(1)
    model, centred = Model(), CentredPair(w_max=4.0)
    net = on_ideal_chips(model, 3, layers={"rnn": OnChip(mapping=centred), "rnn.weight_ih_l0": OnChip(tile_rows=2)})
    assert net.on_chip == ("rnn.weight_ih_l0", "rnn.weight_hh_l0", "fc")
    assert net.matrix("rnn.weight_ih_l0").mapping is centred
    assert len(net.matrix("rnn.weight_ih_l0").placement.tiles) == 2
    assert len(net.matrix("rnn.weight_hh_l0").placement.tiles) == 1
    assert net.matrix("fc").mapping is not centred
    assert_is_the_model(net, model, normal(7, 5, 3))
    part = on_ideal_chips(model, 3, digital=["rnn.weight_hh_l0"])
    assert part.on_chip == ("rnn.weight_ih_l0", "fc")
    assert part.digital == ("rnn.weight_hh_l0",)
    assert_close(part(normal(7, 5, 3)), model(normal(7, 5, 3)).expand(3, 7, 5, 2), rtol=RTOL, scale=1.0)
    whole = on_ideal_chips(model, 3, digital=["rnn"])
    assert whole.on_chip == ("fc",)
    assert type(whole.model.rnn) is nn.GRU
    assert type(model.rnn) is nn.GRU


def test_frozen_weights_hooks_and_attributes_are_kept() -> None:
    model = nn.Sequential(nn.GRU(3, 4, batch_first=True, dtype=F64))
    model[0].weight_ih_l0.requires_grad_(False)
    model[0].note = "mine"
    seen: list[int] = []
    model[0].register_forward_hook(lambda module, args, y: seen.append(1))
    net = on_ideal_chips(model, None)
    net(normal(2, 5, 3))
    assert seen == [1]
    assert net.model[0].note == "mine"
    assert [one.requires_grad for one in net.weights.values()] == [False, True]


def test_what_cannot_be_taken_apart_is_refused_with_the_reason() -> None:
    normed = nn.GRU(3, 4, dtype=F64)
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(normed, "weight_hh_l0")
    with pytest.raises(UnplaceableLayerError, match=r"GRU: weight_hh_l0 is no parameter of it"):
        on_ideal_chips(normed, None)
    hooked = nn.GRU(3, 4, dtype=F64)
    hooked.weight_ih_l0.register_hook(lambda grad: grad)
    with pytest.raises(UnplaceableLayerError, match=r"GRU: its weight_ih_l0 has gradient hooks"):
        on_ideal_chips(hooked, None)


def test_a_layer_held_by_a_closure_is_refused() -> None:
    rnn = nn.GRU(3, 4, batch_first=True, dtype=F64)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = rnn
            self.fc = nn.Linear(4, 2, dtype=F64)
            self.run = lambda x: rnn(x)[0]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.fc(self.run(x))
            return y

    with pytest.raises(UnplaceableLayerError, match="run of the model itself has a layer of the model"):
        on_ideal_chips(Model(), None)


def test_a_state_of_another_shape_is_refused() -> None:
    net = on_ideal_chips(nn.LSTM(3, 4, batch_first=True, dtype=F64), None)
    with pytest.raises(ShapeError, match="`hx` must have the shape"):
        net(normal(2, 5, 3), (torch.zeros(1, 2, 5, dtype=F64), torch.zeros(1, 2, 4, dtype=F64)))
    with pytest.raises(ShapeError, match="1 layers"):
        net(normal(2, 5, 3), (torch.zeros(2, 2, 4, dtype=F64), torch.zeros(1, 2, 4, dtype=F64)))
    with pytest.raises(ShapeError, match="time step"):
        net(normal(2, 0, 3))


class Steps(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> Any:
        state = None
        for part in x.unbind(1):
            state = self.cell(part, state)
        return state


@pytest.mark.parametrize("n_chips", [None, 1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_gru_cells_are_torchs(bias: bool, n_chips: int | None) -> None:
    torch.manual_seed(1)
    model = Steps(nn.GRUCell(3, 4, bias=bias, dtype=F64))
    net = on_ideal_chips(model, n_chips)
    assert net.on_chip == ("cell.weight_ih", "cell.weight_hh")
    for batch in (1, 7):
        assert_is_the_model(net, model, normal(batch, 5, 3))


@pytest.mark.parametrize("n_chips", [None, 1, 3])
def test_rnn_cells_are_torchs(n_chips: int | None) -> None:
    torch.manual_seed(1)
    for nonlinearity in ("tanh", "relu"):
        model = Steps(nn.RNNCell(3, 4, nonlinearity=nonlinearity, dtype=F64))
        net = on_ideal_chips(model, n_chips)
        x = normal(7, 5, 3)
        y, want = net(x), model(x)
        assert_close(y, want.expand(y.shape), rtol=RTOL, scale=1.0)
        y.sum().backward()
        model.zero_grad()
        want.sum().backward()
        both = torch.cat([model.cell.weight_ih.grad, model.cell.weight_hh.grad], dim=1)
        assert_close(net.weights["cell"].grad, both.expand(net.weights["cell"].shape), rtol=RTOL, scale=1.0)


def test_one_read_of_the_input_for_all_time_steps_and_one_of_the_state_for_each() -> None:
    net = on_ideal_chips(nn.GRU(3, 4, batch_first=True, dtype=F64), None)
    books = net.chip.array.books
    before = books.activity.copy()
    with torch.no_grad():
        net(normal(2, 5, 3))
    assert (books.activity - before).n_reads == 2 * (2 * 5)


def test_calibration_takes_the_largest_state_of_all_time_steps() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.cell = nn.RNN(3, 4, batch_first=True, dtype=F64), nn.RNNCell(3, 4, dtype=F64)
            self.both = nn.Bilinear(4, 4, 2, dtype=F64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.cell(0.01 * x[:, 0])
            y: torch.Tensor = self.both(self.rnn(x)[0][:, -1], self.cell(0.1 * x[:, 1], h))
            return y

    torch.manual_seed(1)
    model, x = Model().requires_grad_(False), 0.3 * normal(7, 5, 3)
    net = on_ideal_chips(model, None, scaling=FixedScaling)
    calibrate_inputs(net, x)
    steps = model.rnn(x)[0]
    scale = {name: net.matrix(name).scaling for name in net.on_chip}
    found = {name: one.x_max for name, one in scale.items() if isinstance(one, FixedScaling)}
    assert_close(found["rnn.weight_ih_l0"], float(x.abs().max()), rtol=1e-9)
    assert_close(found["rnn.weight_hh_l0"], float(steps[:, :-1].abs().max()), rtol=1e-5)
    h = model.cell(0.01 * x[:, 0])
    assert_close(found["cell"], float(h.abs().max()), rtol=1e-5)  # larger than its inputs
    both = steps[:, -1, :, None] * model.cell(0.1 * x[:, 1], h)[:, None]
    assert_close(found["both"], float(both.abs().max()), rtol=1e-5)

"""Noise-aware training of all kinds of layers that `deploy` places."""

from typing import Any

import pytest
import torch
from torch import nn

from ohmweave.arrays import DAC
from ohmweave.base import OutOfRangeError, generator
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from ohmweave.nn import NoiseAware, OnChip, deploy
from tests.helpers import assert_close
from tests.nn.sequence_models import F64, WRITE, ideal_chip, normal, on_ideal_chips


class Everything(nn.Module):
    """A layer of each kind, that has a matrix of its own or several."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(6, 4, dtype=F64)
        self.rnn = nn.LSTM(4, 4, 2, bidirectional=True, proj_size=3, batch_first=True, dtype=F64)
        self.attn = nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True, dtype=F64)
        self.cell, self.gru = nn.LSTMCell(6, 4, dtype=F64), nn.GRUCell(4, 4, dtype=F64)
        self.rnn_cell, self.both = nn.RNNCell(4, 4, dtype=F64), nn.Bilinear(4, 4, 3, dtype=F64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.attn(self.rnn(self.tokens(x))[0])
        h = self.gru(self.cell(y[:, -1], self.cell(y[:, 0]))[0])
        z: torch.Tensor = self.both(h, self.rnn_cell(h, self.rnn_cell(h)))
        return z


def model() -> Everything:
    torch.manual_seed(1)
    return Everything()


TOKENS = torch.arange(21).view(7, 3) % 6


def aware(net: nn.Module, **how: Any) -> NoiseAware:
    return NoiseAware(net, ideal_chip(None), generator=generator(0, "noise"), **how)


def test_without_noise_it_is_the_model_and_so_are_its_gradients() -> None:
    net = model()
    want = net(TOKENS)
    want.square().sum().backward()
    gradients = {name: one.grad.clone() for name, one in net.named_parameters() if one.grad is not None}
    net.zero_grad()
    y = aware(net)(TOKENS)
    assert_close(y.detach(), want.detach(), rtol=1e-9, scale=1.0)
    y.square().sum().backward()
    for name, one in net.named_parameters():
        assert one.grad is not None
        assert_close(one.grad, gradients[name], rtol=1e-9, scale=1.0)
    assert type(net.rnn) is nn.LSTM
    assert type(net.attn.self_attn) is nn.MultiheadAttention


@pytest.mark.parametrize("mapping", [DifferentialPair(levels=5), CentredPair(w_max=0.4)])
def test_it_trains_with_the_weights_that_the_cells_will_hold(mapping: Any) -> None:
    net, how = model(), {"mapping": mapping, "layers": {"tokens": OnChip()}, "digital": ["gru"]}
    y = aware(net, **how)(TOKENS)
    on_chip = on_ideal_chips(net, None, **how)
    assert_close(y.detach(), on_chip(TOKENS), rtol=1e-5, scale=1.0)
    assert "gru.weight_ih" not in on_chip.on_chip
    assert "tokens" in on_chip.on_chip


def test_every_matrix_has_errors_of_its_own_in_each_pass() -> None:
    net = model()
    noisy = aware(net, sigma=1e-6)
    first, second = noisy.perturbed(), noisy.perturbed()
    for name in on_ideal_chips(net, None).on_chip:
        mine = [key for key in first if key.startswith(f"{name}.weight")]
        assert mine
        for key in mine:
            assert float((first[key] - second[key]).detach().abs().min()) > 0
    assert "tokens.weight" not in first


def test_errors_of_two_parameters_in_one_matrix_have_its_scale() -> None:
    cell = nn.LSTMCell(100, 100, dtype=F64)
    with torch.no_grad():
        cell.weight_hh.mul_(0.1)
    noisy = aware(nn.Sequential(cell), sigma=0.5e-6)
    g_per_w = 100e-6 / float(cell.weight_ih.detach().abs().max())
    for name in ("weight_ih", "weight_hh"):
        error = noisy.perturbed()[f"0.{name}"].detach() - cell._parameters[name].detach()  # type: ignore[union-attr]
        assert_close(float(error.std()) * g_per_w, 0.5e-6 * 2**0.5, rtol=0.02)


def test_recurrent_states_are_rounded_too() -> None:
    cell = nn.RNNCell(1, 2, bias=False, nonlinearity="relu", dtype=F64)
    with torch.no_grad():
        cell.weight_ih.zero_()
        cell.weight_hh.copy_(torch.eye(2))
    y = aware(cell, input_bits=1)(torch.zeros(1, 1, dtype=F64), torch.tensor([[1.0, 0.6]], dtype=F64))
    assert_close(y.detach(), torch.tensor([[1.0, 1.0]], dtype=F64), rtol=1e-9)
    rnn = nn.RNN(1, 2, bias=False, nonlinearity="relu", batch_first=True, dtype=F64)
    with torch.no_grad():
        rnn.weight_ih_l0.zero_()
        rnn.weight_hh_l0.copy_(torch.eye(2))
    start = torch.tensor([[[1.0, 0.6]]], dtype=F64)
    y, _ = aware(rnn, input_bits=1)(torch.zeros(1, 1, 1, dtype=F64), start)
    assert_close(y.detach(), torch.tensor([[[1.0, 1.0]]], dtype=F64), rtol=1e-9)


def test_evaluation_and_names() -> None:
    net = model().eval()
    assert torch.equal(aware(net, sigma=1e-6).eval()(TOKENS), net(TOKENS))
    for argument in ({"layers": {"no": OnChip()}}, {"digital": ["no"]}):
        with pytest.raises(OutOfRangeError, match=f"`{next(iter(argument))}` must name layers"):
            aware(net, **argument)


def test_training_reaches_recurrent_weights() -> None:
    torch.manual_seed(1)
    net = nn.GRU(3, 8, batch_first=True, dtype=F64)
    noisy = aware(net, sigma=1e-6, mapping=DifferentialPair(levels=31)).train()
    optimizer = torch.optim.Adam(noisy.parameters(), lr=0.02)
    x = normal(32, 5, 3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (noisy(x)[0][:, -1, :3] - 0.5 * x.mean(1)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


class Transposed(nn.Module):
    """A linear layer with its weight transposed, as GPT-2 has."""

    def __init__(self, n_out: int, n_in: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(n_in, n_out))
        self.bias = nn.Parameter(normal(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


def as_linear(module: Transposed) -> nn.Linear:
    n_in, n_out = module.weight.shape
    layer = nn.Linear(n_in, n_out)
    layer.weight, layer.bias = nn.Parameter(module.weight.detach().T), module.bias
    return layer


def test_a_class_of_ones_own_trains_as_its_equal_does() -> None:
    """Value and all gradients as those of linear layers with the same weights and the same errors."""
    first, last = Transposed(5, 4), Transposed(3, 5)
    own = nn.Sequential(first, nn.ReLU(), last)
    plain = nn.Sequential(as_linear(first), nn.ReLU(), as_linear(last))
    for one in (plain[0], plain[2]):
        one.bias = nn.Parameter(one.bias.detach().clone())
    options: dict[str, Any] = {"mapping": DifferentialPair(levels=15), "sigma": 0.5e-6, "input_bits": 5}
    x = normal(7, 4)
    found = []
    for model, more in ((own, {"as_known": {Transposed: as_linear}}), (plain, {})):
        given = x.clone().requires_grad_()
        aware = NoiseAware(model, ideal_chip(None), generator=generator(0, "errors"), **options, **more)
        y = aware(given)
        y.square().sum().backward()
        found.append([y, given.grad, *(one.grad for one in model.parameters())])
    (y, dx, w0, b0, w1, b1), right = found
    for mine, theirs in zip((y, dx, w0.T, b0, w1.T, b1), right, strict=True):
        assert_close(mine.detach(), theirs.detach(), rtol=1e-9)


@pytest.mark.parametrize(
    ("target", "message"),
    [(nn.LSTM, "must give Transposed a class"), (lambda module: nn.ReLU(), "must return a linear layer or a conv")],
)
def test_an_equal_that_cannot_be_trained_is_refused(target: Any, message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        NoiseAware(
            nn.Sequential(Transposed(5, 4)),
            ideal_chip(None),
            generator=generator(0, "e"),
            as_known={Transposed: target},
        )


class Mixed(nn.Module):
    """Convolution in groups, recurrent layers, attention and a class of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, groups=2, padding=1, dtype=F64)
        self.rnn, self.cell = nn.GRU(4, 4, batch_first=True, dtype=F64), nn.LSTMCell(4, 4, dtype=F64)
        self.attend, self.own = nn.MultiheadAttention(4, 2, batch_first=True, dtype=F64), Transposed(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.rnn(self.conv(x).transpose(1, 2))[0]
        y = self.attend(y, y, y, need_weights=False)[0]
        h = self.cell(y[:, -1], self.cell(y[:, 0]))[0]
        z: torch.Tensor = self.own(h)
        return z


def test_a_learnt_input_range_is_deployed_with_the_same_arguments() -> None:
    """Without errors of cells, the network in training is the deployed one with a DAC of one bit more, for the sign."""
    torch.manual_seed(0)
    model, x = Mixed(), normal(6, 2, 5)
    options: dict[str, Any] = {"as_known": {Transposed: as_linear}}
    aware = NoiseAware(
        model, ideal_chip(None), generator=generator(0, "e"), input_bits=7, input_range="learnt", renew=1, **options
    )
    aware(x)
    started = {name: float(one.detach()) for name, one in aware.x_max.items()}
    assert_close(started["conv"], float(x.abs().max()), rtol=1e-12)
    optimizer = torch.optim.SGD(aware.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        aware(x).square().sum().backward()
        optimizer.step()
    layers = aware.layers_for_chip()
    names = {"conv", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "cell", "attend.in_proj", "attend.out_proj", "own"}
    assert layers.keys() == {name.replace("/", ".") for name in started} == names
    assert any(abs(float(aware.x_max[name].detach()) - was) > 1e-3 for name, was in started.items())
    ideal = ideal_chip(2).array
    dac = DAC(bits=8, v_max=ideal.v_read, signed=True)
    chip = Chip(ideal.cell, n_arrays=8, rows=64, cols=64, n_chips=2, v_read=ideal.v_read, dac=dac, dtype=F64)
    net = deploy(model.eval(), chip, write=WRITE, layers=layers, **options)
    for name in net.on_chip:
        scaling = net.matrix(name).scaling
        assert isinstance(scaling, FixedScaling)
        assert_close(scaling.x_max, abs(float(aware.x_max[name.replace(".", "/")].detach())), rtol=1e-6)
    with torch.no_grad():
        trained, software = aware.train()(x), model(x)
        found = net(x)
    # The steps of the cells may turn a rounding here and there: the network is far nearer to `aware` than to software.
    off = float((found - trained).abs().max()) / float(trained.abs().max())
    assert off < 2e-3 < float((trained - software).abs().max()) / float(trained.abs().max())


def test_the_gradient_of_a_range() -> None:
    """By hand: the sign where an input is clipped, the error of rounding in units of the range where it is not."""
    layer = nn.Linear(3, 1, bias=False, dtype=F64)
    layer.weight = nn.Parameter(torch.ones(1, 3, dtype=F64))
    aware = NoiseAware(
        layer, ideal_chip(None), generator=generator(0, "e"), input_bits=2, input_range="learnt", renew=1
    )
    with torch.no_grad():
        aware.x_max["model"].fill_(1.5)
    x = torch.tensor([[2.0, -9.0, 0.6]], dtype=F64, requires_grad=True)  # lsb 0.5: 0.6 is code 1.2
    aware(x).sum().backward()
    assert_close(aware.x_max["model"].grad, 1 - 1 + (1 - 1.2) / 3, rtol=1e-9)
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 0.0, 1.0]]
    with pytest.raises(OutOfRangeError, match="`input_bits` must be given"):
        NoiseAware(layer, ideal_chip(None), generator=generator(0, "e"), input_range="learnt")
    with pytest.raises(OutOfRangeError, match="`input_range` must be 'batch' or 'learnt', but is 'max'"):
        NoiseAware(layer, ideal_chip(None), generator=generator(0, "e"), input_bits=3, input_range="max")  # type: ignore[arg-type]


class Positioned(nn.Module):
    """A layer and a parameter of no layer, as a table of positions is."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.pos = nn.Linear(4, 3), nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(x + self.pos)
        return y


def test_digital_names_parameters_and_patterns_as_deploy_does() -> None:
    for digital in (("pos",), ("p*",)):
        model = Positioned()
        net = NoiseAware(model, ideal_chip(None), generator=generator(0, "noise"), digital=digital)
        assert net.digital == ("pos",)
        net(torch.rand(2, 4)).sum().backward()
        assert model.pos.grad is not None

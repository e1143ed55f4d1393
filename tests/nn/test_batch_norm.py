"""Folding, rescaling and measuring anew, against the network itself and the plain formula."""

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OhmweaveError, OutOfRangeError, generator
from ohmweave.cells import LinearStep
from ohmweave.nn import (
    NoiseAware,
    batch_norm_pairs,
    fold_batch_norm,
    measured,
    per_channel_scale,
    recalibrate_batch_norm,
)
from ohmweave.papers.yao2020.resnet import Block
from ohmweave.programming import WriteVerify
from tests.helpers import assert_close


def block() -> tuple[Block, torch.Tensor]:
    torch.manual_seed(1)
    net = Block(4, 8, 2).double()
    for norm in (net.bn1, net.bn2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3.0)
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    return net.eval(), torch.randn(3, 4, 8, 8, dtype=torch.float64)


def chip(n_chips: int | None = None) -> ow.Chip:
    return ow.Chip(LinearStep(g_min=2e-6, g_max=20e-6), n_arrays=2, rows=64, cols=64, n_chips=n_chips)


def test_pairs_follow_the_data() -> None:
    net, x = block()
    assert batch_norm_pairs(net, x) == [("conv1", "bn1"), ("conv2", "bn2")]


@pytest.mark.parametrize("change", [fold_batch_norm, per_channel_scale])
def test_the_function_stays_the_same(change) -> None:  # type: ignore[no-untyped-def]
    net, x = block()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    twin = change(net, x)
    assert_close(twin(x), net(x), rtol=1e-9, scale=1.0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_folding_leaves_no_batch_norm() -> None:
    net, x = block()
    twin = fold_batch_norm(net, x)
    assert not [part for part in twin.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert twin.conv1.bias is not None


def test_every_channel_reaches_the_largest_weight() -> None:
    net, x = block()
    twin = per_channel_scale(net, x)
    for name in ("conv1", "conv2"):
        largest = twin.get_submodule(name).weight.abs().flatten(1).amax(1)
        assert_close(largest, net.get_submodule(name).weight.abs().max().expand(8), rtol=1e-12)


def test_statistics_are_means_over_batches_and_modes_come_back() -> None:
    norm = torch.nn.BatchNorm1d(2).double().eval()
    batches = [torch.randn(20, 2, dtype=torch.float64) * 3 + 1 for _ in range(4)]
    recalibrate_batch_norm(norm, batches)
    assert_close(norm.running_mean, torch.stack([x.mean(0) for x in batches]).mean(0), rtol=1e-9)
    assert_close(norm.running_var, torch.stack([x.var(0) for x in batches]).mean(0), rtol=1e-9)
    assert (norm.training, norm.momentum) == (False, 0.1)


def test_training_mode_is_refused() -> None:
    net, x = block()
    with pytest.raises(OhmweaveError, match="evaluation mode"):
        fold_batch_norm(net.train(), x)


def test_measured_network_has_the_weights_that_were_read() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    net = ow.deploy(model, chip(2), write=WriteVerify(tolerance=0.1e-6))
    x = torch.rand(4, 5)
    for index in range(2):
        assert_close(measured(net, model, chip=index)(x), net(x)[index], rtol=1e-4, scale=1.0)
    with pytest.raises(OutOfRangeError, match="`chip` must be from 0 to 1"):
        measured(net, model)


def test_measured_networks_have_recurrent_layers_and_attention() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.GRU(4, 4, batch_first=True)
            self.parts = torch.nn.ModuleList([torch.nn.MultiheadAttention(4, 2, batch_first=True)])
            self.cell = torch.nn.GRUCell(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.rnn(x)[0]
            state: torch.Tensor = self.cell(self.parts[0](y, y, y)[0][:, 0])
            return state

    model, x = Model(), torch.rand(4, 3, 4)
    net = ow.deploy(model, chip(2), write=WriteVerify(tolerance=0.1e-6), digital=["cell"])
    for index in range(2):
        assert_close(measured(net, model, chip=index)(x), net(x)[index], rtol=1e-4, scale=1.0)
    cells = torch.nn.Sequential(torch.nn.RNNCell(4, 4))
    with pytest.raises(OutOfRangeError, match="are made of several"):
        measured(ow.deploy(cells, chip(), write=WriteVerify(tolerance=0.1e-6)), cells)


def aware(model: torch.nn.Module, **how: object) -> NoiseAware:
    return NoiseAware(model, chip(), generator=generator(0, "noise"), **how)  # type: ignore[arg-type]


def test_evaluation_is_the_model_itself() -> None:
    model = torch.nn.Linear(4, 3)
    x = torch.rand(2, 4)
    assert torch.equal(aware(model, sigma=1e-6).eval()(x), model(x))


def test_forward_sees_levels_and_gradients_go_straight_through() -> None:
    model = torch.nn.Linear(4, 3, bias=False)
    mapping = ow.DifferentialPair(levels=3)
    net = aware(model, mapping=mapping)
    x = torch.rand(2, 4)
    y = net(x)
    largest = model.weight.detach().abs().max()
    levels = (model.weight.detach() / largest).round() * largest
    assert_close(y.detach(), x @ levels.T, rtol=1e-6, scale=1.0)
    y.sum().backward()
    assert_close(model.weight.grad, x.sum(0).expand(3, 4), rtol=1e-6)


def test_write_errors_have_the_spread_of_a_pair() -> None:
    model = torch.nn.Linear(200, 200, bias=False)
    net = aware(model, sigma=0.5e-6)
    error = net.perturbed()["weight"].detach() - model.weight.detach()
    g_per_w = 18e-6 / float(model.weight.detach().abs().max())
    assert_close(float(error.std()) * g_per_w, 0.5e-6 * 2**0.5, rtol=0.02)


def test_inputs_are_rounded() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False))
    torch.nn.init.eye_(model[0].weight)
    net = aware(model, input_bits=1)
    y = net(torch.tensor([[1.0, 0.6, 0.2]]))
    assert_close(y.detach(), torch.tensor([[1.0, 1.0, 0.0]]), rtol=1e-6, scale=1.0)

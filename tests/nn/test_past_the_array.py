"""Ways in which a model would compute with a weight past the array, or with a wrong gradient: refused, or right."""

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ohmweave.arrays import ADC, DAC
from ohmweave.base import OutOfRangeError, UnplaceableLayerError, WeightOnChipError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.nn import Deployed, Linear, deploy
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**16)
EXACT = BlindWrite(g_step=FINE.g_step)


class Model(nn.Module):
    """A linear layer, and a function that is used as the forward pass."""

    def __init__(self, compute: Any = None) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4, bias=False)
        self.register_buffer("mask", torch.ones(4, 6))
        self._compute = compute

    def forward(self, x: torch.Tensor) -> Any:
        return self._compute(self, x)


def put(model: nn.Module, n_chips: int | None = None, **options: Any) -> Deployed:
    return deploy(model, Chip(FINE, rows=32, cols=32, n_arrays=2, n_chips=n_chips, **options), write=EXACT)


def batch() -> torch.Tensor:
    return torch.rand(5, 6, generator=generator(0))


PAST: dict[str, Any] = {
    "normalised": lambda self, x: F.linear(x, F.normalize(self.fc.weight)),
    "masked": lambda self, x: F.linear(x, self.fc.weight * self.mask),
    "a copy": lambda self, x: x @ self.fc.weight.detach().clone().T,
    "a readout": lambda self, x: x @ self.fc.weight.detach().T,
    "signs": lambda self, x: x @ (self.fc.weight.detach() > 0).float().T,
    "elementwise": lambda self, x: (x[:, None] * self.fc.weight).sum(-1),
    "elementwise, one sample": lambda self, x: (x[:1] * self.fc.weight).sum(-1),
    "elementwise, before a layer": lambda self, x: self.fc(x[:4] * self.fc.weight),
    "two weights": lambda self, x: x @ (self.fc.weight.T @ self.fc.weight),
}


@pytest.mark.parametrize("how", PAST)
def test_products_with_what_is_derived_from_a_weight_are_refused(how: str) -> None:
    net = put(Model(PAST[how]))
    with pytest.raises(WeightOnChipError, match=r"(past|by) the array"):
        net(batch())


def test_looks_within_a_forward_pass_are_allowed() -> None:
    def compute(self: Any, x: torch.Tensor) -> Any:
        penalty = (self.fc.weight.T @ self.fc.weight).square().sum()
        self.norm = self.fc.weight.detach().norm(dim=1)
        return self.fc(x), penalty, F.normalize(self.fc.weight)

    net = put(Model(compute))
    y, penalty, _ = net(batch())
    assert type(y) is torch.Tensor
    assert type(penalty) is torch.Tensor
    assert_close(net.norm, net.fc.weight.detach().norm(dim=1), rtol=1e-6)


GLOBAL = nn.Linear(6, 4, bias=False)


class UsesGlobal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = GLOBAL

    def forward(self, x: torch.Tensor) -> Any:
        return GLOBAL(x)


class UsesClass(nn.Module):
    shared = nn.Linear(6, 4, bias=False)

    def __init__(self) -> None:
        super().__init__()
        self.fc = UsesClass.shared

    def forward(self, x: torch.Tensor) -> Any:
        return UsesClass.shared(x)


def uses_closure() -> nn.Module:
    fc = nn.Linear(6, 4, bias=False)

    class UsesClosure(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = fc

        def forward(self, x: torch.Tensor) -> Any:
            return fc(x)

    return UsesClosure()


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


def holding(make: Any) -> nn.Module:
    model = Model(lambda self, x: x)
    model.also = make(model.fc)
    return model


HELD: dict[str, Any] = {
    "GLOBAL|forward of the class UsesGlobal has a layer": UsesGlobal,
    "shared of the class UsesClass has a layer": UsesClass,
    "forward of the class UsesClosure has a layer": uses_closure,
    "also of the model itself has a layer of the model in a Holder": lambda: holding(Holder),
    "also of the model itself has a weight of the model in a Holder": lambda: holding(lambda fc: Holder(fc.weight)),
    "also of the model itself has a weight of the model and": lambda: holding(lambda fc: [fc.weight]),
    "also of the model itself has a weight of the model ": lambda: holding(
        lambda fc: functools.partial(F.linear, weight=fc.weight)
    ),
    "also of the model itself has a layer of the model and": lambda: holding(lambda fc: lambda x, layer=fc: layer(x)),
    "also of the model itself has a layer of the model ": lambda: holding(lambda fc: lambda x, *, layer=fc: layer(x)),
}


@pytest.mark.parametrize("named", HELD)
def test_layers_and_weights_held_elsewhere_are_refused_by_name(named: str) -> None:
    with pytest.raises(UnplaceableLayerError, match=named):
        put(HELD[named]())


def test_a_bound_forward_method_reaches_the_array() -> None:
    model = Model(lambda self, x: self.also(x))
    model.also = model.fc.forward
    net = put(model)
    before = net.chip.array.books.activity.n_reads
    assert_close(net(batch()), batch() @ net.fc.weight.detach().T, rtol=1e-4, scale=1.0)
    assert net.chip.array.books.activity.n_reads == before + 5


def test_a_layer_that_is_not_read_is_named_once_in_each_mode() -> None:
    net = put(Model(lambda self, x: torch.tensor(self.fc.weight.tolist()) @ x.T))
    for mode in (True, False):
        net.train(mode)
        with pytest.warns(RuntimeWarning, match=r"\['fc'\] on the chip were not read in the first forward pass"):
            net(batch())
        net(batch())  # no second warning, which would be an error here


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(2, 3, 3, padding=1, stride=2)])
def test_second_derivatives_are_those_of_software(layer: Any) -> None:
    net = put(nn.Sequential(layer, nn.Tanh()))
    x = torch.rand(5, 6, generator=generator(0)) if isinstance(layer, nn.Linear) else torch.rand(2, 2, 6, 5)
    plain = [one.detach().clone().requires_grad_() for one in (net.model[0].weight, layer.bias)]

    def software(x: torch.Tensor) -> torch.Tensor:
        if isinstance(layer, nn.Linear):
            return F.linear(x, *plain).tanh()
        return F.conv2d(x, *plain, stride=2, padding=1).tanh()

    found = []
    for model, weight in ((net, net.model[0].weight), (software, plain[0])):
        inputs = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(model(inputs).sum(), inputs, create_graph=True)
        found.append(torch.autograd.grad(grad.square().sum(), (inputs, weight)))
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, rtol=1e-3, scale=1.0)


def test_second_derivatives_through_transposed_reads_are_refused() -> None:
    chip = Chip(FINE, rows=8, cols=8)
    layer = Linear(3, 2, chip=chip, name="fc", backward="array")
    x = torch.rand(2, 3, requires_grad=True)
    with pytest.raises(WeightOnChipError, match="no second derivatives"):
        torch.autograd.grad(layer(x).sum(), x, create_graph=True)


def test_gradient_hooks_of_placed_layers_are_refused_and_of_digital_ones_kept() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4))
    model[0].weight.register_hook(lambda grad: grad * 0)
    with pytest.raises(UnplaceableLayerError, match="its weight has gradient hooks: register them after deployment"):
        put(model)
    model, after = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4)), []
    model[1].weight.register_hook(lambda grad: grad * 0 + 7)
    model[1].bias.register_post_accumulate_grad_hook(lambda one: after.append(one))
    net = put(model)
    net(batch()).square().sum().backward()
    assert_close(net.model[1].weight.grad, torch.full((4,), 7.0), rtol=1e-6)
    assert after[0] is net.model[1].bias


@pytest.mark.parametrize(
    "options", [{}, {"dac": DAC(bits=9, v_max=0.2, signed=True)}, {"adc": ADC(bits=14, signed=True)}]
)
def test_inputs_have_the_dtype_of_the_chip(options: dict[str, Any]) -> None:
    net = put(nn.Sequential(nn.Linear(6, 4)), **options)
    before = net.chip.array.books.activity.n_reads
    for dtype in (torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64):
        with pytest.raises(OutOfRangeError, match=r"dtype of its chip, torch.float32, but has .*x.to\(torch.float32\)"):
            net(batch().to(dtype))
    assert net.chip.array.books.activity.n_reads == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_change_reads_nor_gradients(dtype: torch.dtype) -> None:
    x, found = batch(), []
    for enabled in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
        with torch.autocast("cpu", dtype, enabled=enabled):
            net = put(model)
            net(x).square().sum().backward()
        found.append([one for weight in net.chip_parameters() for one in (weight.detach(), weight.grad)])
    for plain, cast in zip(*found, strict=True):
        assert cast.dtype == torch.float32
        assert_close(cast, plain, rtol=1e-6, scale=1.0)


def test_autocast_casts_inputs_and_reads_in_full_precision() -> None:
    net = put(nn.Sequential(nn.Linear(6, 4)))
    plain = net(batch())
    with torch.autocast("cpu", torch.bfloat16):
        y = net(batch())
        half = net(batch().bfloat16())
        with pytest.raises(OutOfRangeError, match="dtype of its chip"):
            net(batch().long())
    assert torch.equal(y, plain)
    assert half.dtype == torch.float32
    assert_close(half, plain, rtol=1e-2, scale=1.0)


def test_a_network_that_was_used_in_inference_mode_can_be_trained() -> None:
    net = put(nn.Sequential(nn.Linear(6, 4)), 2)
    weight = net.chip_parameters()[0]
    matrix = weight.matrix
    with torch.inference_mode():
        net(batch())
        weight.refresh()
        values = weight.detach()
        assert not weight.is_inference()
    assert_close(values, matrix.readout(), rtol=1e-6, scale=1.0)
    x = batch().requires_grad_()
    net(x).square().sum().backward()
    assert weight.grad is not None
    assert not torch.is_inference_mode_enabled()


def test_deploy_under_no_grad_keeps_parameters_trainable() -> None:
    with torch.no_grad():
        net = put(nn.Sequential(nn.Linear(6, 4)))
    assert all(one.requires_grad for one in net.parameters())

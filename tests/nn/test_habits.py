"""What people do with torch models, before and after they are deployed: it works, or is refused with the remedy."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

import ohmweave as ow
from ohmweave.base import OutOfRangeError, UnplaceableLayerError, WeightOnChipError
from ohmweave.cells import LinearStep
from ohmweave.nn import Deployed, deploy, plan
from tests.helpers import assert_close
from tests.nn.noisy_chips import assert_same_chip, noisy, with_cells_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    pytest.mark.filterwarnings("ignore:.*weight_norm"),
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature"),
    pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
]

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def chip(n_chips: int | None = 3, dtype: torch.dtype = torch.float32) -> ow.Chip:
    return ow.Chip(FINE, n_arrays=20, rows=64, cols=64, n_chips=n_chips, dtype=dtype)


def deployed(model: nn.Module, n_chips: int | None = 3, **how: Any) -> Deployed:
    return deploy(model, chip(n_chips), write=ow.BlindWrite(g_step=FINE.g_step), **how)


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


class Twice(nn.Module):
    """One layer under two names, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(6, 6), nn.Linear(6, 3)
        self.second = self.first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.out(self.second(self.first(x).relu()))
        return y


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = layers()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = checkpoint(self.inside, x, use_reentrant=False)
        return y


class Stateful(nn.Module):
    """Keeps the states of two recurrent layers between calls."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.lstm, self.out = nn.GRUCell(6, 8), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 3)
        self.hidden: Any = None
        self.state: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.hidden = self.cell(x, self.hidden)
        y, state = self.lstm(self.hidden[:, None], self.state)
        self.state = tuple(one.detach() for one in state)
        found: torch.Tensor = self.out(y[:, 0])
        return found


def normalised() -> nn.Module:
    """Running statistics that matter."""
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model(3 * torch.randn(64, 6, generator=torch.Generator().manual_seed(2)) + 1)
    return model.eval()


def hooked() -> nn.Module:
    model = layers()
    model[0].register_forward_hook(lambda module, args, y: 2 * y)
    model.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    return model


def changed(change: Callable[[nn.Sequential], Any]) -> nn.Module:
    model = layers()
    change(model)
    return model


def pruned(module: nn.Sequential) -> None:
    prune.l1_unstructured(module[0], "weight", amount=0.3)


def pruned_for_good(module: nn.Sequential) -> None:
    pruned(module)
    prune.remove(module[0], "weight")


def materialised() -> nn.Module:
    model = nn.Sequential(nn.LazyLinear(3))
    model(X)
    return model


WORK: dict[str, Callable[[], nn.Module]] = {
    "a layer called twice": Twice,
    "checkpointed activations": Checkpointed,
    "running statistics in evaluation": normalised,
    "hooks": hooked,
    "pruned, made permanent": lambda: changed(pruned_for_good),
    "lazy, called once": materialised,
    "DataParallel without GPUs": lambda: nn.DataParallel(layers()),
    "weights in float64": lambda: layers().double(),
    "weights in bfloat16": lambda: layers().bfloat16(),
    "weights in half precision": lambda: layers().half(),
}


@pytest.mark.parametrize("n_chips", [None, 3])
@pytest.mark.parametrize("what", WORK)
def test_these_models_compute_as_torch_does(what: str, n_chips: int | None) -> None:
    model = WORK[what]()
    net = deployed(model, n_chips)
    with torch.no_grad():
        y, want = net(X), copy.deepcopy(model).float()(X)
    assert_close(y, want.expand(y.shape), rtol=2e-5, scale=float(want.abs().max()))


def test_weights_of_half_precision_are_written_with_the_precision_of_the_chip() -> None:
    """Microsiemens are subnormal in float16: the targets were rounded to 60 nS, 0.3 % of the window."""
    for dtype in (torch.float16, torch.bfloat16):
        model = layers().to(dtype)
        found = deployed(model, None).weights["0"].detach()
        assert_close(found, model[0].weight.detach().float(), rtol=1e-6, scale=0.4)


@pytest.mark.parametrize("n_chips", [None, 1, 3])
@torch.no_grad()
def test_a_model_that_keeps_its_state_between_calls(n_chips: int | None) -> None:
    """Each chip has a state of its own."""
    torch.manual_seed(0)
    model = Stateful()
    net, alone = deployed(model, n_chips), copy.deepcopy(model)
    for k in range(4):
        want = alone(X * (k + 1))
        y = net(X * (k + 1))
        assert y.shape == (() if n_chips is None else (n_chips,)) + want.shape
        assert_close(y, want.expand(y.shape), rtol=1e-5, scale=1.0)


@torch.no_grad()
def test_the_state_of_a_noisy_chip_is_its_own(same_noise: Callable[[int], None]) -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = Stateful().double()
    net, alone = (noisy(model, n, {}) for n in (4, 1))
    for one in (net, alone):
        one(x), one(x)  # the checks of both states of the model are done
    for k in range(4):
        with_cells_of(net, alone, k)
        for one in (net, alone):
            one.hidden = one.state = None
        same_noise(4)
        together = [net(x), net(x)]
        same_noise(1)
        for y in together:
            assert_same_chip(y[k], alone(x), 1)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "compiled": (lambda: torch.compile(layers()), r"compiled by `torch.compile`: .* give `model._orig_mod`"),
    "compiled inside": (lambda: nn.Sequential(torch.compile(layers())), r"'0' was compiled .*`model.0._orig_mod`"),
    "compiled in place": (lambda: changed(lambda one: one[0].compile()), r"'0' was compiled by `compile\(\)`"),
    "scripted": (lambda: torch.jit.script(layers()), "made by `torch.jit` .* deploy the model before it is scripted"),
    "traced": (lambda: torch.jit.trace(layers(), X), "made by `torch.jit` .* deploy the model before it is scripted"),
    "weight norm": (
        lambda: changed(lambda one: parametrizations.weight_norm(one[0])),
        "parametrized: make it permanent, with torch.nn.utils.parametrize.remove_parametrizations",
    ),
    "spectral norm": (
        lambda: changed(lambda one: parametrizations.spectral_norm(one[0])),
        "parametrized: make it permanent, with torch.nn.utils.parametrize.remove_parametrizations",
    ),
    "old weight norm": (lambda: changed(lambda one: nn.utils.weight_norm(one[0])), "torch.nn.utils.remove_weight_norm"),
    "pruned": (lambda: changed(pruned), "make it permanent first, .*prune.remove"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), "call the model once before it is deployed"),
    "quantised": (
        lambda: torch.ao.quantization.quantize_dynamic(layers(), {nn.Linear}, dtype=torch.qint8),
        r"it is quantised: deploy the model before, .*levels=15",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_these_models_are_refused_with_the_remedy(what: str) -> None:
    make, reason = REFUSED[what]
    one = chip()
    with pytest.raises(UnplaceableLayerError, match=reason):
        deploy(make(), one, write=ow.BlindWrite(g_step=FINE.g_step))
    assert not one.placed
    if not what.startswith(("compiled", "scripted", "traced")):
        with pytest.raises(UnplaceableLayerError, match=reason):
            plan(make(), one).check()


def test_a_quantised_layer_next_to_others_is_not_silently_digital() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv1d(6, 4, 1), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv(x[..., None])[..., 0])

    model = torch.ao.quantization.quantize_dynamic(Mixed(), {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(UnplaceableLayerError, match=r"fc .*quantised"):
        deployed(model)
    assert deployed(model, None, digital=["fc"]).on_chip == ("conv",)


def test_a_digital_layer_that_is_pruned_cannot_be_copied_and_says_so() -> None:
    with pytest.raises(
        UnplaceableLayerError, match=r"cannot be copied: 0.weight was computed with gradients. .*prune.remove"
    ):
        deployed(changed(pruned), digital=["0"])


def _saved(net: Deployed) -> dict[str, torch.Tensor]:
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    found: dict[str, torch.Tensor] = torch.load(file, weights_only=True)
    return found


ON_A_NETWORK: dict[str, tuple[Callable[[Deployed], Any], type[Exception] | None, str]] = {
    "deepcopy": (copy.deepcopy, WeightOnChipError, "deploy the model again, or use `ohmweave.save`"),
    "copy": (copy.copy, WeightOnChipError, "`ohmweave.save"),
    "pickle": (pickle.dumps, WeightOnChipError, "`ohmweave.save"),
    "torch.save of the network": (lambda net: torch.save(net, io.BytesIO()), WeightOnChipError, "`ohmweave.save"),
    "torch.save of its state": (_saved, None, ""),
    "load_state_dict": (lambda net: net.load_state_dict(_saved(net)), WeightOnChipError, "`ohmweave.load"),
    "load_state_dict of the model": (
        lambda net: net.model.load_state_dict(layers().state_dict()),
        WeightOnChipError,
        "`ohmweave.load",
    ),
    "load_state_dict of a layer": (
        lambda net: net[0].load_state_dict(layers()[0].state_dict()),
        WeightOnChipError,
        "`layer.program",
    ),
    "to another dtype": (lambda net: net.to(torch.float64), WeightOnChipError, "make the chip with the `dtype`"),
    "half": (lambda net: net.half(), WeightOnChipError, "make the chip with the `dtype`"),
    "to the same place": (lambda net: net.to("cpu").float(), None, ""),
    "SGD": (lambda net: _step(net, torch.optim.SGD), WeightOnChipError, "a rule of `ohmweave.optim`"),
    "Adam": (lambda net: _step(net, torch.optim.Adam), WeightOnChipError, "a rule of `ohmweave.optim`"),
    "apply": (lambda net: net.apply(lambda module: None), None, ""),
    "apply of an initialisation": (
        lambda net: net[0].apply(lambda module: nn.init.zeros_(module.weight)),
        WeightOnChipError,
        "a rule of `ohmweave.optim`",
    ),
    "train, eval, zero_grad, requires_grad_": (
        lambda net: (net.train(), net.eval(), net.zero_grad(), net.requires_grad_(False)),
        None,
        "",
    ),
    "functional_call with its own": (
        lambda net: torch.func.functional_call(net, dict(net.named_parameters()), (X,)),
        None,
        "",
    ),
    "functional_call": (
        lambda net: torch.func.functional_call(net, {"model.0.weight": torch.zeros(3, 8, 6)}, (X,)),
        WeightOnChipError,
        "deploy the changed model",
    ),
    "jit.script": (torch.jit.script, WeightOnChipError, "script the model before it is deployed"),
    "jit.trace": (lambda net: torch.jit.trace(net, X), WeightOnChipError, "trace the model itself"),
    "vmap": (lambda net: torch.func.vmap(net)(X[:, None]), WeightOnChipError, "call it on ordinary tensors"),
    "averaged copies": (torch.optim.swa_utils.AveragedModel, WeightOnChipError, "deploy the model again"),
    "clip_grad_norm_": (
        lambda net: (net(X).sum().backward(), nn.utils.clip_grad_norm_(net.parameters(), 1.0)),
        None,
        "",
    ),
    "an input of another dtype": (
        lambda net: net(X.double()),
        OutOfRangeError,
        r"convert it with `x.to\(torch.float32\)`",
    ),
    "a layer by its number": (lambda net: net[2].out_features == 3 or 1 / 0, None, ""),
}


def _step(net: Deployed, kind: Any) -> None:
    rule = kind(net.parameters(), lr=0.1)
    net(X).square().sum().backward()
    rule.step()


@pytest.mark.parametrize("what", ON_A_NETWORK)
def test_what_people_do_with_a_deployed_network(what: str) -> None:
    """The cells stay as they are in any case."""
    do, error, reason = ON_A_NETWORK[what]
    net = deployed(layers())
    before = net.matrix("0").readout()
    if error is None:
        do(net)
    else:
        with pytest.raises(error, match=reason):
            do(net)
    assert torch.equal(net.matrix("0").readout(), before)
    assert net(X).shape == (3, 5, 3)


def test_gradients_of_several_batches_add_up() -> None:
    model, net = layers(), deployed(layers())
    for part in (X[:2], X[2:]):
        net(part).square().sum().backward()
    model(X).square().sum().backward()
    want = model[0].weight.grad
    assert_close(net.weights["0"].grad, want.expand(3, *want.shape), rtol=1e-5, scale=float(want.abs().max()))


def test_gradients_pass_through_checkpoints() -> None:
    model = Checkpointed()
    net = deployed(model)
    for one in (net, model):
        one(X).square().sum().backward()
    want = model.inside[0].weight.grad
    assert_close(net.weights["inside.0"].grad, want.expand(3, *want.shape), rtol=1e-5, scale=float(want.abs().max()))


def test_modes_without_gradients() -> None:
    net, want = deployed(layers()), layers()(X)
    with torch.inference_mode():
        first = net(X)
    with torch.no_grad():
        second = net(X)
    third = net(X)
    assert (first.requires_grad, second.requires_grad, third.requires_grad) == (False, False, True)
    for y in (first, second, third):
        assert_close(y.detach(), want.detach().expand(y.shape), rtol=1e-5, scale=1.0)
    third.sum().backward()


@pytest.mark.parametrize("convolution", [nn.Conv2d(1, 2, 3, bias=False), nn.ConvTranspose2d(1, 2, 3, bias=False)])
@pytest.mark.parametrize("n_chips", [None, 2])
def test_a_function_that_changes_its_input_follows_a_convolution_without_bias(convolution, n_chips):
    model = nn.Sequential(convolution, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(3))
    x = torch.rand(4, 1, 8, 8)
    model(x)
    chip = ow.Chip(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6, levels=4097), n_arrays=8, rows=512, n_chips=n_chips)
    net = ow.deploy(model, chip, write=ow.BlindWrite(g_step=18e-6 / 4096))
    net.loss(nn.functional.cross_entropy, net(x), torch.zeros(4, dtype=torch.int64)).backward()
    software = torch.autograd.grad(
        nn.functional.cross_entropy(model(x), torch.zeros(4, dtype=torch.int64)), model[0].weight
    )[0]
    grad = net.weights["0"].grad
    # Kernels lie on the chip in another order.
    one = (grad if n_chips is None else grad[0]).flatten().sort().values
    assert_close(one, software.flatten().sort().values, rtol=0.02, scale=float(software.abs().max()))

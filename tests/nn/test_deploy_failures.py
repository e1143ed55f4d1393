"""A deploy that fails leaves nothing behind and says what was done; a deploy that works loses nothing."""

import functools
from typing import Any

import pytest
import torch
from torch import nn

from ohmweave.arrays import SimulatedArray
from ohmweave.base import ChipFullError, DeployError, OutOfRangeError, UnplaceableLayerError, WeightOnChipError
from ohmweave.cells import Cell, LinearStep, Relaxation
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling
from ohmweave.nn import DeployInterrupted, Linear, OnChip, calibrate_inputs, deploy
from ohmweave.programming import BlindWrite, CompensatedWrite, WriteVerify
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=1000)
VERIFY = WriteVerify(tolerance=0.1e-6, max_pulses=2000)
EXACT = BlindWrite(g_step=FINE.g_step)


class Failing(SimulatedArray):
    """A driver whose pulses fail after some calls."""

    n_left, error = 10**9, RuntimeError

    def pulse(self, cells: Any, pulse: Any) -> None:
        if self.n_left == 0:
            raise self.error("the relay is open")
        self.n_left -= 1
        super().pulse(cells, pulse)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def chip(**options: Any) -> Chip:
    return Chip(FINE, rows=16, cols=16, **options)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("n_calls", [3, 1200])
def test_a_driver_that_raises_leaves_no_placement_and_its_report(error: Any, n_calls: int) -> None:
    array = Failing(FINE, rows=16, cols=16)
    one = Chip(array=array)
    array.n_left, array.error = n_calls, error
    with pytest.raises(
        DeployError if error is RuntimeError else DeployInterrupted, match="nothing stays placed"
    ) as stopped:
        deploy(model(), one, write=VERIFY)
    reports = stopped.value.reports
    assert one.placed == {}
    assert one.n_taken == 0
    assert (
        sum(int(report.n_pulses.sum()) for report in reports.values())
        == array.books.activity.n_set + array.books.activity.n_reset
    )
    assert sum(int(report.n_reads.sum()) for report in reports.values()) == array.books.activity.n_readouts - 2 * (
        12 + 6
    )
    assert list(reports) == (["0"] if n_calls == 3 else ["0", "2"])
    assert reports["0"].n_failed == (0 if n_calls == 1200 else int((~reports["0"].converged).sum()))
    array.n_left = 10**9
    net = deploy(model(), one, write=VERIFY)  # the next one works
    assert net.on_chip == ("0", "2")


def nan_in_the_second(software: nn.Sequential) -> None:
    with torch.no_grad():
        software[2].weight[1, 1] = float("nan")


def inf_in_a_bias(software: nn.Sequential) -> None:
    with torch.no_grad():
        software[2].bias[0] = float("inf")


@pytest.mark.parametrize("spoil", [nan_in_the_second, inf_in_a_bias])
def test_weights_that_are_not_finite_send_no_pulse(spoil: Any) -> None:
    software, one = model(), chip()
    spoil(software)
    with pytest.raises(OutOfRangeError, match=r"'2' must be finite"):
        deploy(software, one, write=EXACT)
    assert one.placed == {}
    assert (one.array.books.activity.n_set, one.array.books.activity.n_reset) == (0, 0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"layers": {"2": OnChip(mapping=DifferentialPair(g_low=30e-6))}}, OutOfRangeError),
        ({"layers": {"2": OnChip(arrays=(7,))}}, OutOfRangeError),
        ({"layers": {"2": OnChip(corners=[(0, 15, 15)])}}, ChipFullError),
        ({"write": None}, OutOfRangeError),
        ({"layers": {"2": OnChip(scaling=lambda: 3)}}, OutOfRangeError),  # type: ignore[arg-type, return-value]
    ],
)
def test_bad_options_leave_the_chip_empty_and_untouched(options: dict[str, Any], error: Any) -> None:
    one = chip()
    with pytest.raises(error):
        deploy(model(), one, **({"write": EXACT} | options))
    assert one.placed == {}
    assert (one.array.books.activity.n_set, one.array.books.activity.n_reset) == (0, 0)


def test_one_wait_for_all_layers_the_longest() -> None:
    relaxing = Cell(FINE, retention=Relaxation(sigma_fast=1e-7))
    one = Chip(relaxing, rows=16, cols=16)
    waits: list[float] = []
    wait = one.array.wait
    one.array.wait = lambda duration: (waits.append(duration), wait(duration))[1]  # type: ignore[method-assign]
    slow = BlindWrite(g_step=FINE.g_step, t_settle=3.0)
    net = deploy(model(), one, write=WriteVerify(tolerance=1e-7, t_settle=1.0), layers={"2": OnChip(write=slow)})
    assert waits == [3.0]
    assert not net.model[0].weight.is_stale
    deploy(model(), one, write=CompensatedWrite(write=slow, wires=_no_wires()), name="other")
    assert waits == [3.0, 3.0]


def _no_wires() -> Any:
    from ohmweave.circuit import Wires

    return Wires(r_row=1e-3, r_col=1e-3)


def test_two_models_on_one_chip() -> None:
    one, x = chip(n_arrays=2), torch.rand(5, 4)
    first, second = (deploy(model(), one, write=EXACT, name=name) for name in ("a", "b"))
    assert sorted(one.placed) == ["a.0", "a.2", "b.0", "b.2"]
    assert first.on_chip == second.on_chip == ("0", "2")
    assert_close(first(x), second(x), rtol=1e-2, scale=1.0)
    with pytest.raises(OutOfRangeError, match=r"'a\.0' is placed already"):
        deploy(model(), one, write=EXACT, name="a")
    assert len(one.placed) == 4


def test_hooks_buffers_attributes_and_frozen_parameters_are_kept() -> None:
    software = model().eval()
    calls: list[str] = []
    software[0].register_forward_hook(lambda module, args, output: output + 1)
    software[0].register_forward_pre_hook(lambda module, args: (args[0] * module.gain,))
    software[0].register_forward_hook(lambda module, args, kwargs, output: calls.append("kwargs"), with_kwargs=True)
    software[2].register_full_backward_hook(lambda module, grad_in, grad_out: calls.append("backward"))
    software[0].register_buffer("gain", torch.tensor(2.0))
    software[0].register_buffer("scratch", torch.zeros(1), persistent=False)
    software[0].tag = "first"
    software[0].weight.requires_grad_(False)
    software[2].bias.requires_grad_(False)
    software[2].train()
    net = deploy(software, chip(), write=EXACT)
    x = torch.rand(5, 4)
    assert_close(net(x), software(x), rtol=1e-2, scale=1.0)
    calls.clear()
    net(x).sum().backward()
    assert calls == ["kwargs", "backward"]
    assert (net.model[0].tag, net.model[0].training, net.model[2].training) == ("first", False, True)
    assert [name for name, one in net.model.named_parameters() if not one.requires_grad] == ["0.weight", "2.bias"]
    assert "0.gain" in net.model.state_dict()
    assert "0.scratch" not in net.model.state_dict()


def normed(how: Any) -> nn.Sequential:
    software = model()
    how(software[2])
    return software


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")  # torch wants its new way used
@pytest.mark.parametrize(
    ("software", "named"),
    [
        (lambda: normed(nn.utils.weight_norm), r"2 \(Linear: weight is no parameter.*remove_weight_norm"),
        (lambda: normed(nn.utils.spectral_norm), r"2 \(Linear: weight is no parameter.*remove_spectral_norm"),
        (
            lambda: normed(nn.utils.parametrizations.weight_norm),
            r"2 \(ParametrizedLinear: its weight is parametrized",
        ),
        (
            lambda: normed(lambda layer: layer.register_parameter("gain", nn.Parameter(torch.ones(1)))),
            "'gain' of its own",
        ),
        (lambda: normed(lambda layer: layer.add_module("inner", nn.ReLU())), "modules inside"),
        (lambda: normed(lambda layer: setattr(layer, "forward", torch.relu)), "its forward function was replaced"),
    ],
)
def test_what_would_be_lost_is_refused_by_name(software: Any, named: str) -> None:
    with pytest.raises(UnplaceableLayerError, match=named):
        deploy(software(), chip(), write=EXACT)


class SecondReferences(nn.Module):
    """The same layer in a list, a dict, a tuple, a partial and as an attribute of another module."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.fc, self.way = nn.Linear(4, 4), way
        self.many = [self.fc]
        self.named = {"fc": self.fc}
        self.pair = (self.fc, 1)
        self.later = functools.partial(self.fc)
        self.other = nn.ReLU()
        self.other.__dict__["hidden"] = self.fc
        self.bound = self.fc.__call__

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layer = {
            "list": self.many[0],
            "dict": self.named["fc"],
            "tuple": self.pair[0],
            "partial": self.later,
            "attribute": self.other.hidden,
            "method": self.bound,
        }[self.way]
        y: torch.Tensor = layer(x)
        return y


@pytest.mark.parametrize("way", ["list", "dict", "tuple", "partial", "attribute", "method"])
def test_second_references_reach_the_array(way: str) -> None:
    net = deploy(SecondReferences(way), chip(), write=EXACT)
    before = net.chip.array.books.activity.n_reads
    net(torch.rand(5, 4))
    assert net.chip.array.books.activity.n_reads == before + 5


class Closure(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.call = lambda x: self.fc(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.call(x)
        return y


class Unregistered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.rest = nn.Linear(4, 4), [nn.Linear(4, 4)]


class TiedParameters(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.fc = nn.Embedding(5, 4), nn.Linear(4, 5)
        self.fc.weight = self.embedding.weight


@pytest.mark.parametrize(
    ("software", "named"),
    [
        (Closure, "call of the model itself has a layer of the model"),
        (Unregistered, "rest of the model itself holds a Linear that torch does not register"),
        (TiedParameters, "embedding.weight, fc.weight are one tied parameter"),
    ],
)
def test_what_would_compute_past_the_array_is_refused(software: Any, named: str) -> None:
    with pytest.raises(UnplaceableLayerError, match=named):
        deploy(software(), chip(), write=EXACT, digital=["embedding"] if software is TiedParameters else [])


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.fc.weight, self.fc.bias)


def test_a_weight_used_past_its_layer_raises() -> None:
    with pytest.raises(WeightOnChipError, match="would pass by the array"):
        deploy(Functional(), chip(), write=EXACT)(torch.rand(2, 4))


def test_the_replaced_layer_itself_raises() -> None:
    from ohmweave.nn.references import replace_everywhere

    old, new = nn.Linear(2, 2), Linear(2, 2, chip=chip(), name="fc")
    assert replace_everywhere(old, {old: new}, {old: "fc"}) is new
    for use in (lambda: old(torch.ones(1, 2)), lambda: old.weight):
        with pytest.raises(WeightOnChipError, match=r"called past the chip.*'fc'"):
            use()


def test_a_scaling_given_as_an_object_is_copied_for_each_layer() -> None:
    scaling = FixedScaling(1e-3)
    net = deploy(model(), chip(), write=EXACT, scaling=scaling)
    calibrate_inputs(net, 3 * torch.rand(5, 4))
    assert scaling.x_max == 1e-3
    assert net.matrix("0").scaling is not net.matrix("2").scaling


def test_attributes_are_set_on_the_model() -> None:
    software = model()
    software.temperature = 1.0
    net = deploy(software, chip(), write=EXACT)
    net.temperature = 2.0
    assert net.model.temperature == 2.0
    net.anything = 3
    assert not hasattr(net.model, "anything")


def test_nothing_is_made_on_a_default_device() -> None:
    one, software, x = chip(n_chips=2), model(), torch.rand(5, 4)
    target = torch.tensor([0, 1, 0, 1, 0])
    from ohmweave.optim import ThresholdedWriteVerify

    torch.set_default_device("meta")
    try:
        net = deploy(software, one, write=VERIFY)
        rule = ThresholdedWriteVerify(net.chip_parameters(), lr=1e-5, threshold=0.0, write=VERIFY)
        net.loss(nn.functional.cross_entropy, net(x), target).backward()
        rule.step()
        y = net(x)
    finally:
        torch.set_default_device(None)
    assert y.device.type == "cpu"
    assert bool(torch.isfinite(y).all())

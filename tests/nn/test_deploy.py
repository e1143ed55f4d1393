"""`deploy`: what goes on the chip, what is refused, and that nothing is skipped silently."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from ohmweave.base import ChipFullError, OutOfRangeError, UnplaceableLayerError, generator
from ohmweave.cells import Cell, LinearStep, Relaxation
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, PerSampleScaling
from ohmweave.nn import ArrayWeight, Conv2d, Deployed, Linear, OnChip, calibrate_inputs, deploy
from ohmweave.programming import BlindWrite, WriteVerify
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**20)
EXACT = BlindWrite(g_step=FINE.g_step)


def chip(n_chips: int | None = None, device: Any = FINE, **changes: Any) -> Chip:
    return Chip(device, **({"n_arrays": 4, "rows": 64, "cols": 64, "n_chips": n_chips} | changes))


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 4, 3, padding=1, stride=2),
            norm=nn.BatchNorm2d(4),
            relu=nn.ReLU(),
            flat=nn.Flatten(),
            fc=nn.Linear(64, 5),
        )
    ).eval()


def images(n: int = 6) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=generator(0))


@pytest.mark.parametrize("n_chips", [None, 1, 3])
def test_the_network_on_chips_is_the_network(n_chips: int | None) -> None:
    software = model()
    net = deploy(software, chip(n_chips), write=EXACT)
    y = net(images())
    chips = () if n_chips is None else (n_chips,)
    assert y.shape == (*chips, 6, 5)
    assert_close(y, software(images()).expand(y.shape), rtol=1e-3, scale=1.0)
    assert net.on_chip == ("conv", "fc")
    assert net.digital == ("norm",)
    assert set(net.reports) == {"conv", "fc"}
    assert net.reports["fc"].converged.shape == (*chips, 64, 10)


def test_the_model_is_copied_not_changed() -> None:
    software = model()
    before = {name: leaf.clone() for name, leaf in software.state_dict().items()}
    net = deploy(software, chip(), write=EXACT)
    assert type(software.fc) is nn.Linear
    assert isinstance(net.fc, Linear)  # the model's names are the network's
    assert isinstance(net.conv, Conv2d)
    with torch.no_grad():
        for parameter in net.digital_parameters():
            parameter.zero_()
    for weight in net.chip_parameters():
        weight.matrix.program(torch.zeros(weight.matrix.shape), EXACT)
    assert all(torch.equal(leaf, before[name]) for name, leaf in software.state_dict().items())
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = net.nothing_like_it


def test_a_model_that_is_one_layer() -> None:
    software = nn.Linear(4, 3)
    net = deploy(software, chip(2), write=EXACT)
    x = torch.rand(5, 4, generator=generator(0))
    assert isinstance(net.model, Linear)
    assert isinstance(net.model.weight, ArrayWeight)
    assert_close(net(x), software(x).expand(2, 5, 3), rtol=1e-3, scale=1.0)
    net.refresh()


class Tied(nn.Module):
    """One layer under two names, as tied weights are."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = self.first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.again(torch.relu(self.first(x)))


def test_a_layer_with_two_names_is_on_the_chip_under_both() -> None:
    net = deploy(Tied(), chip(), write=EXACT)
    assert isinstance(net.first, Linear)
    assert net.again is net.first
    assert net.chip.n_taken == 4 * 8


def test_trainable_state_and_optimizer_see_torch_parameters() -> None:
    net = deploy(model(), chip(2), write=EXACT)
    names = dict(net.named_parameters())
    assert set(names) == {
        f"model.{one}" for one in ("conv.weight", "conv.bias", "norm.weight", "norm.bias", "fc.weight", "fc.bias")
    }
    assert names["model.fc.weight"].shape == (2, 5, 64)
    assert names["model.conv.weight"].shape == (2, 4, 1, 3, 3)
    net(images()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in names.values())
    assert "model.fc.weight" in net.state_dict()


def test_options_layer_by_layer() -> None:
    special = OnChip(
        mapping=DifferentialPair(levels=3, copies=(1, 2)),
        scaling=lambda: FixedScaling(7.0),
        tile_rows=16,
        arrays=(3,),
        write=WriteVerify(tolerance=4e-6),
    )
    net = deploy(
        model(),
        chip(),
        write=EXACT,
        mapping=DifferentialPair(lines="rows"),
        layers={"fc": special},
    )
    fc, conv = net.fc.matrix, net.conv.matrix
    assert (fc.mapping.copies, conv.mapping.lines) == ((1, 2), "rows")
    assert isinstance(fc.scaling, FixedScaling)
    assert fc.scaling.x_max == 7.0
    assert isinstance(conv.scaling, PerSampleScaling)
    assert [tile.rows for tile in fc.placement.tiles] == [16] * 4
    assert {tile.array for tile in fc.placement.tiles} == {3}
    assert int(net.reports["fc"].n_reads.max()) > 2  # verified, not blind
    assert int(net.reports["conv"].n_reads.max()) == 2


def test_digital_layers_stay_and_are_listed() -> None:
    software = model()
    net = deploy(software, chip(), write=EXACT, digital=["conv"])
    assert net.on_chip == ("fc",)
    assert net.digital == ("conv", "norm")
    assert type(net.conv) is nn.Conv2d


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.bag = nn.EmbeddingBag(4, 4)
        self.scale = nn.Parameter(torch.ones(1))


def test_what_cannot_be_placed_is_refused_by_name_all_at_once() -> None:
    one = chip()
    with pytest.raises(UnplaceableLayerError) as refused:
        deploy(Odd(), one, write=EXACT)
    for name in (
        "the model itself (Odd: scale is a parameter of no layer that is known)",
        "bag (EmbeddingBag: no layer on a chip computes it)",
        "`digital=('scale', 'bag')`",
        "`digital`",
    ):
        assert name in str(refused.value)
    assert "fc" not in str(refused.value)
    assert one.n_taken == 0
    with pytest.raises(UnplaceableLayerError, match="no layer to put on a chip"):
        deploy(nn.ReLU(), one, write=EXACT)


@pytest.mark.parametrize("argument", ["layers", "digital"])
def test_names_that_are_not_there(argument: str) -> None:
    given = {"fv": OnChip()} if argument == "layers" else ["fv"]
    with pytest.raises(OutOfRangeError, match=f"`{argument}` must name layers of the model, .* but has 'fv'"):
        deploy(model(), chip(), write=EXACT, **{argument: given})  # type: ignore[arg-type]


def test_options_for_a_layer_that_does_not_go_on_the_chip() -> None:
    for software, name, digital in ((model(), "relu", []), (model(), "fc", ["fc"])):
        with pytest.raises(OutOfRangeError, match=f"`layers` .*'{name}'"):
            deploy(software, chip(), write=EXACT, layers={name: OnChip()}, digital=digital)


def test_a_network_that_does_not_fit_leaves_the_chip_as_it_was() -> None:
    small = chip(n_arrays=1, rows=64, cols=10)
    with pytest.raises(ChipFullError, match="no room for 'fc'"):
        deploy(model(), small, write=EXACT)
    assert small.n_taken == 0
    assert small.array.books.activity.n_set + small.array.books.activity.n_reset == 0
    deploy(model(), chip(), write=EXACT)


def test_weights_are_read_out_again_once_time_has_passed() -> None:
    net = deploy(model(), chip(device=Cell(FINE, retention=Relaxation(sigma_fast=1e-6))), write=EXACT)
    before = net.fc.weight.detach().clone()
    assert torch.equal(net.fc.weight, before)
    net.chip.wait(10.0)
    assert net.fc.weight.is_stale
    moved = (net.fc.weight - before) * net.fc.matrix.g_per_w
    assert_close(moved.std(), 2**0.5 * 1e-6, rtol=5 / 640**0.5)


def test_calibration_sets_scales_in_the_order_of_the_layers() -> None:
    software = model()
    net = deploy(software, chip(), write=EXACT, scaling=lambda: FixedScaling(1e-3))
    x = images() * 3
    calibrate_inputs(net, x)
    assert_close(net.conv.matrix.scaling.x_max, x.max(), rtol=1e-6)
    features = nn.Sequential(*list(software)[:-1])(x)
    assert_close(net.fc.matrix.scaling.x_max, features.abs().max(), rtol=1e-3)
    assert not net.fc._forward_pre_hooks
    calibrate_inputs(net, x, quantile=0.5)
    assert net.conv.matrix.scaling.x_max < float(x.max())


def test_calibration_leaves_other_scalings_alone() -> None:
    net = deploy(model(), chip(), write=EXACT)
    calibrate_inputs(net, images())
    assert isinstance(net.fc.matrix.scaling, PerSampleScaling)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor, *, right: bool = False) -> torch.Tensor:
        return self.right(x) if right else self.left(x)


def test_arguments_reach_the_model() -> None:
    software = Branches()
    net = deploy(software, chip(2), write=EXACT, scaling=lambda: FixedScaling(1e-3))
    x = torch.rand(4, 3, generator=generator(0)) * 2
    calibrate_inputs(net, x, right=True)  # no warning of `left`: further arguments may choose what is read
    assert net.left.matrix.scaling.x_max == 1e-3
    assert_close(net(x, right=True), software(x, right=True).expand(2, 4, 2), rtol=1e-3, scale=1.0)


def test_a_deployed_network_is_a_module() -> None:
    net = deploy(model(), chip(), write=EXACT)
    assert isinstance(net, Deployed)
    assert not net.eval().training
    assert "  fc     Linear       chip       640" in repr(net)


def test_a_deployed_network_prints_what_is_where() -> None:
    software = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4))
    first, heads, layer, digital = repr(deploy(software, chip(2), write=EXACT, name="a")).splitlines()
    assert first.startswith("Deployed Sequential on 2 chips, each of ")
    assert first.endswith(" cells, 48 taken on each")
    assert heads.split() == ["layer", "kind", "on", "cells", "tiles", "arrays", "note"]
    assert layer.split() == ["0", "Linear", "chip", "48", "1", "1", *["placed", "as", "'a.0',", "bias", "digital"]]
    assert digital.split() == ["1", "BatchNorm1d", "digital"]


@pytest.mark.parametrize("n_chips", [None, 2])
@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
def test_a_digital_layer_of_another_dtype_is_named(norm: type[nn.Module], n_chips: int | None) -> None:
    software = nn.Sequential(nn.Linear(6, 4), norm(4))
    net = deploy(software, chip(n_chips, dtype=torch.float64), write=EXACT)
    x = torch.rand(3, 6, generator=generator(0), dtype=torch.float64)
    with pytest.raises(OutOfRangeError, match=r"layer '1' has torch.float32, but the chip computes in torch.float64"):
        net(x)
    fits = deploy(software.double(), chip(n_chips, dtype=torch.float64), write=EXACT)
    assert fits(x).dtype == torch.float64


def test_a_printout_counts_unconverged_cells_on_all_chips() -> None:
    software = torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False))
    strict = WriteVerify(tolerance=1e-12, max_pulses=1)
    for n_chips, on_all in ((3, " on 3 chips"), (None, "")):
        with pytest.warns(UserWarning, match="did not converge"):
            net = deploy(software, chip(n_chips), write=strict)
        first, _, layer = repr(net).splitlines()
        assert first.endswith("48 taken" + (" on each" if n_chips else ""))
        assert layer.endswith(f"  {net.reports['0'].n_failed} cells not converged{on_all}")

"""`plan`: the table before anything is written, refusals with the argument that helps, and classes opted in."""

from typing import Any

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.base import OutOfRangeError, UnplaceableLayerError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import LayerRow, OnChip, deploy, plan
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close
from tests.nn.networks import LanguageModel, MobileNet, ViT

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
EXACT = BlindWrite(g_step=FINE.g_step)


def chip(n_arrays: int = 24, n_chips: int | None = None) -> Chip:
    return Chip(FINE, n_arrays=n_arrays, rows=64, cols=64, n_chips=n_chips, dtype=torch.float64)


def row_of(planned: ow.nn.Plan, name: str) -> LayerRow:
    (found,) = [row for row in planned.rows if row.name == name]
    return found


def test_a_plan_is_what_deploy_does() -> None:
    model, options = (
        MobileNet().double().eval(),
        {"mapping": DifferentialPair(copies=(1, 2)), "digital": ["features.1"]},
    )
    one = chip(n_chips=2)
    one.place("taken", (10, 10))
    planned = plan(model, one, **options)  # type: ignore[arg-type]
    assert one.n_taken == 100
    assert one.array.books.activity.n_reads == one.array.books.activity.n_readouts == 0
    net = deploy(model, one, write=EXACT, **options)  # type: ignore[arg-type]
    on_chip = {row.name: row for row in planned.rows if row.on == "chip"}
    assert tuple(on_chip) == net.on_chip
    for name, row in on_chip.items():
        placement = net.matrix(name).placement
        arrays = {tile.array for tile in placement.tiles}
        assert (row.n_cells, row.n_tiles, row.n_arrays) == (
            placement.cells.numel(),
            len(placement.tiles),
            len(arrays),
        )
    assert planned.n_cells == one.n_taken - 100
    assert {row.name for row in planned.rows if row.on == "digital"} == set(net.digital)
    assert planned.fits
    assert planned.share_on_chip is None


def test_macs_are_those_of_the_layers_and_of_products_of_activations() -> None:
    """Against a count by hand."""
    model = ViT().double().eval()
    planned = plan(
        model, chip(), torch.zeros(2, 3, 8, 8, dtype=torch.float64), digital=("cls_token", "position", "*.gamma")
    )
    n, time = 2, 5
    assert row_of(planned, "patches").macs == n * 4 * 16 * 48
    assert row_of(planned, "blocks.0.attention.qkv").macs == n * time * 16 * 48
    assert row_of(planned, "head").macs == n * 16 * 10
    layers = n * 4 * 16 * 48 + 2 * n * time * (16 * 48 + 16 * 16 + 2 * 16 * 32) + n * 160
    products = 2 * n * 2 * time * time * 16  # two blocks; queries with keys, weights with values
    assert planned.macs == layers + products
    assert_close(torch.tensor(planned.share_on_chip), torch.tensor(layers / (layers + products)), rtol=1e-6)
    depthwise = plan(nn.Conv2d(6, 12, 3, groups=6), chip(), torch.zeros(2, 6, 5, 4))
    assert depthwise.macs == row_of(depthwise, "").macs == 2 * 12 * 3 * 2 * 9


def test_the_model_is_as_it_was() -> None:
    model = MobileNet().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan(model, chip(), torch.rand(2, 3, 16, 16, generator=generator(0)))
    plan(model, chip(), (torch.rand(2, 3, 16, 16, generator=generator(0)),))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_does_not_fit_and_how_many_arrays_it_would_take() -> None:
    model = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 64), nn.Linear(64, 16))
    planned = plan(model, chip(n_arrays=1))  # 64 x 64, 32 x 128 and 64 x 32 cells
    assert not planned.fits
    assert planned.n_arrays == 3  # the second has two tiles of 32 x 64, which fill an array
    assert row_of(planned, "0").note == ""
    assert row_of(planned, "1").note == "does not fit: 1 further array"
    assert (planned.n_arrays_here, planned.n_arrays_missing) == (1, 2)
    assert "does not fit: it takes 3 arrays, of which 2 are not on this chip" in repr(planned)
    assert plan(model, chip(n_arrays=3)).fits
    assert not plan(model, chip(n_arrays=2)).fits
    pinned = plan(model, chip(n_arrays=3), layers={"1": OnChip(arrays=(0,))})
    assert row_of(pinned, "1").note.startswith("does not fit")


def test_the_table() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    text = repr(plan(model, chip(n_chips=2), torch.zeros(5, 1, 4, 4))).splitlines()
    assert text == [
        "Plan of Sequential on 2 chips, each of 24 arrays of 64 x 64 cells, 0 taken",
        "  layer  kind         on       cells  tiles  arrays  MACs  note",
        "  0      Conv2d       chip        36      1       1   360",
        "  1      BatchNorm2d  digital                              no matrix",
        "  3      Linear       chip        48      1       1   120",
        "  2 layers and 84 cells on 1 of 24 arrays of the chip, biases digital; 1.000 of 480 MACs on the chip",
    ]
    long = repr(plan(nn.Sequential(*(nn.Linear(2, 2) for _ in range(50))), chip())).splitlines()
    assert long[-2] == "  and 10 more"


class Unchanged(nn.Linear):
    """A subclass that computes as a linear layer does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


class Standardised(nn.Conv2d):
    """A convolution with standardised weights, which its class does not show."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, self.standardised(), self.bias)

    def standardised(self) -> torch.Tensor:
        return self.weight - self.weight.mean((1, 2, 3), keepdim=True)


class Transposed(nn.Module):
    """A linear layer with its weight transposed, as GPT-2 has."""

    def __init__(self, n_out: int, n_in: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(n_in, n_out)), nn.Parameter(torch.randn(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


def linear_of(module: Any) -> nn.Linear:
    layer = nn.Linear(*module.weight.shape)
    layer.weight, layer.bias = nn.Parameter(module.weight.detach().T), module.bias
    return layer


def conv_of(module: Any) -> nn.Conv2d:
    layer = nn.Conv2d(module.in_channels, module.out_channels, module.kernel_size)
    layer.weight, layer.bias = nn.Parameter(module.standardised().detach()), module.bias
    return layer


def others() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (Standardised(3, 4, 3), nn.Flatten(), Unchanged(16, 5), Transposed(6, 5))
    return nn.Sequential(*layers).double().eval()


def test_classes_are_refused_unless_they_are_opted_in() -> None:
    with pytest.raises(UnplaceableLayerError) as refused:
        deploy(others(), chip(), write=EXACT)
    for text in (
        "0 (Standardised: a subclass of Conv2d, whose forward may compute something else)",
        "2 (Unchanged: a subclass of Linear",
        "3 (Transposed: 3.weight, 3.bias are parameters of no layer that is known)",
        "`as_known={Standardised: torch.nn.Conv2d, Unchanged: torch.nn.Linear, Transposed: function",
        "`digital=('0', '2', '3.weight', '3.bias')`",
    ):
        assert text in str(refused.value)
    planned = plan(others(), chip())
    assert planned.refused == ("0", "2", "3")
    assert "`as_known={Unchanged: torch.nn.Linear}` or `digital=('2',)`" in repr(planned)


@pytest.mark.parametrize("n_chips", [None, 3])
def test_classes_that_are_opted_in(n_chips: int | None) -> None:
    model, calls = others(), []
    model[2].register_forward_hook(lambda module, args, output: calls.append(type(module)))
    model[2].weight.requires_grad_(False)
    known = {Standardised: conv_of, Unchanged: nn.Linear, Transposed: linear_of}
    net = deploy(model, chip(n_chips=n_chips), write=EXACT, as_known=known)
    assert net.on_chip == ("0", "2", "3")
    calls.clear()
    x = torch.randn(7, 3, 4, 4, dtype=torch.float64, generator=generator(1))
    y = net(x)
    assert calls == [ow.nn.Linear]
    assert not net.model[2].weight.requires_grad
    expected = model(x)
    assert_close(y, expected.expand(y.shape), rtol=1e-5, scale=float(expected.detach().abs().max()))
    assert type(model[2]) is Unchanged  # the model is as it was
    assert plan(model, chip(), as_known=known).refused == ()


def test_a_class_that_computes_something_else_is_found() -> None:
    for known, message in (
        ({Standardised: nn.Conv2d}, "`as_known` says that Standardised computes as Conv2d does, but '0' gives other"),
        ({Transposed: nn.Linear}, "`as_known` must give Transposed a class that it inherits from, but gives Linear"),
        ({nn.GRU: nn.Linear}, "`as_known` must have classes of the model's modules, but has GRU"),
        ({Transposed: lambda module: None}, "`as_known` of Transposed must return a module"),
    ):
        with pytest.raises(OutOfRangeError, match=message):
            deploy(others(), chip(), write=EXACT, as_known=known)  # type: ignore[arg-type]


def test_parameters_are_digital_by_name_and_pattern() -> None:
    model = ViT().double().eval()
    net = deploy(model, chip(), write=EXACT, digital=("cls_token", "position", "blocks.*.gamma"))
    assert {"cls_token", "position", "blocks.0.gamma", "blocks.1.gamma"} <= set(net.digital)
    assert ["cls_token", "Parameter", "digital"] in [line.split() for line in repr(net).splitlines()]
    with pytest.raises(OutOfRangeError, match=r"`digital` must name layers of the model.*but has '\*.delta'"):
        deploy(model, chip(), write=EXACT, digital=("*.delta",))
    with pytest.raises(OutOfRangeError, match=r"the layer 'head' as a whole, but has its parameter 'head\.weight'"):
        deploy(model, chip(), write=EXACT, digital=("head.weight",))
    with pytest.raises(
        UnplaceableLayerError, match=r"itself \(ViT: position is a parameter.*`digital=\('position',\)`"
    ):
        deploy(model, chip(), write=EXACT, digital=("cls_token", "*.gamma"))
    language = LanguageModel().double()
    assert deploy(language, chip(), write=EXACT, digital=("tokens", "block")).on_chip == ("head",)
    pair = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert deploy(pair, chip(), write=EXACT, digital="1").on_chip == ("0",)  # one name need not be in a tuple


def test_a_lazy_layer_says_what_to_do() -> None:
    with pytest.raises(UnplaceableLayerError, match="call the model once before it is deployed"):
        deploy(nn.Sequential(nn.LazyLinear(3)), chip(), write=EXACT)


def test_arrays_that_the_chip_does_not_have_are_refused_by_name() -> None:
    chip = Chip(ow.cells.yao2020(), n_arrays=2, rows=16, cols=16)
    with pytest.raises(OutOfRangeError, match="`arrays` must be from 0 to 1, but has 99"):
        plan(nn.Sequential(nn.Linear(3, 3)), chip, layers={"0": OnChip(arrays=[99])})


def test_arrays_are_those_that_the_model_takes() -> None:
    """Not those of the chip: three layers of 64 x 64 cells need three of ten arrays, behind one that is taken."""
    model = nn.Sequential(*(nn.Linear(64, 32) for _ in range(3)))
    one = chip(n_arrays=10)
    one.place("taken", (64, 64))
    planned = plan(model, one)
    assert (planned.n_arrays, planned.n_arrays_here, planned.n_arrays_missing) == (3, 10, 0)
    net = deploy(model.double(), one, write=EXACT)
    used = {tile.array for name in net.on_chip for tile in net.matrix(name).placement.tiles}
    assert planned.n_arrays == len(used)

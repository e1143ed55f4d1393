"""Convolutions of all kinds, by the contract of layers and against torch's own layers."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ohmweave.arrays import ADC, DAC, Meter, Wires
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import LinearStep, ReadNoise
from ohmweave.cells.cell import Cell
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, FixedScaling
from ohmweave.nn import (
    ChipLayer,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    OnChip,
    deploy,
    measured,
)
from ohmweave.nn.conv_transpose import turned_round
from ohmweave.programming import BlindWrite
from ohmweave.testing import BareArray
from ohmweave.testing.layers import LayerContract
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
EXACT = BlindWrite(g_step=FINE.g_step)


def random(*shape: int, chance: torch.Generator) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=chance, device=chance.device)


class TestConv1d(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, chip=chip, name="layer")

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return random(batch, 4, 9, chance=generator)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.conv1d(x, weight, bias, stride=2, padding=2, dilation=2, groups=2)


class TestGroupedConv2d(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return Conv2d(6, 4, (3, 2), stride=(1, 2), padding=(2, 1), groups=2, chip=chip, name="layer")

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return random(batch, 6, 5, 6, chance=generator)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weight, bias, stride=(1, 2), padding=(2, 1), groups=2)


class TestDepthwiseOnTiles(TestGroupedConv2d):
    """Copies, lines on rows, and tiles that cut the kernels."""

    def make_layer(self, chip: Chip) -> ChipLayer:
        how = OnChip(mapping=DifferentialPair(lines="rows", copies=(1, 2)), tile_rows=5, scaling=FixedScaling(8.0))
        return Conv2d(6, 12, 3, groups=6, padding="same", chip=chip, name="layer", on_chip=how)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weight, bias, padding="same", groups=6)


class TestReflected(TestGroupedConv2d):
    """Padding other than zeros, and a centred mapping."""

    def make_layer(self, chip: Chip) -> ChipLayer:
        how = OnChip(mapping=CentredPair(w_max=4.0))
        return Conv2d(6, 4, 3, padding=(1, 2), groups=2, padding_mode="reflect", chip=chip, name="layer", on_chip=how)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(x, (2, 2, 1, 1), mode="reflect"), weight, bias, groups=2)


class TestConv3d(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return Conv3d(2, 4, (3, 2, 2), stride=(2, 1, 1), padding=(1, 0, 1), groups=2, chip=chip, name="layer")

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return random(batch, 2, 4, 3, 4, chance=generator)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return F.conv3d(x, weight, bias, stride=(2, 1, 1), padding=(1, 0, 1), groups=2)


class TestConvTranspose2d(LayerContract):
    def make_layer(self, chip: Chip) -> ChipLayer:
        return ConvTranspose2d(
            4, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2, chip=chip, name="layer"
        )

    def make_input(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return random(batch, 4, 3, 4, chance=generator)

    def reference(self, layer: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        own = turned_round(weight, 2)
        return F.conv_transpose2d(x, own, bias, stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2)


KINDS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (4, 9)),
    "Conv1d same": (lambda: nn.Conv1d(4, 3, 4, padding="same", dilation=2), (4, 9)),
    "Conv1d circular": (lambda: nn.Conv1d(4, 3, 3, padding=2, padding_mode="circular"), (4, 9)),
    "Conv2d depthwise": (lambda: nn.Conv2d(4, 8, 3, padding=1, groups=4), (4, 5, 6)),
    "Conv2d reflect same": (lambda: nn.Conv2d(4, 2, (3, 4), padding="same", padding_mode="reflect"), (4, 5, 6)),
    "Conv2d replicate": (lambda: nn.Conv2d(4, 2, 3, padding=(2, 1), padding_mode="replicate", bias=False), (4, 5, 6)),
    "Conv2d circular": (lambda: nn.Conv2d(4, 2, 3, stride=2, padding=(0, 1), padding_mode="circular"), (4, 5, 6)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, (2, 3, 1), padding=(1, 2, 0), dilation=(2, 1, 1)), (2, 4, 4, 3)),
    "Conv3d same": (lambda: nn.Conv3d(2, 4, (3, 3, 1), padding="same", groups=2), (2, 3, 4, 3)),
    "Conv3d replicate": (lambda: nn.Conv3d(2, 2, 3, padding=(1, 2, 0), padding_mode="replicate"), (2, 3, 4, 5)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 5, stride=3, padding=1, output_padding=2, groups=2), (4, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 4, 2, stride=2), (4, 3, 4)),
    "ConvTranspose2d cut": (lambda: nn.ConvTranspose2d(4, 4, 2, stride=2, padding=2, dilation=(1, 2)), (4, 5, 4)),
    "ConvTranspose3d": (
        lambda: nn.ConvTranspose3d(4, 2, (2, 3, 1), stride=(2, 1, 2), padding=(0, 1, 0), groups=2),
        (4, 2, 3, 3),
    ),
}


def chip(n_chips: int | None = None, cell: Any = FINE, **changes: Any) -> Chip:
    sizes = {"n_arrays": 4, "rows": 64, "cols": 32, "dtype": torch.float64} | changes
    return Chip(cell, n_chips=n_chips, **sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_torchs_layer(kind: str) -> None:
    """Values and gradients on no, one and three chips, with and without a batch, in training and evaluation."""
    make, size = KINDS[kind]
    torch.manual_seed(3)
    software = make().double()
    for n_chips in (None, 1, 3):
        net = deploy(software, chip(n_chips), write=EXACT)
        for shape in ((1, *size), (7, *size), size):
            net.train(len(shape) == len(size))
            x = random(*shape, chance=generator(2)).requires_grad_()
            y, expected = net(x), software(x)
            assert_close(y, expected.expand(y.shape), rtol=1e-5, scale=float(expected.detach().abs().max()))
            error = random(*expected.shape, chance=generator(3))
            (mine,) = torch.autograd.grad((y * error).sum(), x)
            (theirs,) = torch.autograd.grad((expected * error).sum(), x)
            scale = float(theirs.detach().abs().max()) * (n_chips or 1)
            assert_close(mine, theirs * (n_chips or 1), rtol=1e-5, scale=scale)


@pytest.mark.parametrize("output_size", [(6, 7), (2, 4, 7, 8), [7, 7]])
def test_an_output_size_is_torchs(output_size: Any) -> None:
    software = nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1).double()
    layer = deploy(software, chip(), write=EXACT).model
    x = random(2, 3, 3, 3, chance=generator(1))
    if tuple(output_size) == (2, 4, 7, 8):
        with pytest.raises(OutOfRangeError, match=r"`output_size` must be from \(6, 6\) to \(7, 7\)"):
            layer(x, output_size)
        return
    expected = software(x, output_size)
    assert_close(layer(x, output_size), expected, rtol=1e-5, scale=float(expected.detach().abs().max()))


def test_a_group_has_tiles_of_its_own_and_no_cell_more() -> None:
    """A depthwise layer of 20 channels with 3 x 3 kernels: 20 tiles of 9 x 2 cells."""
    conv = Conv2d(20, 20, 3, groups=20, chip=chip(), name="conv")
    tiles = conv.matrix.placement.tiles
    assert [(tile.rows, tile.cols) for tile in tiles] == [(9, 2)] * 20
    assert conv.matrix.chip.n_taken == 20 * 9 * 2
    assert [tile.col_line for tile in tiles] == list(range(0, 40, 2))
    wide = Conv2d(8, 40, 3, groups=2, chip=chip(n_arrays=16), name="wide")  # 36 rows, 2 groups of 40 column lines
    assert [(tile.rows, tile.cols) for tile in wide.matrix.placement.tiles] == [(36, 32), (36, 8)] * 2


def grouped_loop(layer: Conv2d, x: torch.Tensor) -> torch.Tensor:
    """One layer without groups for each group, on a chip of its own."""
    outputs = []
    for weight, channels in zip(layer.weight.detach().chunk(layer.groups), x.chunk(layer.groups, dim=1), strict=True):
        source = layer.matrix.chip.array
        one = Conv2d(
            weight.shape[1],
            weight.shape[0],
            layer.kernel_size,
            bias=False,
            chip=chip(dac=source.dac, adc=source.adc),
            name="one",
            on_chip=OnChip(mapping=DifferentialPair(clip=3.0), scaling=FixedScaling(3.0)),
        )
        one.program(weight, EXACT)
        outputs.append(one(channels))
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("bits", [None, 6])
def test_converters_read_every_group_as_a_matrix_of_its_own(bits: int | None) -> None:
    """Rounded by an ADC, the groups are those of separate layers, bit for bit."""
    parts: dict[str, Any] = {"dac": DAC(bits=6, v_max=0.2, signed=True, bit_serial=True)}
    parts |= {} if bits is None else {"adc": ADC(bits=bits, signed=True)}
    how = OnChip(mapping=DifferentialPair(clip=3.0), scaling=FixedScaling(3.0))
    layer = Conv2d(6, 4, 2, groups=2, bias=False, chip=chip(**parts), name="conv", on_chip=how)
    layer.program(random(4, 3, 2, 2, chance=generator(1)).clamp(-3, 3), EXACT)
    x = random(5, 6, 4, 3, chance=generator(2)).clamp(-3, 3)
    assert_close(layer(x), grouped_loop(layer, x), rtol=1e-9, scale=1.0)


def test_an_array_of_the_protocol_alone_reads_group_by_group() -> None:
    bare = Chip(array=BareArray(n_arrays=4, rows=64, cols=32, g_step=1e-12))
    net = deploy(
        nn.Conv2d(6, 4, 2, groups=2, bias=False).double(),
        bare,
        write=BlindWrite(g_step=1e-12),
        scaling=FixedScaling(4.0),
    )
    x = random(5, 6, 4, 3, chance=generator(2)).clamp(-4, 4)
    expected = F.conv2d(x, net.model.weight.detach(), groups=2)
    assert_close(net(x), expected, rtol=1e-5, scale=float(expected.detach().abs().max()))


def test_noise_of_a_grouped_read_has_the_variance_of_its_cells() -> None:
    """Against the closed form: the variance of an output is sum over its cells of v^2 sigma^2."""
    sigma = 0.3e-6
    noisy = chip(cell=Cell(FINE, read_noise=ReadNoise(floor=sigma)))
    layer = Conv2d(4, 2, 1, groups=2, bias=False, chip=noisy, name="conv", on_chip=OnChip(scaling=FixedScaling(2.0)))
    layer.program(torch.tensor([[1.0, -0.5], [0.25, 1.0]]).double().view(2, 2, 1, 1), EXACT)
    x = torch.tensor([1.0, 2.0, -0.5, 0.25]).double().view(1, 4, 1, 1).expand(4000, 4, 1, 1)
    y = layer(x).detach()[..., 0, 0]
    # Two cells a weight, each with sigma; S to numbers by g_per_w.
    spread = torch.tensor([(1 + 4) ** 0.5, (0.25 + 0.0625) ** 0.5]).double() * 2**0.5 * sigma / layer.matrix.g_per_w
    assert_close(y.std(dim=0), spread, rtol=5 / 8000**0.5)  # five standard errors of 4,000 samples
    assert abs(float(torch.corrcoef(y.mT)[0, 1])) < 5 / 4000**0.5


def test_heat_and_lines_of_a_group_are_those_of_its_own_channels() -> None:
    """A meter counts each group with its own voltages: against a loop over cells."""
    one = chip()
    layer = Conv2d(4, 2, 1, groups=2, bias=False, chip=one, name="conv", on_chip=OnChip(scaling=FixedScaling(2.0)))
    layer.program(torch.tensor([[1.0, -0.5], [0.25, 1.0]]).double().view(2, 2, 1, 1), EXACT)
    x = torch.tensor([1.0, 2.0, -0.5, 0.0]).double().view(1, 4, 1, 1)
    meter = Meter(one.placed)
    with one.array.books.attached(meter):
        layer(x)
    usage = meter.usage["", "conv"]
    g = layer.matrix.conductance()  # 2 row lines, 2 outputs of 2 column lines
    v = x.flatten() / 2.0 * one.array.v_read
    heat = sum(float(v[2 * k + i] ** 2 * g[i, 2 * k + c]) for k in range(2) for i in range(2) for c in range(2))
    assert_close(torch.tensor(usage.v2g), torch.tensor(heat), rtol=1e-9)
    assert usage.n_reads == 2
    assert usage.n_conversions == 4
    assert usage.n_active == 3


def test_ranges_of_groups_are_found_apart_and_forgotten_together() -> None:
    one = chip(dac=DAC(bits=6, v_max=0.2, signed=True, bit_serial=True), adc=ADC(bits=6))
    layer = Conv2d(4, 2, 1, groups=2, bias=False, chip=one, name="conv", on_chip=OnChip(scaling=FixedScaling(2.0)))
    layer.program(torch.tensor([[1.0, -0.5], [0.25, 1.0]]).double().view(2, 2, 1, 1), EXACT)
    x = torch.tensor([2.0, 2.0, 0.5, 0.25]).double().view(1, 4, 1, 1)
    with one.array.ranging():
        layer(x)
    first, second = (one.array.full_scale(part) for part in layer.matrix.placement.parts)
    assert first != second
    parts = layer.matrix.placement.parts
    one.remove("conv")
    assert one.array.full_scale(parts[0]) == one.array.full_scale(parts[1])  # of the data sheet again


def test_measured_weights_of_a_transposed_convolution_are_torchs() -> None:
    software = nn.Sequential(nn.ConvTranspose2d(4, 4, 3, stride=2), nn.Conv2d(4, 4, 1, groups=2)).double()
    for n_chips, index in ((None, None), (2, 1)):
        net = deploy(software, chip(n_chips), write=EXACT)
        twin = measured(net, software, chip=index)
        for name, weight in software.state_dict().items():
            assert_close(twin.state_dict()[name], weight, rtol=1e-5, scale=1.0)


def test_second_derivatives_of_a_grouped_convolution() -> None:
    software = nn.Conv2d(4, 4, 2, groups=2).double()
    net = deploy(software, chip(), write=EXACT)
    x = random(2, 4, 3, 3, chance=generator(2)).requires_grad_()
    found = []
    for model in (net, software):
        (slope,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        layer = model.model if model is net else model
        found.append(torch.autograd.grad(slope.square().sum(), (x, layer.weight)))
    for mine, theirs in zip(*found, strict=True):
        assert_close(mine, theirs, rtol=1e-4, scale=float(theirs.detach().abs().max()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda one: Conv1d(4, 4, (3, 3), chip=one, name="a"), "`kernel_size` must be a number or 1 numbers"),
        (lambda one: Conv2d(4, 4, 3, padding_mode="zero", chip=one, name="a"), "`padding_mode` must be one of"),
        (lambda one: Conv2d(4, 4, 3, groups=3, chip=one, name="a"), "`groups` must divide `in_channels`, 4"),
        (lambda one: Conv3d(4, 4, 3, dilation=0, chip=one, name="a"), "`dilation` must be an integer >= 1"),
        (lambda one: ConvTranspose1d(4, 4, 3, output_padding=1, chip=one, name="a"), "`output_padding` must be below"),
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:
    one = chip()
    with pytest.raises(OutOfRangeError, match=message):
        make(one)
    assert one.n_taken == 0


def test_small_images_are_refused() -> None:
    for layer, size in (
        (Conv3d(1, 1, 3, chip=chip(), name="a"), (2, 3, 3)),
        (Conv1d(1, 1, 4, chip=chip(), name="a"), (3,)),
    ):
        with pytest.raises(ShapeError, match="`x` must have an image of at least"):
            layer(torch.zeros(1, 1, *size, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"`x` must have the shape \(..., any, 2, any, any, any\)"):
        ConvTranspose3d(2, 1, 1, chip=chip(), name="a")(torch.zeros(1, 1, 2, 2, 2, dtype=torch.float64))


@pytest.mark.parametrize("r_sense", [0.0, 300.0])
def test_noise_of_groups_behind_shared_resistances_is_that_of_their_reads(r_sense: float) -> None:
    """Reads of images, group by group, have the mean and the spread of reads of single patches."""
    cell = Cell(LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ReadNoise(fraction=0.1))
    wires = Wires(r_row=0.0, r_col=0.0, r_sense=r_sense) if r_sense else None
    chip = Chip(cell, n_arrays=2, rows=16, cols=16, seed=1, wires=wires)
    on_chip = OnChip(scaling=FixedScaling(1.0))
    layer = Conv2d(4, 4, 2, groups=2, bias=False, chip=chip, name="layer", on_chip=on_chip)
    layer.program(torch.randn(4, 2, 2, 2, generator=generator(2)), BlindWrite(g_step=cell.switching.g_step))
    x = torch.rand(1, 4, 2, 2, generator=generator(3))
    many = x.expand(4_000, -1, -1, -1)
    with torch.no_grad():
        by_images = layer(many).flatten(1)
    place, array = layer.matrix.placement, chip.array
    by_vectors = []
    for part, own in zip(place.parts, many.flatten(1).chunk(2, dim=1), strict=True):
        by_vectors.append(array.read(own * array.v_read, part))
    expected = torch.cat(by_vectors, dim=1) / (array.v_read * layer.matrix.g_per_w)
    assert_close(by_images.mean(0), expected.mean(0), rtol=0.02, scale=float(expected.abs().max()))
    assert_close(by_images.std(0), expected.std(0), rtol=0.1)

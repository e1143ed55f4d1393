"""Variances in bfloat16 against the same variances in float64, and the noise that is drawn with them."""

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.reads import half_variance, noisy_product, patches
from ohmweave.arrays.reads.geometry import ConvGeometry
from ohmweave.base import NormalStream, generator
from ohmweave.cells import Pulse
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close


class Kept(NormalStream):
    """A stream that keeps the variances it is given, and adds nothing."""

    def add_(self, out: torch.Tensor, variance: torch.Tensor, *, factor: float = 1.0) -> torch.Tensor:
        self.variance = variance.clone()
        return out.mul_(factor)


@pytest.fixture
def halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in bfloat16 on any processor, whatever the size."""
    monkeypatch.setattr(half_variance, "_has_tiles", lambda: True)
    monkeypatch.setattr(half_variance, "WORTH", 1)


def numbers(*size: int, seed: int, spread: float = 3.0) -> torch.Tensor:
    """Positive numbers over some decades."""
    z = torch.randn(*size, dtype=torch.float64, generator=generator(seed))
    return (spread * z).exp().float()


@pytest.mark.usefixtures("halved")
@pytest.mark.parametrize("chips", [(), (3,)])
@pytest.mark.parametrize("constant", [False, True])
def test_the_product_is_within_its_bound(chips: tuple[int, ...], constant: bool) -> None:
    """Also where all terms are rounded alike, so that their errors add up."""
    v, variance = numbers(*chips, 40, 30, seed=1), numbers(*chips, 30, 20, seed=2) * 1e-14
    if constant:  # 1 + 2^-8 is halfway between two numbers of bfloat16, and so is its square, nearly
        v, variance = torch.full_like(v, 1 + 2**-8), torch.full_like(variance, (1 + 2**-8) * 1e-14)
    stream = Kept(0)
    noisy_product.noisy_product(RowVoltages(v), variance, variance, noise=stream, square=lambda row: row.v.square())
    assert stream.variance.dtype == torch.bfloat16
    assert_close(stream.variance.double(), v.double().square() @ variance.double(), rtol=3 * 2.0**-8)


@pytest.mark.usefixtures("halved")
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("chips", [(), (2,)])
def test_the_convolution_is_within_its_bound(chips: tuple[int, ...], groups: int) -> None:
    geometry = ConvGeometry(kernel_size=(3, 2), stride=(2, 1), padding=(1, 0, 1, 1))
    images, variance = numbers(*chips, 5, 7, 6, 4, seed=1), numbers(*chips, 24 // groups, 6, seed=2) * 1e-14
    stream = Kept(0)

    def read(images: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        patches.noisy_convolution(
            RowVoltages(images), variance, variance, geometry, groups=groups, noise=stream,
            square=lambda row: row.v.square(),
        )  # fmt: skip
        return stream.variance

    half, full = read(images, variance), read(images.double(), variance.double())
    assert (half.dtype, full.dtype) == (torch.bfloat16, torch.float64)
    assert_close(half.double(), full, rtol=3 * 2.0**-8)


def layer(n_chips: int | None) -> ow.nn.Deployed:
    law = ow.cells.Cell(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ow.cells.ReadNoise(fraction=0.05))
    chip = ow.Chip(law, n_arrays=1, rows=128, cols=128, n_chips=n_chips)
    torch.manual_seed(0)
    scaling = ow.mapping.FixedScaling(4.0)
    return ow.deploy(torch.nn.Linear(64, 48), chip, write=BlindWrite(g_step=1e-7), scaling=lambda: scaling).eval()


@pytest.mark.usefixtures("halved")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n_chips", [None, 2])
@torch.no_grad()
def test_noise_of_many_reads(n_chips: int | None) -> None:
    """Mean and standard deviation of each output over 4,000 reads, against the cells."""
    n = 4_000
    net = layer(n_chips)
    matrix = net.model.matrix
    x = torch.randn(1, 64, generator=generator(3)).clamp(-3, 3)
    g, variance = matrix.chip.array._reader.seen.signed_matrix(matrix.placement)
    sigma = (x.double().square() @ variance.double()).sqrt() / matrix.g_per_w
    mean = x.double() @ g.double() / matrix.g_per_w + net.model.bias.double().view(*matrix.chip.chip_shape, 1, -1)
    reads = net(x.expand(n, 64)).double()
    assert_close(reads.std(-2, keepdim=True), sigma, rtol=5 / (2 * n) ** 0.5)
    assert float(((reads.mean(-2, keepdim=True) - mean).abs() / sigma).max()) < 5 / n**0.5


@pytest.mark.usefixtures("halved")
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_change_of_a_cell_changes_its_variance() -> None:
    """The matrix in bfloat16 is kept from read to read."""
    net = layer(None)
    matrix, stream = net.model.matrix, Kept(0)
    net(torch.ones(1, 64))
    reader = matrix.chip.array._reader
    reader.noise = stream
    for n_pulses in (0, 100):
        cells = matrix.cells.flatten()[: 64 * 48]
        matrix.pulse(cells, Pulse(torch.ones(len(cells), dtype=torch.int64), torch.full((len(cells),), n_pulses)))
        net(torch.ones(1, 64))
        _, variance = reader.seen.signed_matrix(matrix.placement)
        assert_close(stream.variance.double().flatten(), variance.double().sum(-2), rtol=3 * 2.0**-8)


def test_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_variance, "_has_tiles", lambda: True)
    v, large, small = torch.zeros(2), half_variance.WORTH, half_variance.WORTH - 1
    assert half_variance.worth_halving(v, large)
    assert not half_variance.worth_halving(v, small)
    assert not half_variance.worth_halving(v.double(), large)
    assert not half_variance.worth_halving(v.clone().requires_grad_(), large)
    assert not half_variance.worth_halving(v.to("meta"), large)
    monkeypatch.setattr(half_variance, "_has_tiles", lambda: False)
    assert not half_variance.worth_halving(v, large)


@pytest.mark.parametrize("order", ["rows", "channels last", "every other"])
def test_squares_in_one_pass_have_the_bits_of_two(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of numbers whose squares are halfway between two of bfloat16, infinite, subnormal and 0."""
    pytest.importorskip("numba")
    x = torch.randn(3, 5, 7, 6, generator=generator(4)) * 10 ** torch.linspace(-25, 15, 3 * 5 * 7 * 6).view(3, 5, 7, 6)
    x.view(-1)[:5] = torch.tensor([0.0, torch.inf, -torch.inf, 1 + 2**-9, 1e30])
    ties = torch.arange(1, 401, dtype=torch.float32) * 2 + 1  # squares of 17 to 20 bits
    x.view(-1)[5:405] = ties
    if order == "channels last":
        x = x.permute(0, 2, 3, 1)
    elif order == "every other":
        x = x[:, ::2]
    two = half_variance.halved_squares(x)
    monkeypatch.setattr(half_variance, "WORTH_SQUARING", 1)
    one = half_variance.halved_squares(x)
    assert one.dtype == torch.bfloat16
    assert one.shape == x.shape
    assert torch.equal(one.view(torch.int16), two.view(torch.int16))

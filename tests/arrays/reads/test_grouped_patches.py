"""Patches of images read by outputs in groups, on several chips, against sums over the cells of each group."""

import pytest
import torch

from ohmweave.arrays import ConvGeometry, Placement, SimulatedArray
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.arrays.reads import patches
from ohmweave.base import NormalStream, generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise
from ohmweave.mapping import Chip
from tests.helpers import assert_close

LAW = LinearStep(g_min=1e-6, g_max=101e-6, levels=2**20)
NOISY = Cell(LAW, read_noise=ReadNoise(fraction=0.05, floor=1e-6))
GEOMETRY = ConvGeometry(kernel_size=(2, 3), stride=(2, 1), padding=(1, 0, 1, 0))
CASES = [(6, 6), (2, 6), (3, 3)]
"""Groups and outputs of 6 channels; the first is depthwise."""


def made(cell: Cell | LinearStep, n_chips: int | None, groups: int, n_out: int) -> tuple[SimulatedArray, Placement]:
    """Arrays with cells that all differ, and a placement of differential pairs."""
    chip = Chip(cell, n_arrays=12, rows=64, cols=16, n_chips=n_chips, dtype=torch.float64)
    place = chip.place("m", (6 // groups * 6, n_out), col_gain=(1.0, -1.0), groups=groups)
    cells = chip.array.cells(place).flatten()
    n = torch.randint(2**20, cells.shape, generator=generator(0, "pulses"))
    chip.array.pulse(cells, Pulse(torch.ones_like(n), n=n))
    assert isinstance(chip.array, SimulatedArray)
    return chip.array, place


def by_cells(array: SimulatedArray, place: Placement, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of the reads, group by group and cell by cell, `(*chips, patches, n_out)`."""
    g, sigma = array._reader.seen.at(array.cells(place))
    variance = torch.zeros_like(g) if sigma is None else sigma.square()
    mean, spread = [], []
    width = g.shape[-1] // place.groups
    for group, channels in enumerate(v.chunk(place.groups, dim=-1)):
        rows = GEOMETRY.im2col(channels).mT
        own = slice(group * width, (group + 1) * width)
        mean.append(rows @ (g[..., own][..., ::2] - g[..., own][..., 1::2]))
        spread.append(rows.square() @ (variance[..., own][..., ::2] + variance[..., own][..., 1::2]))
    return torch.cat(mean, -1), torch.cat(spread, -1)


@pytest.mark.parametrize(("groups", "n_out"), CASES)
@pytest.mark.parametrize("n_chips", [None, 1, 3])
@pytest.mark.parametrize("first", ["channels", "pixels"])
def test_exact_reads_are_those_of_the_groups(groups: int, n_out: int, n_chips: int | None, first: str) -> None:
    array, place = made(LAW, n_chips, groups, n_out)
    chips = () if n_chips is None else (n_chips,)
    v = torch.rand(*chips, 5, 4, 6, 6, generator=generator(0, "v"), dtype=torch.float64) * 0.4 - 0.2
    if first == "channels":  # as torch stores the images of a user
        v = v.movedim(-1, -3).contiguous().movedim(-3, -1)
    i_out = array.read_patches(v, GEOMETRY, place)
    assert i_out.is_contiguous()
    expected, _ = by_cells(array, place, v)
    assert_close(i_out.flatten(-4, -2), expected, rtol=1e-9, scale=1e-5)


@pytest.mark.parametrize(("groups", "n_out"), CASES)
@pytest.mark.parametrize("n_chips", [None, 3])
def test_noise_has_the_variance_of_the_cells_of_the_group(groups: int, n_out: int, n_chips: int | None) -> None:
    """2,000 reads: a standard deviation is known to 1.6 %, and five times that is allowed."""
    array, place = made(NOISY, n_chips, groups, n_out)
    chips = () if n_chips is None else (n_chips,)
    one = torch.rand(*chips, 1, 4, 6, 6, generator=generator(0, "v"), dtype=torch.float64) * 0.4 - 0.2
    n = 2_000
    i_out = array.read_patches(one.expand(*chips, n, 4, 6, 6), GEOMETRY, place)
    mean, spread = by_cells(array, place, one)
    shape = (*chips, *i_out.shape[-3:])
    assert_close(i_out.std(-4), spread.sqrt().view(shape), rtol=5 / (2 * n) ** 0.5)
    residue = (i_out - mean.view(*chips, 1, *i_out.shape[-3:])) / spread.sqrt().view(*chips, 1, *i_out.shape[-3:])
    assert float(residue.mean(-4).abs().max()) < 5 / n**0.5
    # Chips, pixels and outputs are independent of each other: no two columns of residues are correlated.
    columns = residue.movedim(-4, 0).flatten(1)
    correlation = columns.T @ columns / n - torch.eye(columns.shape[1], dtype=torch.float64)
    assert float((correlation - torch.diag(torch.diag(correlation))).abs().max()) < 6 / n**0.5


def test_parts_of_a_batch_of_groups_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    array, place = made(LAW, 3, 2, 6)
    v = torch.rand(3, 5, 4, 6, 6, generator=generator(0, "v"), dtype=torch.float64) * 0.2
    whole = array.read_patches(v, GEOMETRY, place)
    monkeypatch.setattr(patches, "GROUPED_PART_VALUES", 1)
    assert_close(array.read_patches(v, GEOMETRY, place), whole, rtol=1e-12, scale=1e-5)


@pytest.mark.parametrize(
    "geometry",
    [
        GEOMETRY,
        ConvGeometry(kernel_size=(3, 3), padding=(1, 1, 1, 1)),
        ConvGeometry(kernel_size=(3, 3), padding=(2, 0, 1, 3), stride=(1, 2), dilation=(1, 2)),
        ConvGeometry(kernel_size=(5, 4), padding=(2, 1, 2, 2), dilation=(2, 1)),
    ],
)
@pytest.mark.parametrize("chips", [(), (2,)])
def test_compiled_depthwise_reads_are_those_of_torch(
    geometry: ConvGeometry, chips: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same means, variances and random numbers."""
    pytest.importorskip("numba")
    n_in = geometry.kernel_size[0] * geometry.kernel_size[1]
    v, g = (
        torch.randn(*chips, *size, dtype=torch.float64, generator=generator(0, str(size)))
        for size in ((3, 9, 10, 6), (n_in, 6))
    )
    variance = (0.3 * g).square() + 0.1
    found, calls = [], []
    by_loop = patches._depthwise
    monkeypatch.setattr(patches, "_depthwise", lambda *args: (calls.append(1), by_loop(*args))[1])
    for one in (True, False):
        monkeypatch.setattr(patches, "worth_compiling", lambda n, one=one: one)
        noise = NormalStream(5)
        read = patches.noisy_convolution(
            RowVoltages(v), g, variance, geometry, groups=6, noise=noise, square=lambda row: row.v.square()
        )
        found.append(read)
    assert len(calls) == 1
    assert_close(found[0], found[1], rtol=1e-12, scale=float(found[1].abs().max()))

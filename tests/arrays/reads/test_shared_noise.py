"""Read noise of linear cells behind shared resistances, against nodal solves of the whole array with moved cells."""

from dataclasses import replace

import pytest
import torch

from ohmweave.arrays import (
    ADC,
    DAC,
    ConvGeometry,
    Placement,
    ReadScale,
    SimulatedArray,
    Tile,
    Transistors,
    Wires,
    cells_of,
)
from ohmweave.arrays.reads.shared_noise import VARIANCE_TOLERANCE
from ohmweave.base import generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise
from ohmweave.circuit import Bias, read_bias, solve_nodes
from tests.helpers import assert_close

LAW = LinearStep(g_min=2e-6, g_max=200e-6, levels=1_000)
FRACTION, FLOOR = 0.01, 1e-7  # S
N_READS = 20_000
SPREAD = 0.02  # four standard errors of a standard deviation from 20,000 reads
TOLERANCE = SPREAD + VARIANCE_TOLERANCE / 2
IDEAL = Wires(r_row=0.0, r_col=0.0)
WIRES = {
    "sense 10": Wires(r_row=0.0, r_col=0.0, r_sense=10.0),
    "sense 100": Wires(r_row=0.0, r_col=0.0, r_sense=100.0),
    "sense 1000": Wires(r_row=0.0, r_col=0.0, r_sense=1_000.0),
    "drivers": Wires(r_row=0.0, r_col=0.0, r_driver=300.0),
    "segments 1": Wires(r_row=1.0, r_col=1.0),
    "segments 5": Wires(r_row=5.0, r_col=5.0),
    "all": Wires(r_row=20.0, r_col=35.0, r_driver=80.0, r_sense=150.0, driven_from="both"),
}


def placed(rows: int, cols: int, **gains: tuple[float, ...]) -> Placement:
    """All cells of one array."""
    tiles = (Tile(array=0, row=0, col=0, rows=rows, cols=cols, row_line=0, col_line=0),)
    return Placement(tiles=tiles, cells=cells_of(tiles, rows=rows, cols=cols), **gains)


def noisy(rows: int, cols: int, wires: Wires, *, r_on: float = 0.0, **parts: object) -> SimulatedArray:
    """Cells of 2 to 180 uS, 90 uS on average, all different."""
    law = Cell(LAW, read_noise=ReadNoise(fraction=FRACTION, floor=FLOOR))
    parts = {"dtype": torch.float64, **parts}
    array = SimulatedArray(law, rows=rows, cols=cols, seed=3, wires=wires, access=Transistors(r_on=r_on), **parts)
    cells = torch.arange(array.bank.n_cells)
    array.pulse(cells, Pulse(torch.ones(len(cells)), n=1 + (cells * 389) % 900))
    return array


def conductance(array: SimulatedArray) -> torch.Tensor:
    """`(chips * arrays, rows, cols)` S."""
    return array.cell.conductance(array.bank.state).double().view(-1, array.rows, array.cols)


def spread_by_differences(
    g: torch.Tensor, bias: Bias, wires: Wires, out: torch.Tensor, *, r_on: float = 0.0, rows: bool = False
) -> torch.Tensor:
    """Standard deviations of `i_col @ out` (`i_left @ out` for `rows`), A.

    Each cell of `g` is moved by itself, and all nodes of the array are solved again.
    """
    step = torch.diag((FRACTION * g + FLOOR).flatten() * 1e-2).view(-1, *g.shape)
    high, low = (solve_nodes(g + way * step, bias, wires, r_cell=r_on) for way in (1, -1))
    change = high.i_left - low.i_left if rows else high.i_col - low.i_col
    return (change @ out / 2e-2).square().sum(0).sqrt()


def inputs(rows: int, signs: str) -> torch.Tensor:
    """Of one sign or of both, all different."""
    v = 0.05 + 0.15 * torch.rand(rows, generator=generator(1, "v"), dtype=torch.float64)
    return v if signs == "one" else v * (1 - 2 * (torch.arange(rows) % 2))


def often(v: torch.Tensor) -> torch.Tensor:
    return v.expand(N_READS, -1).contiguous()


def pairs(n: int) -> torch.Tensor:
    """`(2 n, n)`: the difference of neighbouring lines."""
    return torch.eye(n, dtype=torch.float64).repeat_interleave(2, 0) * torch.tensor([1.0, -1.0] * n)[:, None].double()


@pytest.mark.parametrize("signs", ["one", "both"])
@pytest.mark.parametrize("name", WIRES)
def test_noise_of_a_read_is_what_moved_cells_show(name, signs):
    """Differences of columns: noise that drivers and row wires share between columns counts with its sign."""
    wires = WIRES[name]
    array, v = noisy(12, 6, wires, r_on=500.0), inputs(12, signs)
    found = array.read(often(v), placed(12, 6, col_gain=(1.0, -1.0))).std(0)
    expected = spread_by_differences(conductance(array)[0], read_bias(v, wires), wires, pairs(3), r_on=500.0)
    assert_close(found, expected, rtol=TOLERANCE)


@pytest.mark.parametrize("r_sense", [100.0, 1_000.0])
def test_32_rows_against_all_cells_moved_at_random(r_sense):
    """Monte Carlo: new conductances for every sample, and the whole network solved; no derivative anywhere.

    Without the drop that the other rows cause, the noise for one sign would be 1.2 and 2.9 times as large.
    """
    wires = Wires(r_row=0.0, r_col=0.0, r_sense=r_sense)
    array, n = noisy(32, 16, wires), 400
    g = conductance(array)[0]
    draws = torch.randn(n, 32, 16, generator=generator(4, "cells"), dtype=torch.float64)
    for signs, alone in (("one", 1.15), ("both", 0.0)):
        v = inputs(32, signs)
        found = array.read(often(v), placed(32, 16)).std(0)
        expected = solve_nodes(g + (FRACTION * g + FLOOR) * draws, read_bias(v, wires), wires).i_col.std(0)
        assert_close((found / expected).square().mean().sqrt(), 1.0, rtol=0.04)  # 16 columns of 400 samples: 0.9 %
        _, variance = array._reader.seen.signed_matrix(placed(32, 16))
        assert variance is not None
        assert float(((v.square() @ variance).sqrt() / expected).mean()) > alone


@pytest.mark.parametrize("name", ["sense 1000", "drivers", "all"])
def test_noise_of_a_transposed_read(name):
    """Columns driven through their sense resistances, rows sensed at their drivers."""
    wires = replace(WIRES[name], driven_from="left")
    array, v = noisy(6, 12, wires, r_on=500.0), inputs(12, "one")
    found = array.read_transposed(often(v), placed(6, 12, row_gain=(1.0, -1.0))).std(0)
    bias = read_bias(torch.zeros(6, dtype=torch.float64), wires, v_col=v)
    expected = spread_by_differences(conductance(array)[0], bias, wires, pairs(3), r_on=500.0, rows=True)
    assert_close(found, expected, rtol=TOLERANCE)


@pytest.mark.parametrize("n_chips", [None, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_of_several_tiles_and_lines_is_that_of_their_reads(n_chips, dtype):
    """Tiles that cut the lines of an input and of an output, beside cells at 0 V that are noisy too."""
    wires = WIRES["all"]
    array = noisy(7, 8, wires, n_arrays=2, n_chips=n_chips, dtype=dtype)
    tiles = (
        Tile(array=1, row=1, col=2, rows=5, cols=3, row_line=0, col_line=0),
        Tile(array=0, row=0, col=1, rows=5, cols=1, row_line=0, col_line=3),
        Tile(array=0, row=3, col=4, rows=3, cols=4, row_line=5, col_line=0),
    )
    placement = Placement(
        tiles=tiles, cells=cells_of(tiles, rows=7, cols=8), row_gain=(1.0, -0.5), col_gain=(1.0, -1.0)
    )
    v = torch.tensor([0.2, -0.15, 0.1, 0.18], dtype=torch.float64)
    many = often(v).to(dtype)
    found = array.read(many if n_chips is None else many.expand(n_chips, -1, -1), placement).std(-2)
    g = conductance(array).view(n_chips or 1, 2, 7, 8)
    for chip in range(n_chips or 1):
        variance = torch.zeros(2, dtype=torch.float64)
        for tile in tiles:
            v_row, out = torch.zeros(7, dtype=torch.float64), torch.zeros(8, 2, dtype=torch.float64)
            for r in range(tile.rows):
                line = tile.row_line + r
                v_row[tile.row + r] = v[line // 2] * (1.0, -0.5)[line % 2]
            for c in range(tile.cols):
                line = tile.col_line + c
                out[tile.col + c, line // 2] = (1.0, -1.0)[line % 2]
            variance += spread_by_differences(g[chip, tile.array], read_bias(v_row, wires), wires, out).square()
        assert_close(found.view(-1, 2)[chip], variance.sqrt(), rtol=TOLERANCE)


def test_noise_of_patches_is_that_of_vectors():
    array, wires = noisy(12, 6, WIRES["sense 1000"]), WIRES["sense 1000"]
    geometry = ConvGeometry(kernel_size=(2, 3), padding=(1, 0, 0, 0))
    image = inputs(2 * 3 * 2, "one").view(1, 2, 3, 2)
    found = array.read_patches(image.expand(N_READS, -1, -1, -1).contiguous(), geometry, placed(12, 6)).std(0)
    vectors = geometry.im2col(image).mT
    for pixel, v in enumerate(vectors):
        expected = spread_by_differences(
            conductance(array)[0], read_bias(v, wires), wires, torch.eye(6, dtype=torch.float64)
        )
        assert_close(found[0, pixel], expected, rtol=TOLERANCE)


@pytest.mark.parametrize("adc", [None, "digital", "analogue"])
def test_noise_of_bits_is_that_of_each_bit(adc):
    """Each bit is a read at full voltage with its own drops, and its noise has the weight 1, 2 or 4."""
    wires = WIRES["sense 1000"]
    converter = None if adc is None else ADC(bits=24, signed=True, i_max=1e-3, subtract=adc)
    array = noisy(12, 6, wires, dac=DAC(bits=3, v_max=0.2, bit_serial=True), adc=converter)
    code = torch.arange(12) * 5 % 8
    found = array.read(often(code.double() / 7 * 0.2), placed(12, 6, col_gain=(1.0, -1.0))).std(0)
    variance = torch.zeros(3, dtype=torch.float64)
    for bit in range(3):
        bias = read_bias(((code >> bit) & 1).double() * 0.2, wires)
        spread = spread_by_differences(conductance(array)[0], bias, wires, pairs(3))
        variance += (2**bit / 7 * spread).square()
    assert_close(found, variance.sqrt(), rtol=TOLERANCE)


@pytest.mark.parametrize("gains", [{}, {"row_gain": (1.0, -1.0)}], ids=["plain", "rows in pairs"])
def test_noise_before_a_converter(gains):
    wires = WIRES["sense 1000"]
    array = noisy(12, 6, wires, adc=ADC(bits=24, signed=True, i_max=1e-3))
    h = len(gains.get("row_gain", (1.0,)))
    v = inputs(12 // h, "one")
    found = array.read(often(v), placed(12, 6, **gains)).std(0)
    lines = v.repeat_interleave(h) * (1 - 2 * (torch.arange(12) % h))
    expected = spread_by_differences(
        conductance(array)[0], read_bias(lines, wires), wires, torch.eye(6, dtype=torch.float64)
    )
    assert_close(found, expected, rtol=TOLERANCE)


def test_noise_in_numbers_is_that_in_volts():
    array, v = noisy(12, 6, WIRES["sense 1000"]), inputs(12, "one")
    scale = ReadScale(v_per_x=0.2, a_per_y=3e-6)
    in_numbers = array.read_scaled(often(v) / 0.2, placed(12, 6), scale).std(0) * 3e-6
    assert_close(in_numbers, array.read(often(v), placed(12, 6)).std(0), rtol=2 * SPREAD)


def test_noise_of_a_readout_row_by_row():
    """1 V at one row, all others at 0 V: the noise of the other cells of the column counts a little."""
    wires = WIRES["sense 1000"]
    array = noisy(12, 6, wires, readout="read")
    cells = torch.tensor([0, 17, 40, 71])
    found = torch.stack([array.readout(cells) for _ in range(4_000)]).std(0)
    for k, cell in enumerate(cells.tolist()):
        v_row = torch.zeros(12, dtype=torch.float64)
        v_row[cell // 6] = 1.0
        spread = spread_by_differences(
            conductance(array)[0], read_bias(v_row, wires), wires, torch.eye(6, dtype=torch.float64)
        )
        assert_close(found[k], spread[cell % 6], rtol=0.045)


def test_the_noise_follows_the_cells():
    """Pulses at cells of other rows change the drops, and with them the noise of a read of unchanged cells."""
    array, v = noisy(12, 6, WIRES["sense 1000"]), inputs(12, "one")
    placement = placed(12, 6)
    before = array.read(often(v), placement).std(0)
    array.pulse(torch.arange(48, 72), Pulse(torch.full((24,), -1), n=torch.full((24,), 1_000)))
    bias = read_bias(v, WIRES["sense 1000"])
    expected = spread_by_differences(
        conductance(array)[0], bias, WIRES["sense 1000"], torch.eye(6, dtype=torch.float64)
    )
    assert float((expected / before - 1).abs().max()) > 0.1
    assert_close(array.read(often(v), placement).std(0), expected, rtol=TOLERANCE)


def test_the_fast_way_is_taken_where_it_is_right():
    """A few Ohm: one product for the variance, as without wires; a kOhm: the form."""
    for name, coupled in (("sense 10", False), ("sense 1000", True)):
        shared = noisy(12, 6, WIRES[name])._reader.seen.shared_noise(placed(12, 6))
        assert shared is not None
        assert shared.coupled is coupled
    assert noisy(12, 6, IDEAL)._reader.seen.shared_noise(placed(12, 6)) is None

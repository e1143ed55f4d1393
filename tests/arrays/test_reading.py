"""Reads of images against reads of their patches, one row a patch."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.arrays import (
    ADC,
    DAC,
    ConvGeometry,
    Meter,
    Placement,
    ReadScale,
    SimulatedArray,
    read_patches,
    read_vectors,
)
from ohmweave.arrays.reads import patches
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise
from ohmweave.mapping import Chip
from tests.helpers import assert_close

LAW = LinearStep(g_min=1e-6, g_max=101e-6, levels=2**20)
NOISY = Cell(LAW, read_noise=ReadNoise(fraction=0.02, floor=1e-6))
SIZE = (7, 8)
CHANNELS = 4

WALKS = {
    "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
    "padding": st.tuples(*[st.integers(0, 2)] * 4),
}


class Bench:
    """A real array, as far as reads of images can tell: it reads rows, and nobody can look inside."""

    def __init__(self, array: SimulatedArray) -> None:
        self._array = array
        self.v_read, self.dtype, self.device = array.v_read, array.dtype, array.device

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """As the array below."""
        return self._array.read(v_row, placement)


def bench(n_in: int, n_out: int, *, chips: tuple[int, ...] = (), **parts: Any) -> tuple[SimulatedArray, Placement]:
    """An array with conductances that all differ, the same for the same arguments."""
    settings = {
        "cell": LAW,
        "rows": 64,
        "cols": 16,
        "n_chips": chips[0] if chips else None,
        "dtype": torch.float64,
    } | parts
    array = SimulatedArray(**settings)
    place = Chip(array=array).place("m", (n_in, n_out), col_gain=(1.0, -1.0))
    cells = array.cells(place).flatten()
    steps = torch.randint(0, 2**19, cells.shape, generator=generator(0, "steps"))
    array.pulse(cells, Pulse(torch.ones(len(cells)), n=steps))
    return array, place


def images(*shape: int, seed: int = 4) -> torch.Tensor:
    return torch.rand(*shape, *SIZE, CHANNELS, generator=generator(seed, "v"), dtype=torch.float64) * 0.2


@pytest.mark.parametrize("n_out", [2, 6])
@pytest.mark.parametrize("chips", [(), (1,), (3,)])
@given(**WALKS)
def test_images_are_their_patches(chips, n_out, kernel, stride, dilation, padding):
    """Fewer outputs than channels and more, one chip and several: every way of summing."""
    geometry = ConvGeometry(kernel_size=kernel, stride=stride, dilation=dilation, padding=padding)
    array, place = bench(CHANNELS * kernel[0] * kernel[1], n_out, chips=chips)
    v = images(*chips, 2)
    fast = read_patches(array, v, geometry, place)
    n_fast = array.books.activity.n_reads
    slow = read_patches(Bench(array), v, geometry, place)
    assert fast.shape == (*chips, 2, *geometry.out_size(SIZE), n_out)
    assert_close(fast, slow, rtol=1e-9, scale=1e-5)
    assert array.books.activity.n_reads == 2 * n_fast > 0


IMPERFECT = {
    "noise": {"cell": NOISY},
    "noise of small numbers": {"cell": Cell(LAW, read_noise=ReadNoise(floor=1e-6))},
    "DAC": {"dac": DAC(bits=3, v_max=0.2)},
    "DAC and noise": {"cell": NOISY, "dac": DAC(bits=3, v_max=0.2)},
    "bits and noise": {"cell": NOISY, "dac": DAC(bits=5, v_max=0.2, bit_serial=True)},
    "converters": {"dac": DAC(bits=4, v_max=0.2, bit_serial=True), "adc": ADC(bits=8)},
}


@pytest.mark.parametrize("chips", [(), (2,)])
@pytest.mark.parametrize("imperfection", IMPERFECT)
def test_imperfect_reads_draw_the_same_numbers_for_the_same_patches(imperfection, chips):
    """Same seed, so mean, spread and order of the noise can be told from single reads."""
    geometry = ConvGeometry(kernel_size=(3, 2), stride=(2, 1), padding=(1, 0, 2, 1))
    v = images(*chips, 4)
    reads = []
    for look in (lambda array: array, Bench):
        array, place = bench(CHANNELS * 6, 4, chips=chips, **IMPERFECT[imperfection])
        reads.append(read_patches(look(array), v, geometry, place))
    assert_close(reads[0], reads[1], rtol=1e-9, scale=1e-5)
    exact, place = bench(CHANNELS * 6, 4, chips=chips)
    assert float((reads[0] - read_patches(exact, v, geometry, place)).abs().max()) > 1e-8


def test_noise_of_patches_has_the_spread_of_their_cells():
    array, place = bench(CHANNELS * 4, 3, cell=NOISY)
    v = images(1).expand(4_000, -1, -1, -1)
    geometry = ConvGeometry(kernel_size=(2, 2))
    reads = read_patches(array, v, geometry, place)
    sigma = NOISY.read_noise_sigma(array.bank.state)[array.cells(place)].view(-1, 3, 2).square().sum(-1).sqrt()
    rows = geometry.im2col(v[:1]).mT
    expected = (rows.square() @ sigma.square()).sqrt().view(reads.shape[1:])
    assert_close(reads.std(0), expected, rtol=5 / 8_000**0.5)
    residue = ((reads - reads.mean(0)) / reads.std(0)).flatten(1)
    neighbours = (residue[:, 1:] * residue[:, :-1]).mean(0)  # patches that share pixels, and outputs, are independent
    assert float(neighbours.abs().max()) < 5 / 4_000**0.5


@pytest.mark.parametrize("chips", [(), (2,)])
@pytest.mark.parametrize("n_out", [2, 6])
def test_parts_of_a_batch_make_no_difference(chips, n_out, monkeypatch):
    geometry = ConvGeometry(kernel_size=(2, 3), padding=(1, 1, 0, 1))
    array, place = bench(CHANNELS * 6, n_out, chips=chips)
    v = images(*chips, 5)
    whole = read_patches(array, v, geometry, place)
    monkeypatch.setattr(patches, "PART_VALUES", 1)
    assert_close(read_patches(array, v, geometry, place), whole, rtol=1e-12, scale=1e-5)


@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.parametrize("chips", [(), (2,)])
@given(**WALKS)
def test_a_meter_counts_the_patches_of_images(chips, bits, kernel, stride, dilation, padding):
    geometry = ConvGeometry(kernel_size=kernel, stride=stride, dilation=dilation, padding=padding)
    dac = None if bits is None else DAC(bits=bits, v_max=0.2, bit_serial=True)
    array, place = bench(CHANNELS * kernel[0] * kernel[1], 3, chips=chips, dac=dac)
    v = images(*chips, 3)
    v[v < 0.05] = 0
    usages = []
    for look in (array, Bench(array)):
        meter = Meter({"m": place})
        with array.books.attached(meter):
            read_patches(look, v, geometry, place)
        usages.append(meter.usage["", "m"])
    fast, slow = usages
    assert_close(fast.v2g, slow.v2g, rtol=1e-9)
    fast.v2g = slow.v2g
    assert fast == slow
    assert fast.n_vectors == v.shape[:-3].numel() * torch.Size(geometry.out_size(SIZE)).numel()


def test_an_empty_batch():
    array, place = bench(CHANNELS * 4, 3, cell=NOISY)
    assert read_patches(array, images(0), ConvGeometry(kernel_size=(2, 2)), place).shape == (0, 6, 7, 3)


@pytest.mark.parametrize("cell", [LAW, NOISY])
@pytest.mark.parametrize("n_out", [2, 6])
@pytest.mark.parametrize("chips", [(), (1,), (3,)])
def test_reads_by_numbers_are_reads_by_volts(chips, n_out, cell):
    """With the same numbers drawn: the noise has the scale too."""
    geometry, scale = ConvGeometry(kernel_size=(2, 3), padding=(1, 1, 0, 1)), ReadScale(v_per_x=0.05, a_per_y=3e-7)
    v = images(*chips, 3)
    results = []
    for numbers in (False, True):
        array, place = bench(CHANNELS * 6, n_out, chips=chips, cell=cell)
        rows = geometry.im2col(v).mT
        if numbers:
            by_images = read_patches(array, v / scale.v_per_x, geometry, place, scale) * scale.a_per_y
            by_rows = read_vectors(array, rows / scale.v_per_x, place, scale) * scale.a_per_y
        else:
            by_images, by_rows = read_patches(array, v, geometry, place), array.read(rows, place)
        results.append((by_images, by_rows))
    for volts, by_numbers in zip(*results, strict=True):
        assert_close(by_numbers, volts, rtol=1e-9, scale=1e-6)
    assert scale.s_per_w == 3e-7 / 0.05


def test_an_array_that_takes_volts_is_never_read_by_numbers():
    """It used to be sent the numbers in place of volts."""
    array, place = bench(CHANNELS * 4, 3)
    scale, geometry = ReadScale(v_per_x=0.05, a_per_y=3e-7), ConvGeometry(kernel_size=(2, 2))
    with pytest.raises(OutOfRangeError, match="`scale` must be None for a Bench"):
        read_patches(Bench(array), images(2), geometry, place, scale)
    with pytest.raises(OutOfRangeError, match="`scale` must be None for a Bench"):
        read_vectors(Bench(array), geometry.im2col(images(2)).mT, place, scale)


def test_an_array_that_is_not_homogeneous_is_never_read_by_numbers():
    array, place = bench(CHANNELS * 4, 3, dac=DAC(bits=4, v_max=0.2))
    geometry = ConvGeometry(kernel_size=(2, 2))
    with pytest.raises(OutOfRangeError, match="must be read in volts"):
        read_patches(array, images(2), geometry, place, ReadScale())
    with pytest.raises(OutOfRangeError, match="must be read in volts"):
        read_vectors(array, geometry.im2col(images(2)).mT, place, ReadScale())
    assert array.books.activity.n_reads == 0


def test_a_driver_cuts_what_is_above_its_read_voltage():
    array, place = bench(CHANNELS * 4, 3)
    v, geometry = images(2) * 3, ConvGeometry(kernel_size=(2, 2))
    cut = v.clamp(max=0.2)
    assert float(v.max()) > 0.5
    assert_close(
        read_patches(Bench(array), v, geometry, place), read_patches(array, cut, geometry, place), rtol=1e-9, scale=1e-5
    )

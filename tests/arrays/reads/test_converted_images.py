"""Converted convolutions of images against converted reads of their patches, one after another."""

from typing import Any

import pytest
import torch

from ohmweave.arrays import ADC, DAC, ConvGeometry, SimulatedArray
from ohmweave.arrays.converters import dac as dac_module
from ohmweave.arrays.reads import converted_images
from ohmweave.arrays.reads.patches import by_rows
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, LinearStep, ReadNoise
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

GEOMETRIES = [
    ConvGeometry(kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    ConvGeometry(kernel_size=(3, 2), stride=(2, 1), padding=(1, 0, 0, 2)),
    ConvGeometry(kernel_size=(2, 2), dilation=(2, 3)),
]
DACS = [None, DAC(bits=6, v_max=0.2, signed=True), DAC(bits=4, v_max=0.2, bit_serial=True)]
DACS.append(DAC(bits=4, v_max=0.2, bit_serial=True, signed=True))
FAULTY = {"offset": 0.7, "gain": 0.05, "inl": 0.6}


def placed(geometry: ConvGeometry, noise: float = 0.0, **parts: Any) -> Matrix:
    """A matrix of 3 channels and 5 outputs on arrays whose rows end in the middle of a channel."""
    law = Cell(LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ReadNoise(fraction=noise) if noise else None)
    chip = Chip(law, n_arrays=12, rows=7, cols=6, dtype=torch.float64, seed=3, **parts)
    n_in = 3 * geometry.kernel_size[0] * geometry.kernel_size[1]
    matrix = Matrix(chip, "layer", (5, n_in), mapping=DifferentialPair())
    weight = torch.randn(5, n_in, dtype=torch.float64, generator=generator(1))
    matrix.program(weight, BlindWrite(g_step=1e-7))
    return matrix


def images(*chips: int, n: int = 4) -> torch.Tensor:
    return 0.2 * torch.rand(*chips, n, 6, 7, 3, dtype=torch.float64, generator=generator(2))


def one_by_one(matrix: Matrix, v: torch.Tensor, geometry: ConvGeometry) -> torch.Tensor:
    array = matrix.chip.array
    return by_rows(v, geometry, lambda rows: array.read(rows, matrix.placement))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolve small images too."""
    monkeypatch.setattr(converted_images, "WORTH", 0)


@pytest.fixture(params=[False, True])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Convert by torch, and by the compiled loop."""
    if request.param:
        pytest.importorskip("numba")
    for module in (converted_images, dac_module):
        monkeypatch.setattr(module, "worth_compiling", lambda n: request.param)
    found: bool = request.param
    return found


@pytest.mark.usefixtures("compiled")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dac", DACS)
@pytest.mark.parametrize("subtract", ["digital", "analogue"])
@pytest.mark.parametrize("n_chips", [None, 2])
def test_equal_to_reads_of_patches(geometry: ConvGeometry, dac: DAC | None, subtract: Any, n_chips: int | None) -> None:
    """Tiles that end within a channel, converters with faults, both ways of subtraction, bit planes, chips."""
    adc = ADC(bits=7, signed=True, i_max=8e-6, subtract=subtract, **FAULTY)
    matrix = placed(geometry, adc=adc, dac=dac, n_chips=n_chips)
    v = images(*matrix.chip.chip_shape)
    if dac is None or dac.signed:
        v = v - 0.1
    fast = matrix.chip.array.read_patches(v, geometry, matrix.placement)
    slow = one_by_one(matrix, v, geometry)
    assert_close(fast, slow, rtol=1e-9, scale=float(slow.abs().max()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dac", [DACS[0], DACS[2]])
def test_noise_is_that_of_reads_of_patches(dac: DAC | None) -> None:
    """Mean, standard deviation and independence over reads, with steps of the converter below the noise."""
    geometry, n = GEOMETRIES[0], 1_500
    matrix = placed(geometry, noise=0.1, adc=ADC(bits=16, signed=True, i_max=8e-6), dac=dac)
    v = images(n=1).expand(n, -1, -1, -1)
    fast = matrix.chip.array.read_patches(v, geometry, matrix.placement)[:, ::2, ::3].flatten(1)
    slow = one_by_one(matrix, v, geometry)[:, ::2, ::3].flatten(1)
    assert_close(fast.std(0), slow.std(0), rtol=6 / n**0.5)
    assert float(((fast.mean(0) - slow.mean(0)).abs() / slow.std(0)).max()) < 5 * (2 / n) ** 0.5
    found = torch.corrcoef(fast.mT) - torch.eye(fast.shape[1], dtype=torch.float64)
    assert float(found.abs().max()) < 5.5 / n**0.5


@pytest.mark.filterwarnings("ignore")
def test_each_chip_reads_as_alone() -> None:
    """Without noise the codes of a chip do not depend on the chips beside it."""
    geometry = GEOMETRIES[1]
    matrix = placed(geometry, adc=ADC(bits=6, i_max=8e-6), n_chips=2)
    v = images(2)
    both = matrix.chip.array.read_patches(v, geometry, matrix.placement)
    swapped = matrix.chip.array.read_patches(v.roll(1, 0), geometry, matrix.placement)
    assert not torch.equal(both[0], both[1])
    assert torch.equal(matrix.chip.array.read_patches(v[[0, 0]], geometry, matrix.placement)[0], both[0])
    assert not torch.equal(swapped[0], both[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dac", [DACS[0], DACS[2]])
def test_the_range_of_the_converters_is_the_same(dac: DAC | None) -> None:
    geometry = GEOMETRIES[0]
    found = []
    for by_patches in (True, False):
        matrix = placed(geometry, adc=ADC(bits=8), dac=dac)
        array = matrix.chip.array
        assert isinstance(array, SimulatedArray)
        with array.ranging():
            array.read_patches(images(), geometry, matrix.placement) if by_patches else one_by_one(
                matrix, images(), geometry
            )
        found.append(array.full_scale(matrix.placement))
    assert_close(found[0], found[1], rtol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dac", DACS)
@pytest.mark.parametrize("subtract", ["digital", "analogue"])
@pytest.mark.parametrize("faults", [{}, {"offset": 0.7}, FAULTY])
def test_the_compiled_conversion_has_the_bits_of_torch(
    dac: DAC | None, subtract: Any, faults: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    found = []
    for one in (True, False):
        for module in (converted_images, dac_module):
            monkeypatch.setattr(module, "worth_compiling", lambda n, one=one: one)
        matrix = placed(GEOMETRIES[1], noise=0.05, adc=ADC(bits=7, signed=True, subtract=subtract, **faults), dac=dac)
        found.append(matrix.chip.array.read_patches(images(), GEOMETRIES[1], matrix.placement))
    assert torch.equal(*found)


@pytest.mark.parametrize("dac", [DAC(bits=5, v_max=0.15), DAC(bits=5, v_max=0.15, signed=True)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_codes_have_the_bits_of_torch(dac: DAC, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves between codes, values beyond the range, other orders of memory; NaN stays, or is refused, as in torch."""
    pytest.importorskip("numba")
    halves = torch.arange(-80, 81, dtype=dtype) / 2 * dac.v_lsb
    v = (halves if dac.signed else halves[80:]).expand(5, -1).mT
    found = []
    for one in (True, False):
        monkeypatch.setattr(dac_module, "worth_compiling", lambda n, one=one: one)
        found.append(dac.codes(v))
        bad = torch.full((3,), torch.nan, dtype=dtype)
        if dac.signed:
            assert dac.codes(bad).isnan().all()
        else:
            for wrong in (bad, -v[-1:]):
                with pytest.raises(OutOfRangeError, match="`v_row` must be >= 0 V"):
                    dac.codes(wrong)
    assert torch.equal(*found)


@pytest.mark.filterwarnings("ignore")
def test_few_small_images_are_read_by_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = GEOMETRIES[0]
    matrix = placed(geometry, adc=ADC(bits=6, i_max=8e-6))
    array = matrix.chip.array
    assert isinstance(array, SimulatedArray)
    by_patches = one_by_one(matrix, images(), geometry)
    monkeypatch.setattr(converted_images.ConvertedImages, "read", lambda *args, **kwargs: pytest.fail("was called"))
    n_conversions = 4 * 6 * 7 * 6  # images, pixels, lines of a tile
    monkeypatch.setattr(converted_images, "WORTH", n_conversions + 1)
    assert torch.equal(array.read_patches(images(), geometry, matrix.placement), by_patches)
    monkeypatch.setattr(converted_images, "WORTH", n_conversions)
    with pytest.raises(pytest.fail.Exception):
        array.read_patches(images(), geometry, matrix.placement)


@pytest.mark.usefixtures("compiled")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dac", DACS)
@pytest.mark.parametrize("subtract", ["digital", "analogue"])
@pytest.mark.parametrize("n_chips", [None, 2])
def test_vectors_as_images_of_one_pixel(
    dac: DAC | None, subtract: Any, n_chips: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    adc = ADC(bits=7, signed=True, i_max=8e-6, subtract=subtract, **FAULTY)
    matrix = placed(GEOMETRIES[0], adc=adc, dac=dac, n_chips=n_chips)
    v = images(*matrix.chip.chip_shape, n=9).flatten(-3)[..., :27]
    if dac is None or dac.signed:
        v = v - 0.1
    slow = matrix.chip.array.read(v, matrix.placement)
    monkeypatch.setattr(converted_images, "VECTORS_WORTH", 1)
    fast = matrix.chip.array.read(v, matrix.placement)
    assert float(slow.abs().max()) > 0
    assert_close(fast, slow, rtol=1e-9, scale=float(slow.abs().max()))
    monkeypatch.setattr(converted_images.ConvertedImages, "read_vectors", None)  # it was used
    with pytest.raises(TypeError):
        matrix.chip.array.read(v, matrix.placement)


@pytest.mark.filterwarnings("ignore")
def test_noise_of_vectors_as_images_of_one_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    n, slow = 1_500, []
    matrix = placed(GEOMETRIES[0], noise=0.1, adc=ADC(bits=16, signed=True, i_max=8e-6))
    v = images(n=1).flatten(1)[:, :27].expand(n, -1)
    for worth in (2**62, 1):
        monkeypatch.setattr(converted_images, "VECTORS_WORTH", worth)
        slow.append(matrix.chip.array.read(v, matrix.placement))
    found, wanted = slow
    assert_close(found.std(0), wanted.std(0), rtol=6 / n**0.5)
    assert float(((found.mean(0) - wanted.mean(0)).abs() / wanted.std(0)).max()) < 5 * (2 / n) ** 0.5

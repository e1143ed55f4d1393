"""Reads are refused before anything is read or counted."""

from typing import Any

import pytest
import torch

from ohmweave.arrays import DAC, ConvGeometry, Placement, ReadScale, SimulatedArray, Tile, cells_of, read_vectors
from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.cells import Cell, LinearStep, SinhConduction
from tests.helpers import assert_close

CELL = LinearStep(g_min=2e-6, g_max=20e-6)


def made(**options: Any) -> tuple[SimulatedArray, Placement]:
    array = SimulatedArray(options.pop("cell", CELL), rows=4, cols=3, v_read=0.2, **options)
    tiles = (Tile(array=0, row=0, col=0, rows=4, cols=3, row_line=0, col_line=0),)
    return array, Placement(tiles=tiles, cells=cells_of(tiles, rows=4, cols=3))


@pytest.mark.parametrize("v", [0.21, -0.21, float("inf")])
def test_voltages_beyond_the_read_voltage(v: float) -> None:
    array, place = made()
    row = torch.tensor([[0.1, 0.0, v, 0.0]])
    with pytest.raises(OutOfRangeError, match=r"`v_row` must be within the read voltage, 0\.2 V"):
        array.read(row, place)
    with pytest.raises(OutOfRangeError, match="`v_col` must be within the read voltage"):
        array.read_transposed(row[:, 1:], place)
    images = torch.tensor([0.1, v]).view(1, 2, 1, 1).expand(1, 2, 2, 1)
    with pytest.raises(OutOfRangeError, match="`v` must be within the read voltage"):
        array.read_patches(images, ConvGeometry(kernel_size=(2, 2)), place)
    assert array.books.activity.n_reads == 0


def test_the_read_voltage_itself_is_read_and_nan_stays_nan() -> None:
    array, place = made()
    assert bool(array.read(torch.full((1, 4), 0.2), place).isfinite().all())
    assert bool(array.read(torch.tensor([[0.2, torch.nan, 0.0, 0.0]]), place).isnan().all())


def test_numbers_are_limited_in_volts() -> None:
    array, place = made()
    scale = ReadScale(v_per_x=0.02, a_per_y=1e-6)
    array.read_scaled(torch.full((1, 4), 10.0), place, scale)
    with pytest.raises(OutOfRangeError, match=r"up to 0.22 V \(11 in numbers\)"):
        array.read_scaled(torch.full((1, 4), 11.0), place, scale)
    array.read_scaled(torch.full((1, 4), 11.0), place, ReadScale(a_per_y=1e-6, free=True))
    other, place = made(cell=Cell(CELL, conduction=SinhConduction(v0=0.1)))
    with pytest.raises(OutOfRangeError, match="must be read in volts"):
        other.read_scaled(torch.zeros(1, 4), place, scale)


def test_a_dac_clamps() -> None:
    array, place = made(dac=DAC(bits=4, v_max=0.2))
    high, full = (array.read(torch.full((1, 4), v), place) for v in (50.0, 0.2))
    assert torch.equal(high, full)


def test_drivers_of_a_layer_clamp() -> None:
    """As a layer reads: inputs beyond the scale give the current of the full scale."""
    array, place = made()
    with pytest.warns(UserWarning, match="beyond the full scale of the row drivers"):
        high = read_vectors(array, torch.full((1, 4), 0.4), place)
    assert_close(high, array.read(torch.full((1, 4), 0.2), place), rtol=1e-6)


@pytest.mark.parametrize("dac", [None, DAC(bits=4, v_max=0.2)])
def test_later_reads_warn_once_of_inputs_beyond_the_drivers(dac: DAC | None) -> None:
    """Inputs that grow after the calibration were cut without a word: only the first read was looked at."""
    array, place = made(dac=dac)
    v = torch.tensor([[0.2, 0.1, 0.03, 0.15]])
    for _ in range(3):
        read_vectors(array, v, place)
    with pytest.warns(UserWarning, match=r"75% of the inputs of a matrix are beyond .* up to 5 times, and are cut"):
        read_vectors(array, 5 * v, place)
    read_vectors(array, 5 * v, place)  # no second warning
    other, place = made(dac=dac)
    read_vectors(other, torch.cat([v] * 10 + [1.2 * v]), place)  # one number of 44: as a quantile below 1 means it


def test_a_tensor_is_accepted_for_one_read_alone() -> None:
    array, place = made()
    v = torch.full((1, 4), 0.1)
    array.accept_voltages(v)
    array.read(v, place)
    v.fill_(5.0)
    with pytest.raises(OutOfRangeError, match="within the read voltage"):
        array.read(v, place)
    array.accept_voltages(torch.full((1, 4), 0.1))
    with pytest.raises(OutOfRangeError, match="within the read voltage"):
        array.read(v, place)


@pytest.mark.parametrize(
    ("v", "error", "message"),
    [
        (torch.zeros(4), ShapeError, r"`v_row` must have the shape \(any, 4\), but has \(4,\)"),
        (torch.zeros(1, 3), ShapeError, r"\(any, 4\), but has \(1, 3\)"),
        (torch.zeros(1, 1, 4), ShapeError, r"\(any, 4\), but has \(1, 1, 4\)"),
        (torch.zeros(1, 4, dtype=torch.float64), OutOfRangeError, "dtype, torch.float32, but is torch.float64"),
        ([[0.0] * 4], OutOfRangeError, "must be a tensor of the array's dtype"),
    ],
)
def test_tensors_of_another_kind(v: Any, error: type[Exception], message: str) -> None:
    array, place = made()
    with pytest.raises(error, match=message):
        array.read(v, place)


def test_chips_come_first() -> None:
    array, place = made(n_chips=2)
    assert array.read(torch.zeros(2, 5, 4), place).shape == (2, 5, 3)
    with pytest.raises(ShapeError, match=r"\(2, any, 4\), but has \(3, 5, 4\)"):
        array.read(torch.zeros(3, 5, 4), place)


def test_placements_of_another_array() -> None:
    array, place = made()
    tiles = (Tile(array=1, row=0, col=0, rows=4, cols=3, row_line=0, col_line=0),)
    with pytest.raises(OutOfRangeError, match="`placement` must be on arrays 0 to 0"):
        array.read(torch.zeros(1, 4), Placement(tiles=tiles, cells=cells_of(tiles, rows=4, cols=3)))
    shifted = Placement(tiles=place.tiles, cells=place.cells.flip(0))
    with pytest.raises(OutOfRangeError, match="must be the cells of its tiles"):
        array.read(torch.zeros(1, 4), shifted)
    with pytest.raises(TypeError, match="`placement` must be a Placement"):
        array.read(torch.zeros(1, 4), "place")  # type: ignore[arg-type]

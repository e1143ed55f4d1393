"""Converters with another transfer function: subclasses of `DAC` and `ADC` that override one method."""

import math
from dataclasses import dataclass

import pytest
import torch

from ohmweave.arrays import ADC, DAC, Meter, Placement, SimulatedArray, Tile, cells_of
from ohmweave.base import NormalStream
from ohmweave.cells import LinearStep
from tests.helpers import assert_close

G = 2e-6  # S, of fresh cells
V = torch.tensor([[[0.03, -0.11]], [[0.2, 0.007]]], dtype=torch.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetDAC(DAC):
    """Drives a quarter of an lsb more than its code."""

    def codes(self, v: torch.Tensor) -> torch.Tensor:
        return DAC.codes(self, v) + 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorADC(ADC):
    """Cuts the fraction off in place of rounding, and adds the offset of the line's converter after it."""

    def digitise(self, x: torch.Tensor, *, offset: torch.Tensor, inl: torch.Tensor, noise: NormalStream) -> None:
        low, high = self.codes
        x.floor_().clamp_(low, high).add_(offset)


def _array(dac: DAC | None, adc: ADC | None) -> tuple[SimulatedArray, Placement]:
    cell = LinearStep(g_min=G, g_max=20e-6, levels=16)
    array = SimulatedArray(cell, rows=2, cols=3, n_chips=2, dac=dac, adc=adc, dtype=torch.float64)
    tiles = (Tile(array=0, row=0, col=0, rows=2, cols=3, row_line=0, col_line=0),)
    return array, Placement(tiles=tiles, cells=cells_of(tiles, rows=2, cols=3))


def _driven(volt: float) -> float:
    return (round(volt / 0.2 * 31) + 0.25) * 0.2 / 31


def test_rows_are_driven_with_what_codes_returns_and_billed_for_it() -> None:
    array, place = _array(OffsetDAC(bits=6, v_max=0.2, signed=True), None)
    meter = Meter({"probe": place})
    with array.books.attached(meter):
        i_col = array.read(V, place)
    driven = [[_driven(volt) for volt in one[0]] for one in V.tolist()]
    expected = [[[sum(rows) * G] * 3] for rows in driven]
    assert_close(i_col, expected, rtol=1e-12)
    (usage,) = (usage for usage in meter.usage.values() if usage.n_reads)
    assert_close(usage.v2g, sum(v * v for rows in driven for v in rows) * G * 3, rtol=1e-12)


@pytest.mark.parametrize("dac", [None, OffsetDAC(bits=6, v_max=0.2, signed=True)], ids=["volts", "codes"])
def test_columns_are_converted_by_digitise(dac: DAC | None) -> None:
    array, place = _array(dac, FloorADC(bits=5, i_max=1e-6, signed=True, offset=0.5))
    assert array.homogeneous is False
    offset = array.state_dict()["converters.offset"][:, 0]  # (chips, cols), lsb
    lsb = 1e-6 / 15
    for chip, one in enumerate(V.tolist()):
        current = sum(volt if dac is None else _driven(volt) for volt in one[0]) * G
        code = min(max(math.floor(current / lsb), -15), 15)
        expected = [(code + float(offset[chip, col])) * lsb for col in range(3)]
        assert_close(array.read(V, place)[chip, 0], expected, rtol=1e-12)

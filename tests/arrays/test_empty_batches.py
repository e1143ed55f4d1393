"""A batch without samples has an empty result and costs nothing."""

from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import ADC, DAC, Wires
from ohmweave.cells import Cell, LinearStep, ReadNoise, SinhConduction
from ohmweave.cost import ledger

CELL = LinearStep(g_min=2e-6, g_max=20e-6)
KINDS: dict[str, dict[str, Any]] = {
    "exact": {},
    "noisy": {"cell": Cell(CELL, read_noise=ReadNoise(floor=1e-7))},
    "adc": {"adc": ADC(bits=6, signed=True)},
    "dac and adc": {"dac": DAC(bits=4, v_max=0.2), "adc": ADC(bits=6, signed=True)},
    "wires": {"wires": Wires(r_row=1.0, r_col=1.0)},
    "non-linear": {"cell": Cell(CELL, conduction=SinhConduction(v0=0.1))},
}


@pytest.mark.parametrize("n_chips", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_empty_batches(kind: str, n_chips: int | None) -> None:
    options = {"cell": CELL} | KINDS[kind]
    chip = ow.Chip(options.pop("cell"), rows=8, cols=8, n_chips=n_chips, **options)
    layer = ow.nn.Linear(3, 2, chip=chip, name="w")
    conv = ow.nn.Conv2d(1, 2, 2, chip=chip, name="c")
    lead = () if n_chips is None else (n_chips,)
    place, before = layer.matrix.placement, chip.array.books.activity
    with ledger(chip) as bill:
        assert chip.array.read(torch.zeros(*lead, 0, 3), place).shape == (*lead, 0, place.n_out)
        assert layer.matrix.matmul(torch.zeros(*lead, 0, 3)).shape == (*lead, 0, 2)
        assert conv(torch.zeros(0, 1, 4, 4)).shape == (0, 2, 3, 3)
    assert (chip.array.books.activity - before).n_reads == 0
    assert bill.total(phase="inference") == 0

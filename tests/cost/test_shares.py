"""Bills per chip and per image."""

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OhmweaveError, OutOfRangeError
from ohmweave.cost import ledger, per_chip
from tests.helpers import assert_close

WRITE = ow.WriteVerify(tolerance=0.4e-6)


def chip(n_chips: int | None) -> ow.Chip:
    law = ow.cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=31)
    return ow.Chip(law, rows=16, cols=16, n_chips=n_chips, adc=ow.arrays.ADC(bits=6))


def test_shares_are_sums_divided_by_chips_and_images() -> None:
    """Chips of a law without scatter are all alike, so that a share equals the bill of one chip and one image."""
    model, x = torch.nn.Linear(6, 3), torch.rand(1, 6)
    alone, several = (ow.deploy(model, chip(n), write=WRITE) for n in (None, 3))
    with ledger(alone) as one:
        alone(x)
    with ledger(several) as bill:
        several(x.expand(5, 6))
    records = {(r["phase"], r["component"]): r for r in per_chip(bill, 5) if r["layer"] == "model"}
    items = {(item.phase, item.component): item for item in one.items() if item.layer == "model"}
    assert set(records) == set(items)
    for key, item in items.items():
        found = records[key]
        assert_close(found["energy_J_in_all"], 15 * item.energy, rtol=1e-5)
        assert_close(found["energy_J_per_chip"], 5 * item.energy, rtol=1e-5)
        assert_close(found["time_s_per_chip"], 5 * item.time, rtol=1e-9)
        assert_close(found["area_m2_per_chip"], item.area, rtol=1e-9)
        if item.area:
            assert found["energy_J_per_chip_and_image"] is None
        else:
            assert_close(found["energy_J_per_chip_and_image"], item.energy, rtol=1e-5)
            assert_close(found["time_s_per_chip_and_image"], item.time, rtol=1e-9)


def test_images_belong_to_a_phase() -> None:
    net = ow.deploy(torch.nn.Linear(6, 3), chip(2), write=WRITE)
    with ledger(net, phase="training") as bill:
        net(torch.rand(4, 6))
        with bill.phase("inference"):
            net(torch.rand(8, 6))
    records = per_chip(bill, {"inference": 8})
    assert {r["phase"] for r in records if r["energy_J_per_chip_and_image"] is not None} == {"inference"}
    assert all(r["energy_J_per_chip_and_image"] is None for r in per_chip(bill))
    with pytest.raises(OutOfRangeError, match="'inferense'"):
        per_chip(bill, {"inferense": 8})
    with pytest.raises(OutOfRangeError, match="n_images"):
        per_chip(bill, 0)


def test_chips_of_different_numbers_are_refused() -> None:
    nets = [ow.deploy(torch.nn.Linear(6, 3), chip(n), write=WRITE) for n in (2, 3)]
    with ledger(*nets) as bill:
        pass
    with pytest.raises(OhmweaveError, match=r"\[2, 3\]"):
        per_chip(bill)

"""The bill of one image of the five-layer CNN, against the same counted patch by patch, bit by bit."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import UNASSIGNED
from ohmweave.base import OhmweaveError
from ohmweave.cells import LinearStep, Pulse
from ohmweave.cost import AreaBasis, Bill, ComponentCosts, EnergyBasis, ledger, yao2020_periphery
from ohmweave.mapping import Matrix
from ohmweave.papers.energy import BIT_SERIAL
from ohmweave.papers.yao2020 import system
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.programming import WriteVerify
from tests.helpers import assert_close

COSTS = yao2020_periphery()
ADC, REST, ADD, SET, RESET = (part.energy for part in COSTS.components)
SHAPES = {"groups.0.c1": (676, 1, 16), "groups.0.c3": (49, 8, 24), "fc": (1, 12, 20)}  # vectors, tiles, columns


def billed(*what: torch.nn.Module | ow.Chip | Matrix, **options: Any) -> AbstractContextManager[Bill]:
    """The ledger by the price list of Yao et al., whose converters the chips of these tests do not have."""
    return ledger(*what, **({"costs": COSTS, "assumed": True} | options))


@cache
def deployed() -> tuple[ow.nn.Deployed, Bill, torch.Tensor]:
    """A random network on one system, the bill of one image, and the image."""
    torch.manual_seed(0)
    net = FiveLayerCNN()
    image = torch.rand(1, 1, 28, 28) * (torch.rand(1, 1, 28, 28) > 0.5)
    chip = system.chips(1, seed=0, cell=LinearStep(g_min=2e-6, g_max=20e-6), dac=BIT_SERIAL)
    on_chip = system.transfer(net, chip, image)
    with billed(on_chip) as bill:
        on_chip(image)
    return on_chip, bill, image


def inputs_of(net: ow.nn.Deployed, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """`(vectors, lines)` V on the rows of each layer, with the voltages that 8 bits can say."""
    volts = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            x = inputs[0]
            lines = x if name == "fc" else torch.nn.functional.unfold(x, 3).mT.flatten(0, 1)
            volts[name] = (lines / layer.matrix.scaling.x_max * 255).round().clamp(0, 255)

        return hook

    handles = [net.model.get_submodule(name).register_forward_pre_hook(keep(name)) for name in SHAPES]
    net(image)
    for handle in handles:
        handle.remove()
    return volts


def test_reads_and_conversions_of_an_image() -> None:
    _, bill, _ = deployed()
    for layer, (vectors, tiles, columns) in SHAPES.items():
        usage = bill.usage["inference", layer]
        assert usage.n_reads == vectors * tiles * 8
        assert usage.n_conversions == vectors * tiles * columns * 8
    reads = [bill.usage["inference", layer].n_reads for layer in SHAPES]
    assert reads == [5408, 3136, 96]  # of the fact sheet, an image


def test_energy_of_an_image_equal_the_hand_count() -> None:
    net, bill, image = deployed()
    for layer, codes in inputs_of(net, image).items():
        vectors, tiles, columns = SHAPES[layer]
        g_line = net.model.get_submodule(layer).matrix.conductance()[0].double().sum(-1)
        ones = [sum(bin(int(code)).count("1") for code in line) for line in codes.mT]
        heat = sum(n * 0.2**2 * 50e-9 * float(g) for n, g in zip(ones, g_line, strict=True))
        conversions = vectors * tiles * columns * 8
        lines = bill.by("component", layer=layer, phase="inference")
        assert bill.usage["inference", layer].n_active == sum(ones)
        assert_close(lines["cells"], heat, rtol=1e-6)
        assert_close(lines["ADC"], conversions * 2.55e-12, rtol=1e-12)
        assert_close(lines["shift-and-add"], conversions * ADD, rtol=1e-12)
        assert_close(lines["drivers, multiplexers, sample-and-hold"], conversions * REST, rtol=1e-12)
        seconds = bill.total("time", layer=layer, phase="inference")
        assert_close(seconds, vectors * tiles * 8 * 50e-9, rtol=1e-12)
    assert_close(bill.total(), sum(item.energy for item in bill.items()), rtol=1e-12)


def test_an_image_of_zeros_heats_nothing() -> None:
    net, bill, image = deployed()
    with billed(net) as dark:
        net(torch.zeros_like(image))
    assert dark.total(component="cells") == 0
    assert_close(dark.total(component="ADC"), bill.total(component="ADC"), rtol=1e-12)
    assert dark.total() < bill.total()


def small_chip(n_chips: int | None = None) -> tuple[ow.Chip, ow.mapping.Matrix]:
    chip = ow.Chip(LinearStep(g_min=2e-6, g_max=20e-6, levels=10), n_arrays=2, rows=4, cols=8, n_chips=n_chips)
    return chip, ow.mapping.Matrix(chip, "w", (2, 4), mapping=ow.DifferentialPair())


def test_phases_of_writing_and_reading() -> None:
    chip, matrix = small_chip()
    weight = torch.tensor([[1.0, -0.5, 0.25, 0.0], [0.0, 1.0, -1.0, 0.5]])
    with billed(chip, phase="other") as bill:
        with bill.phase("transfer"):
            report = matrix.program(weight, WriteVerify(tolerance=1.1e-6))
        with bill.phase("inference"):
            matrix.matmul(torch.eye(4))
    assert_close(bill.total(phase="transfer", component="SET pulses"), int(report.n_set.sum()) * SET, rtol=1e-12)
    assert bill.usage["transfer", "w"].n_readouts == int(report.n_reads.sum())
    assert_close(bill.total(phase="transfer", component="ADC"), int(report.n_reads.sum()) * ADC, rtol=1e-12)
    assert bill.usage["inference", "w"].n_vectors == 4
    assert set(bill.by("phase")) == {"transfer", "inference"}
    seconds = bill.total("time", phase="transfer")
    n = int(report.n_reads.sum()) + int(report.n_pulses.sum())
    assert_close(seconds, n * 50e-9, rtol=1e-12)


def test_layers_placed_inside_the_block_are_known() -> None:
    chip, _ = small_chip()
    with billed(chip, phase="transfer") as bill:
        net = ow.deploy(torch.nn.Sequential(torch.nn.Linear(4, 2)), chip, write=WriteVerify(tolerance=1.1e-6))
    report = net.reports["0"]
    usage = bill.usage["transfer", "0"]
    assert (usage.n_set, usage.n_reset) == (int(report.n_set.sum()), int(report.n_reset.sum()))
    assert usage.n_set > 0
    assert bill.total("area", layer="0") > 0


def test_nothing_is_counted_after_the_block() -> None:
    chip, matrix = small_chip()
    with billed(matrix) as bill:
        matrix.matmul(torch.ones(3, 4))
    heat = bill.total(component="cells")
    before = bill.rows()
    matrix.matmul(torch.ones(3, 4))
    assert bill.rows() == before
    with billed(matrix) as unread:
        matrix.matmul(torch.ones(3, 4))
    chip.array.pulse(
        matrix.cells.flatten(), Pulse(torch.ones(matrix.cells.numel()), n=torch.full((matrix.cells.numel(),), 5))
    )
    assert_close(unread.total(component="cells"), heat, rtol=1e-9)  # of the cells as they were in the block
    assert not chip.array.books.metered


def test_area_is_shared_by_cells_and_adds_up() -> None:
    _, matrix = small_chip()
    costs = replace(COSTS, cell_area=1e-13)
    with billed(matrix, costs=costs) as bill:
        pass
    adc, add = 0.0015e-6 / 4 * 8, 0.00024e-6 / 8 / 128 * 8
    assert_close(bill.total("area"), 2 * (32 * 1e-13 + adc + add), rtol=1e-12)
    assert_close(bill.total("area", layer="w"), 16 / 32 * (32 * 1e-13 + adc + add), rtol=1e-12)
    assert bill.total() == 0


def test_replicas_cost_area_not_energy() -> None:
    chip, matrix = small_chip()
    with billed(chip) as alone:
        matrix.matmul(torch.ones(1, 4))
    ow.mapping.Matrix(chip, "copy", (2, 4), mapping=ow.DifferentialPair())
    with billed(chip) as both:
        matrix.matmul(torch.ones(1, 4))
    assert both.total() == alone.total()
    assert both.total("area", layer="(unused)") < alone.total("area", layer="(unused)")


def test_waiting_and_foreign_cells_have_items() -> None:
    chip, _ = small_chip()
    with billed(chip, phase="t_settle") as bill:
        chip.wait(3.0)
        chip.array.readout(torch.tensor([63]))
    assert bill.total("time", component="waiting") == 3.0
    assert bill.usage["t_settle", UNASSIGNED].n_readouts == 1


def test_chips_side_by_side_add_up() -> None:
    x = torch.ones(3, 2, 4)
    one, many = small_chip(), small_chip(3)
    with billed(one[0]) as single:
        one[1].matmul(x[0])
    with billed(many[0]) as triple:
        many[1].matmul(x)
    assert_close(triple.total(), 3 * single.total(), rtol=1e-6)


def test_rows_are_plain_records() -> None:
    _, bill, _ = deployed()
    rows = bill.rows()
    assert {"phase", "layer", "component", "count", "energy", "time", "area", "source"} == set(rows[0])
    assert all(row["source"] for row in rows if row["energy"])


def test_components_are_refused_by_name() -> None:
    adc = COSTS.components[0]
    with pytest.raises(ValueError, match="`components` must have different names"):
        replace(COSTS, components=(adc, adc))
    with pytest.raises(ValueError, match="`source`"):
        replace(adc, source="")
    with pytest.raises(ValueError, match="`energy` must be >= 0 J"):
        replace(adc, energy=-1e-12)
    with pytest.raises(ValueError, match="`t_read` must be > 0 s"):
        replace(COSTS, t_read=0.0)


def test_uncertainty_adds_in_squares() -> None:
    first, second, *_ = (replace(part, uncertainty=0.1) for part in COSTS.components)
    costs = replace(COSTS, components=(first, second))
    assert_close(costs.uncertainty({first.name: 3e-12, second.name: 4e-12, "cells": 1e-12}), 5e-13, rtol=1e-12)


def test_areas_by_what_they_belong_to() -> None:
    part = replace(COSTS.components[0], area=1e-12)
    for basis, number in ((AreaBasis.CELL, 32), (AreaBasis.ROW, 4), (AreaBasis.COLUMN, 8), (AreaBasis.ARRAY, 1)):
        costs = replace(COSTS, components=(replace(part, area_basis=basis),))
        assert_close(costs.array_area(4, 8)[part.name], number * 1e-12, rtol=1e-12)


@pytest.mark.parametrize("basis", list(EnergyBasis))
def test_uses(basis: EnergyBasis) -> None:
    usage = ow.arrays.Usage(
        n_reads=1, n_lines=20, n_active=300, n_conversions=4000, n_readouts=50000, n_set=600000, n_reset=7000000
    )
    expected = {
        EnergyBasis.ACTIVE_LINE: 50300,
        EnergyBasis.LINE: 50020,
        EnergyBasis.CONVERSION: 54000,
        EnergyBasis.READ: 50001,
        EnergyBasis.SET: 600000,
        EnergyBasis.RESET: 7000000,
    }
    assert basis.uses(usage) == expected[basis]


def test_a_network_without_a_chip_is_refused() -> None:
    with pytest.raises(OhmweaveError, match="layers on a chip"), billed(torch.nn.Linear(2, 2)):
        pass


def test_a_bill_may_be_opened_again_and_counts_nothing_in_between() -> None:
    chip, matrix = small_chip()
    bill = Bill([COSTS], [chip])
    for phase, n in (("training", 3), ("inference", 1), ("training", 2)):
        with bill.counting(phase):
            matrix.matmul(torch.ones(n, 4))
        matrix.matmul(torch.ones(7, 4))
    assert {phase: usage.n_vectors for (phase, _), usage in bill.usage.items()} == {"training": 5, "inference": 1}
    assert_close(bill.total(phase="training"), 5 * bill.total(phase="inference"), rtol=1e-6)
    assert not chip.array.books.metered


def test_pulses_known_otherwise_are_shared_by_layers_as_those_counted() -> None:
    chip, first = small_chip()
    second = ow.mapping.Matrix(chip, "second", (2, 4), mapping=ow.DifferentialPair())
    with billed(chip, phase="training") as bill:
        for matrix, n_set, n_reset in ((first, 3, 1), (second, 1, 0)):
            cells = chip.array.cells(matrix.placement).flatten()[: n_set + n_reset]
            chip.array.pulse(cells, Pulse(torch.tensor([1.0] * n_set + [-1.0] * n_reset)))
        with bill.phase("transfer"):
            chip.array.pulse(cells, Pulse(torch.ones(len(cells))))
    bill.recount("training", n_set=100, n_reset=7)
    counts = {key: (usage.n_set, usage.n_reset) for key, usage in bill.usage.items()}
    assert counts == {("training", "w"): (75, 7), ("training", "second"): (25, 0), ("transfer", "second"): (1, 0)}
    assert_close(bill.total(phase="training", component="SET pulses"), 100 * SET, rtol=1e-12)
    bill.recount("transfer", n_set=1, n_reset=5)  # none were counted: all layers of the phase share them
    assert bill.usage["transfer", "second"].n_reset == 5


# A prime for each counter and each price: whatever is swapped, dropped or counted twice changes the sum.
COUNTED = ow.arrays.Usage(
    n_vectors=2, n_reads=3, n_lines=5, n_active=7, n_conversions=11, n_readouts=13, n_set=17, n_reset=19
)
PRICES = {
    EnergyBasis.ACTIVE_LINE: (23, 7 + 13),
    EnergyBasis.LINE: (29, 5 + 13),
    EnergyBasis.CONVERSION: (31, 11 + 13),
    EnergyBasis.READ: (37, 3 + 13),
    EnergyBasis.SET: (41, 17),
    EnergyBasis.RESET: (43, 19),
}


def prime_costs() -> ComponentCosts:
    part = COSTS.components[0]
    parts = tuple(
        replace(part, name=basis.value, energy=float(price), energy_basis=basis) for basis, (price, _) in PRICES.items()
    )
    return replace(COSTS, components=parts, t_read=47.0, t_set=53.0, t_reset=59.0)


@pytest.mark.parametrize("basis", list(EnergyBasis))
def test_each_price_meets_its_own_count(basis: EnergyBasis) -> None:
    costs = prime_costs()
    part = next(part for part in costs.components if part.energy_basis is basis)
    price, count = PRICES[basis]
    assert costs.energy(part, COUNTED) == price * count


def test_time_is_that_of_reads_and_of_pulses_of_either_polarity() -> None:
    costs = prime_costs()
    assert costs.time(COUNTED) == (3 + 13) * 47 + 17 * 53 + 19 * 59
    assert costs.heat(replace(COUNTED, v2g=61.0, readout_v2g=67.0)) == (61 + 67) * 47


def test_a_bill_of_unequal_pulses_is_the_hand_count() -> None:
    chip, matrix = small_chip()
    costs = prime_costs()
    with billed(chip, costs=costs, phase="update") as bill:
        cells = matrix.cells.flatten()[:8]
        chip.array.pulse(cells, Pulse(torch.tensor([1.0] * 5 + [-1.0] * 3), n=torch.tensor([2] * 8)))
    found = {item.component: (item.count, item.energy, item.time) for item in bill.items() if item.phase == "update"}
    assert found == {
        "cells": (16, 0.0, 10 * 53.0 + 6 * 59.0),
        "SET pulse": (10, 10 * 41.0, 0.0),
        "RESET pulse": (6, 6 * 43.0, 0.0),
    }


def test_bills_and_items_read_well() -> None:
    chip, matrix = small_chip()
    with billed(chip, phase="update") as bill:
        chip.array.pulse(torch.tensor([int(matrix.cells[0, 0]), 63]), Pulse(torch.tensor([1, 1])))
        chip.wait(2.0)
    set_item = next(item for item in bill.items() if (item.component, item.layer) == ("SET pulses", "w"))
    assert repr(set_item) == "update, w, SET pulses: 1 uses, 6e-12 J"
    lines = repr(bill).splitlines()
    assert lines[0].startswith("Bill of 1 chip by yao2020: 1.2e-11 J, 2 s, ")
    assert lines[1] == "  update 1.2e-11 J"
    with billed(small_chip(n_chips=3)[0]) as several:
        pass
    assert repr(several).startswith("Bill of 3 chips together by yao2020: 0 J, 0 s, ")
    assert repr(several).splitlines()[0].endswith(" m2 a chip")


def test_pulses_of_their_own_width_are_not_recounted() -> None:
    chip, matrix = small_chip()
    with billed(chip, phase="training") as bill:
        cells = matrix.cells.flatten()[:1]
        chip.array.books.pulse(cells, Pulse(torch.ones(1), width=torch.full((1,), 1e-7)))
    with pytest.raises(OhmweaveError, match="`recount`"):
        bill.recount("training", n_set=3, n_reset=0)


OPEN_AT_EXIT = """
import torch
import ohmweave as ow
from ohmweave.cost import ledger

def of_a_generator(net):
    with ledger(net):
        net(torch.ones(2, 4))
        yield

chip = ow.Chip(ow.cells.yao2020(), rows=8, cols=8)
net = ow.deploy(torch.nn.Linear(4, 3), chip, write=None, mapping=ow.DifferentialPair(g_unit=1e-5))
first = ledger(net)
bill = first.__enter__()
second = of_a_generator(net)
next(second)
"""


def test_bills_that_are_open_at_exit_do_not_abort() -> None:
    """They computed heat while torch was torn down, which aborted the process."""
    ended = subprocess.run([sys.executable, "-c", OPEN_AT_EXIT], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")

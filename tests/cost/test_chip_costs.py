"""The bill of a chip as it is built: every count by hand, and no circuit that the chip does not have."""

from dataclasses import replace

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import ADC, DAC
from ohmweave.base import OhmweaveError, OutOfRangeError
from ohmweave.cost import (
    Bill,
    ComponentCosts,
    Process,
    adc_price,
    chip_costs,
    dac_price,
    isaac2016,
    ledger,
    yao2020_periphery,
)
from tests.helpers import assert_close

LAW = ow.cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=31)
ROWS, COLS, N_IN, N_OUT, N_IMAGES = 64, 64, 32, 16, 10
SERIAL = DAC(bits=2, v_max=0.2, bit_serial=True)
CHIPS: dict[str, dict[str, object]] = {
    "no converters": {},
    "DAC 2 bits, bit-serial": {"dac": SERIAL},
    "the same, ADC 4 bits": {"dac": SERIAL, "adc": ADC(bits=4)},
    "the same, ADC 12 bits": {"dac": SERIAL, "adc": ADC(bits=12)},
    "ADC 8 bits, one for four columns": {"dac": SERIAL, "adc": ADC(bits=8, columns_per_adc=4)},
    "DAC 8 bits, parallel": {"dac": DAC(bits=8, v_max=0.2)},
}
"""The six chips of the design table."""

KULL, DRIVER, HOLD, ADD = 3.1e-3 / 1.2e9, 4e-3 / 1024 * 100e-9, 10e-6 / 1024 * 100e-9, 0.2e-3 / 9.6e9
"""J, from the cited figures: a conversion of 8 bits, a driven line, a sampled column, a shift-and-add."""


def deployed(**converters: object) -> tuple[ow.nn.Deployed, ow.Chip]:
    """One linear layer on one array, with inputs up to 1 driven up to 0.2 V."""
    torch.manual_seed(0)
    chip = ow.Chip(ow.cells.yao2020(), rows=ROWS, cols=COLS, **converters)  # type: ignore[arg-type]
    layer = torch.nn.Linear(N_IN, N_OUT, bias=False)
    return ow.deploy(layer, chip, write=ow.WriteVerify(tolerance=0.5e-6), scaling=ow.mapping.FixedScaling), chip


def bill_of(costs: ComponentCosts | None = None, **converters: object) -> Bill:
    """Of ten inputs of ones, so that each line is active in each interval."""
    net, _ = deployed(**converters)
    with ledger(net, costs=costs) as bill:
        net(torch.ones(N_IMAGES, N_IN))
    return bill


def by_hand(name: str) -> dict[str, float]:
    """J by component for ten inputs of ones, from the cited figures and the number of uses."""
    converters = CHIPS[name]
    dac, adc = converters.get("dac"), converters.get("adc")
    intervals = 2 if dac is SERIAL else 1
    lines, columns = N_IMAGES * N_IN * intervals, N_IMAGES * 2 * N_OUT * intervals
    pitch = (12 * 32e-9**2) ** 0.5
    found = {"row lines": lines * 0.2e-9 * pitch * COLS * 0.2**2}
    if dac is SERIAL:
        found["drivers"] = lines * DRIVER
    elif dac is not None:
        found["DAC and drivers"] = lines * (DRIVER + KULL / 2)
    if isinstance(adc, ADC):
        sizes = {4: (1 / 16 + 1 / 2) / 2, 8: 1.0, 12: (16 + 1.5) / 2}
        found |= {"ADC": columns * KULL * sizes[adc.bits], "sample-and-hold": columns * HOLD}
        found["shift-and-add"] = columns * ADD
    return found


@pytest.mark.parametrize("name", CHIPS)
def test_a_bill_equals_the_hand_count(name: str) -> None:
    bill = bill_of(**CHIPS[name])
    ours = bill.by("component", phase="inference")
    cells = ours.pop("cells")
    assert cells > 0
    expected = by_hand(name)
    assert ours.keys() == expected.keys()
    for component, energy in expected.items():
        assert_close(ours[component], energy, rtol=1e-9)


@pytest.mark.parametrize("name", CHIPS)
def test_the_uncertainty_of_a_bill_is_the_hand_count(name: str) -> None:
    """Half of the energy of lines, drivers and converters, each for itself; the other circuits count as exact."""
    bill = bill_of(**CHIPS[name])
    doubtful = [
        energy for part, energy in by_hand(name).items() if part in ("row lines", "drivers", "DAC and drivers", "ADC")
    ]
    assert_close(bill.uncertainty(phase="inference"), sum((0.5 * one) ** 2 for one in doubtful) ** 0.5, rtol=1e-9)
    if "ADC" in by_hand(name):
        converters = by_hand(name)["ADC"]
        assert_close(bill.uncertainty(phase="inference", component="ADC"), 0.5 * converters, rtol=1e-9)
        assert bill.uncertainty(component="sample-and-hold") == 0.0


def test_the_error_of_a_price_is_the_same_in_all_layers() -> None:
    """Two layers with one converter price: their errors add as they are, not in squares."""
    chip = ow.Chip(LAW, n_arrays=2, rows=32, cols=32, dac=SERIAL, adc=ADC(bits=8))
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
    net = ow.deploy(model, chip, write=ow.WriteVerify(tolerance=0.4e-6))
    with ow.cost.ledger(net) as bill:
        net(torch.ones(3, 8))
    each = [bill.uncertainty(component="ADC", layer=layer) for layer in ("0", "2")]
    assert_close(bill.uncertainty(component="ADC"), sum(each), rtol=1e-12)
    assert_close(each[0], 0.5 * bill.total(component="ADC", layer="0"), rtol=1e-12)
    with pytest.raises(OutOfRangeError, match="layer"):
        bill.uncertainty(layer="1")


@pytest.mark.parametrize(("node", "cell_size"), [(32e-9, 12.0), (130e-9, 126.0), (14e-9, 4.0)])
def test_cells_take_their_size_in_squares_of_the_feature_size(node: float, cell_size: float) -> None:
    """By hand: 64 x 48 cells of so many F^2 on each of three arrays."""
    chip = ow.Chip(LAW, n_arrays=3, rows=64, cols=48)
    costs = chip_costs(chip, process=Process(node=node, cell_size=cell_size))
    assert_close(costs.array_area(64, 48)["cells"], 64 * 48 * cell_size * node**2, rtol=1e-12)
    net = ow.deploy(torch.nn.Linear(4, 4), chip, write=ow.WriteVerify(tolerance=0.4e-6))
    with ow.cost.ledger(net, costs=costs) as bill:
        pass
    assert_close(bill.total("area", component="cells"), 3 * 64 * 48 * cell_size * node**2, rtol=1e-12)


def test_the_six_chips_have_six_bills() -> None:
    bills = {name: bill_of(**converters) for name, converters in CHIPS.items()}
    energies = [bill.total("energy") for bill in bills.values()]
    assert len({f"{energy:.6g}" for energy in energies}) == len(CHIPS)
    areas = {name: bill.total("area") for name, bill in bills.items()}
    # A line switch of one bit and a DAC of eight, four columns a converter and one.
    assert len({f"{area:.6g}" for area in areas.values()}) == len(CHIPS)
    assert areas["no converters"] < areas["DAC 2 bits, bit-serial"] < areas["the same, ADC 4 bits"]
    assert areas["ADC 8 bits, one for four columns"] < areas["the same, ADC 12 bits"]


def test_areas_equal_the_hand_count() -> None:
    per_array = chip_costs(deployed(**CHIPS["ADC 8 bits, one for four columns"])[1]).array_area(ROWS, COLS)
    expected = {
        "cells": 12 * 32e-9**2 * ROWS * COLS,
        "drivers": 0.00017e-6 / 1024 * ROWS,
        "ADC": 0.0015e-6 * COLS / 4,
        "sample-and-hold": 0.00004e-6 / 1024 * COLS,
        "shift-and-add": 0.00024e-6 / 8 / 128 * COLS,
    }
    assert per_array.keys() == expected.keys()
    for part, area in expected.items():
        assert_close(per_array[part], area, rtol=1e-12)


def test_a_read_takes_as_long_as_the_conversions_that_share_a_converter() -> None:
    def t_read(design: str = "sar", **adc: int) -> float:
        return chip_costs(deployed(adc=ADC(**adc))[1], adc_design=design).t_read

    assert t_read(bits=8) == 50e-9  # one conversion takes 0.8 ns: the currents settle for longer
    assert_close(t_read(bits=12, columns_per_adc=64), 64 * 12 / 8 / 1.2e9, rtol=1e-12)
    assert_close(t_read(bits=8, columns_per_adc=100), 64 / 1.2e9, rtol=1e-12)  # of 64 columns
    assert_close(t_read("ramp", bits=10), 1024 / 8 / 1.2e9, rtol=1e-12)
    assert t_read("flash", bits=10) == 50e-9


def test_prices_of_converters_grow_as_their_parts() -> None:
    assert_close(adc_price(8).energy, KULL, rtol=1e-12)
    assert_close(adc_price(8).area, 0.0015e-6, rtol=1e-12)
    assert_close(adc_price(8).duration, 1 / 1.2e9, rtol=1e-12)
    assert_close(adc_price(4).energy, KULL * (1 / 16 + 1 / 2) / 2, rtol=1e-12)
    assert_close(adc_price(3, "flash").energy, 7 * KULL / 8, rtol=1e-12)
    assert_close(adc_price(3, "ramp").energy, KULL, rtol=1e-12)
    assert dac_price(1).energy == 0
    assert_close(dac_price(6).energy, KULL / 8, rtol=1e-12)
    assert_close(dac_price(9).area, 0.0015e-6, rtol=1e-12)
    for wrong in (0, 17, 2.5, True):
        with pytest.raises(OutOfRangeError, match="`bits`"):
            adc_price(wrong)  # type: ignore[arg-type]
    with pytest.raises(OutOfRangeError, match="`design` must be one of sar, flash, ramp, but is 'sigma-delta'"):
        adc_price(8, "sigma-delta")


def test_a_larger_process_has_larger_circuits_and_cells() -> None:
    _, chip = deployed(dac=SERIAL, adc=ADC(bits=8))
    small, large = (chip_costs(chip, process=Process(node=node)) for node in (32e-9, 64e-9))
    for one, two in zip(small.components[:5], large.components[:5], strict=True):
        assert_close(two.energy / one.energy, 2.0, rtol=1e-12)
        if one.area:
            assert_close(two.area / one.area, 4.0, rtol=1e-12)
    assert_close(large.cell_area / small.cell_area, 4.0, rtol=1e-12)


def test_prices_of_other_converters_than_the_chip_s_are_refused() -> None:
    macro = {"dac": DAC(bits=8, v_max=0.2, bit_serial=True), "adc": ADC(bits=8, columns_per_adc=4)}
    assert bill_of(yao2020_periphery(), **macro).total() > 0
    for changed, said in (
        ({"adc": None}, "prices conversions of 8 bits, and the chip has no such converter"),
        ({"adc": ADC(bits=6)}, "prices conversions of 8 bits, and the chip has 6 bits"),
        ({"dac": None}, "prices rows driven with 1 bits, and the chip has no such converter"),
        ({"dac": DAC(bits=8, v_max=0.2)}, "prices rows driven with 1 bits, and the chip has 8 bits"),
    ):
        with pytest.raises(OutOfRangeError, match=said):
            bill_of(isaac2016(), **macro | changed)
    net, _ = deployed()
    with ledger(net, costs=yao2020_periphery(), assumed=True) as bill:
        net(torch.ones(1, N_IN))
    assert bill.total(component="ADC") > 0
    net, _ = deployed(adc=ADC(bits=6))
    with (
        pytest.raises(OutOfRangeError, match="the chip has 6 bits"),
        ledger(net, costs=yao2020_periphery(), assumed=True),
    ):
        pass


def test_chips_of_one_bill_have_prices_of_their_own() -> None:
    one, two = deployed(adc=ADC(bits=4))[0], deployed(adc=ADC(bits=12))[0]
    with ledger(one, two) as bill:
        one(torch.ones(1, N_IN))
        two(torch.ones(3, N_IN))
    expected = 2 * N_OUT * (adc_price(4).energy + 3 * adc_price(12).energy)
    assert_close(bill.total(component="ADC"), expected, rtol=1e-9)


def test_names_that_a_bill_does_not_know_are_no_sum_over_nothing() -> None:
    bill = bill_of(**CHIPS["the same, ADC 4 bits"])
    assert bill.total(phase="training") == 0
    assert bill.total(component="waiting") == 0
    for ask, said in (
        (lambda: bill.total("enrgy"), "`quantity` must be one of energy, time, area, count, but is 'enrgy'"),  # type: ignore[arg-type]
        (lambda: bill.total(component="adc"), "`component` must be one of ADC, .*, but is 'adc'"),
        (lambda: bill.total(layer="1"), "`layer` must be one of .*, but is '1'"),
        (lambda: bill.total(phase="infer"), "`phase` must be one of .*inference.*, but is 'infer'"),
        (lambda: bill.total(lyr="0"), "a field of a bill must be one of phase, layer, component, but is 'lyr'"),
        (lambda: bill.by("layers"), "a field of a bill must be .*, but is 'layers'"),
    ):
        with pytest.raises(OutOfRangeError, match=said):
            ask()


def test_a_real_array_needs_a_price_list() -> None:
    _, simulated = deployed()
    chip = ow.Chip(array=Unknown(simulated.array))
    with pytest.raises(OhmweaveError, match="must be simulated"):
        chip_costs(chip)
    with ledger(chip, costs=replace(yao2020_periphery(), name="board")) as bill:
        pass
    assert bill.total() == 0


class Unknown:
    """Another array: all that it says is what the simulated one says."""

    def __init__(self, array: object) -> None:
        self._array = array

    def __getattr__(self, name: str) -> object:
        return getattr(self._array, name)

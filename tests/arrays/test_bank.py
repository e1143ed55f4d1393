"""The version of the cells, what has changed since one, and what is kept for each version."""

import gc
import weakref

import pytest
import torch

from ohmweave.arrays import ADC, DAC, ConvGeometry, Meter, SimulatedArray, Transistors, Wires
from ohmweave.arrays.bank import CellBank
from ohmweave.base import OutOfRangeError
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, SinhConduction
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.optim.pulses import send_pulses
from tests.helpers import assert_close

CELL = LinearStep(g_min=2e-6, g_max=20e-6, levels=19)


def bank(n_cells: int = 800) -> CellBank:
    return CellBank(
        Cell(CELL),
        n_chips=None,
        n_arrays=1,
        rows=1,
        cols=n_cells,
        seed=0,
        device=torch.device("cpu"),
        dtype=torch.float64,
    )


def pulse(cells: CellBank, *at: int) -> torch.Tensor:
    where = torch.tensor(at)
    cells.switch(where, Pulse(torch.ones(len(at))))
    return where


def test_what_changed_since_a_version() -> None:
    cells = bank()
    assert cells.changed_since(cells.version).tolist() == []  # type: ignore[union-attr]
    start = cells.version
    pulse(cells, 3, 5)
    middle = cells.version
    pulse(cells, 7)
    assert cells.changed_since(start).tolist() == [3, 5, 7]  # type: ignore[union-attr]
    assert cells.changed_since(middle).tolist() == [7]  # type: ignore[union-attr]
    assert start < middle < cells.version


def test_any_cell_may_have_changed_after_time_a_load_or_many_pulses() -> None:
    cells = bank()
    for change in (
        lambda: cells.relax(1.0),
        lambda: cells.load_state_dict(cells.state_dict()),
        cells.mark_all_changed,
        lambda: cells.switch(torch.arange(101), Pulse(torch.ones(101))),
    ):
        before = cells.version
        change()
        assert cells.version > before
        assert cells.changed_since(before) is None
    assert cells.changed_since(-1) is None


def test_a_list_of_cells_that_was_written_to_afterwards_is_not_trusted() -> None:
    cells = bank()
    before = cells.version
    where = pulse(cells, 3, 5)
    where += 1
    assert cells.changed_since(before) is None


def test_the_record_of_changes_is_bounded() -> None:
    cells = bank(80_000)
    before = cells.version
    for _ in range(1_500):
        pulse(cells, 1)
    assert cells.changed_since(before) is None
    assert len(cells._changes) <= 1024
    assert cells.changed_since(cells.version - 1_000) is not None


KINDS = {
    "linear": {"cell": Cell(CELL, read_noise=ReadNoise(floor=1e-7))},
    "converted": {"cell": CELL, "dac": DAC(bits=4, v_max=0.2), "adc": ADC(bits=6)},
    "non-linear": {"cell": Cell(CELL, conduction=SinhConduction(v0=0.1)), "wires": Wires(r_row=1.0, r_col=1.0)},
    "non-linear, converted": {"cell": Cell(CELL, conduction=SinhConduction(v0=0.1)), "adc": ADC(bits=6)},
    "wires": {"cell": CELL, "wires": Wires(r_row=1.0, r_col=1.0), "access": Transistors(r_on=10.0)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_for_a_placement_is_freed_with_it(kind: str) -> None:
    """What was kept used to hold the placement, and lived as long as the array."""
    chip = Chip(n_arrays=2, rows=12, cols=6, dtype=torch.float64, **KINDS[kind])  # type: ignore[arg-type]
    array = chip.array
    assert isinstance(array, SimulatedArray)
    place = chip.place("m", (9, 2), col_gain=(1.0, -1.0))
    v = torch.full((2, 9), 0.1, dtype=torch.float64)
    meter = Meter(chip.placed)
    with array.books.attached(meter):
        array.read(v, place)
        images = torch.full((1, 4, 4, 1), 0.1, dtype=torch.float64)
        array.read_patches(images, ConvGeometry(kernel_size=(3, 3)), place)
        if array._reader.linear:
            array.read_transposed(torch.full((2, 2), 0.1, dtype=torch.float64), place)
        assert meter.usage
        assert len(array.books._driven) > 0
    kept = [array._reader.seen._signed, array._reader._converted, array.books._driven]
    gone = weakref.ref(place)
    chip.remove("m")
    del place, meter
    gc.collect()
    assert gone() is None
    assert [len(cache) for cache in kept] == [0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_kept_is_out_of_date(kind: str) -> None:
    """After pulses, time and a load, reads are those of an array that has kept nothing."""
    parts = {"n_arrays": 2, "rows": 12, "cols": 6, "dtype": torch.float64} | KINDS[kind]
    one, fresh = (Chip(**parts) for _ in range(2))  # type: ignore[arg-type]
    matrices = [Matrix(chip, "m", (2, 9), mapping=DifferentialPair()) for chip in (one, fresh)]
    v = torch.linspace(0.01, 0.2, 9, dtype=torch.float64)[None]
    start = one.state_dict()
    one.array.read(v, matrices[0].placement)
    for step in range(6):
        if step == 5:
            one.load_state_dict(start)
        elif step == 3:
            one.wait(1.0)
        else:
            send_pulses(matrices[0], torch.ones(2, 9).tril(step))
        fresh.load_state_dict(one.state_dict())
        reads = [matrix.chip.array.read(v, matrix.placement) for matrix in matrices]
        assert_close(reads[0], reads[1], rtol=1e-12, scale=1e-6)


def test_states_of_other_arrays_are_refused_and_change_nothing() -> None:
    array = SimulatedArray(CELL, rows=2, cols=3, adc=ADC(bits=4))
    array.pulse(torch.arange(2), Pulse(torch.ones(2)))
    before = array.state_dict()
    noisy = SimulatedArray(Cell(CELL, read_noise=ReadNoise(floor=1e-7)), rows=2, cols=3).state_dict()
    wrong = {
        "lacks converters": (noisy, "must have the converters'"),
        "lacks a stream": ({k: v for k, v in before.items() if k != "random.reads"}, "random streams in `state`"),
        "lacks counts": ({k: v for k, v in before.items() if k != "books.counts"}, "totals of the books in `state`"),
        "has more": (before | {"motor.angle": torch.zeros(1)}, "also has .'motor'."),
        "has other cells": (before | {"cells.age": torch.zeros(6)}, "must hold the cells of a LinearStep cell"),
        "another device's stream": (before | {"random.reads": torch.zeros(16, dtype=torch.uint8)}, "kind of device"),
    }
    for state, message in wrong.values():
        with pytest.raises(OutOfRangeError, match=message):
            array.load_state_dict(state)
        after = array.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int32, torch.complex64])
def test_types_that_cannot_hold_conductances_are_refused(dtype: torch.dtype) -> None:
    """bfloat16 was 78 % off."""
    with pytest.raises(
        OutOfRangeError, match=r"`dtype` must be torch.float32 or torch.float64, but is torch.*Keep the"
    ):
        Chip(CELL, rows=2, cols=2, dtype=dtype)


def test_printouts_fit_in_three_lines() -> None:
    chip = Chip(
        CELL,
        n_arrays=8,
        rows=16,
        cols=128,
        n_chips=10,
        dac=DAC(bits=8, v_max=0.2, bit_serial=True),
        adc=ADC(bits=8, columns_per_adc=4),
        wires=Wires(r_row=1.0, r_col=2.0),
    )
    place = chip.place("fc", (16, 40), col_gain=(1.0, -1.0))
    assert repr(place) == "Placement(16 inputs x 40 outputs on 16 row lines x 80 column lines, tiles on arrays [0])"
    assert repr(chip).splitlines() == [
        "Chip(1,280 of 16,384 cells taken by [fc], "
        "SimulatedArray(8 arrays of 16 x 128 LinearStep cells, 10 chips, v_read=0.2 V, torch.float32 on cpu,",
        "  DAC(bits=8, v_max=0.2 V, unsigned, bit-serial) ADC(bits=8, unsigned, range from data, columns_per_adc=4),",
        "  Wires(r_row=1 Ohm, r_col=2 Ohm)))",
    ]
    assert repr(SimulatedArray(CELL, rows=4, cols=6)) == (
        "SimulatedArray(1 array of 4 x 6 LinearStep cells, v_read=0.2 V, torch.float32 on cpu)"
    )
    assert repr(Transistors(r_on=300.0)) == "Transistors(r_on=300 Ohm)"
    assert repr(Transistors(v_set=1.0, v_reset=1.5)) == "Transistors(r_on=0 Ohm, v_set=1 V, v_reset=1.5 V)"
    assert repr(Wires(r_row=0.0, r_col=0.0)) == "Wires(ideal)"
    assert repr(Wires(r_row=1.0, r_col=0.0, driven_from="both")) == "Wires(r_row=1 Ohm, driven from both ends)"

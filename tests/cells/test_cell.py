"""The composition: one order of physics, whatever order the parts are given in; and what is no cell is refused."""

import itertools
from dataclasses import replace

import pytest
import torch

from ohmweave.arrays import Passive, SimulatedArray, Transistors
from ohmweave.base import OutOfRangeError, flatten_state, generator, unflatten_state
from ohmweave.cells import (
    Cell,
    CellState,
    ConductanceState,
    LinearStep,
    Pulse,
    PulseTable,
    ReadNoise,
    Relaxation,
    Spread,
    StuckCells,
    VoltageDependence,
    linear_steps,
    yao2020,
)
from ohmweave.mapping import Chip
from tests.cells.shipped import ALL, GATE, LAWS
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=10)  # steps of 2 uS
VOLTAGE = VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.2)


def life(cell: Cell) -> dict[str, torch.Tensor]:
    state = cell.init_state((40,), generator=generator(0, "cells"), dtype=torch.float64)
    chance = generator(0, "life")
    for k in range(6):
        polarity = torch.arange(40) % 3 - 1
        v = torch.linspace(0.5, 1.5, 40, dtype=torch.float64) if cell.feels_voltage else None
        state = cell.pulse(state, Pulse(polarity, n=torch.arange(40) % 4, v=v), generator=chance)
        state = cell.relax(state, 2.0**k, generator=chance)
    seen = {"g": cell.conductance(state), "i": cell.current(state, torch.full((40,), 0.3, dtype=torch.float64))}
    sigma = cell.read_noise_sigma(state)
    assert sigma is not None
    return {**flatten_state(state), **seen, "sigma": sigma}


@pytest.mark.parametrize("law", ["linear", "soft bounds", "table", "gate, listed cells disturbed"])
def test_the_order_in_which_parts_are_given_means_nothing(law: str) -> None:
    expected = life(Cell(LAWS[law], **ALL))
    for order in itertools.islice(itertools.permutations(ALL), 0, None, 97):
        cell = Cell(LAWS[law])
        for name in order:
            cell = replace(cell, **{name: ALL[name]})
        found = life(cell)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("noise", [None, ReadNoise(fraction=0.05)])
@pytest.mark.parametrize("law", [LINEAR, linear_steps(g_min=2e-6, g_max=20e-6, levels=10)])
def test_read_noise_does_not_change_what_a_pulse_does(noise, law) -> None:
    """At 19 uS, a step of 2 uS of a cell of half the size: 1 uS, to the bound and not to half of what is left."""
    cell = Cell(law, spread=Spread(d2d=0.3), read_noise=noise)
    state = CellState(
        ConductanceState(torch.tensor([19e-6, 3e-6], dtype=torch.float64)), torch.tensor([0.5, 0.5]).double()
    )
    after = cell.pulse(state, Pulse(torch.tensor([1, -1])), generator=generator(0))
    assert_close(after.switching.g, [20e-6, 2e-6], rtol=1e-12)


def test_voltage_and_spread_scale_the_step_before_the_window_cuts_it() -> None:
    """The step of 2 uS times 0.5 times 4, from 17 uS: to the bound. Cut first, it would be 18.5 uS."""
    v = 1.0 + 0.2 * torch.log(torch.tensor([4.0], dtype=torch.float64))  # far above v0, e^((v - 1) / 0.2) = 4
    cell = Cell(LINEAR, spread=Spread(d2d=0.3), voltage=VOLTAGE)
    state = CellState(ConductanceState(torch.tensor([17e-6], dtype=torch.float64)), torch.tensor([0.5]).double())
    after = cell.pulse(state, Pulse(torch.ones(1), v=v), generator=generator(0))
    assert_close(after.switching.g, [20e-6], rtol=1e-12)


def test_faults_overrule_pulses_and_time() -> None:
    cell = Cell(LINEAR, retention=Relaxation(sigma_fast=1e-6), faults=StuckCells(fraction=1.0, g_stuck=7e-6))
    state = cell.init_state((5,), generator=generator(0), dtype=torch.float64)
    state = cell.relax(cell.pulse(state, Pulse(torch.ones(5)), generator=generator(1)), 9.0, generator=generator(2))
    assert_close(cell.conductance(state), [7e-6] * 5, rtol=1e-12)


def test_processes_act_in_the_order_given_and_one_needs_no_tuple() -> None:
    fast, slow = Relaxation(sigma_fast=1e-6), Relaxation(sigma_slow=1e-6, fraction=0.5)
    assert Cell(LINEAR, retention=fast) == Cell(LINEAR, retention=(fast,))
    assert Cell(LINEAR, retention=[fast, slow]).retention == (fast, slow)  # type: ignore[arg-type]
    cell = Cell(LINEAR, retention=(fast, slow))
    state = cell.init_state((2_000,), generator=generator(0), dtype=torch.float64)
    assert bool(state.retention[0].relaxes.all())
    assert_close(state.retention[1].relaxes.double().mean(), 0.5, rtol=0.1)


def test_absent_parts_have_no_state() -> None:
    state = Cell(LINEAR).init_state((3,), generator=generator(0))
    assert (state.factor, state.retention, state.faults) == (None, (), None)
    assert list(flatten_state(state)) == ["switching.g"]
    back = unflatten_state(state, flatten_state(state))
    assert isinstance(back, CellState)
    assert back.factor is None
    assert back.retention == ()


def test_what_a_cell_responds_to() -> None:
    plain, felt, gated = Cell(LINEAR), Cell(LINEAR, voltage=VOLTAGE), Cell(GATE)
    assert [plain.feels_voltage, felt.feels_voltage, gated.feels_voltage] == [False, True, False]
    assert [plain.feels_gate, felt.feels_gate, gated.feels_gate] == [False, False, True]
    assert not any(cell.feels_width for cell in (plain, felt, gated))
    one = torch.ones(1)
    state = plain.init_state((1,), generator=generator(0))
    for name, remedy in (("v", "`voltage` law"), ("v_gate", "GateCompliance"), ("width", "pulses of one width")):
        with pytest.raises(OutOfRangeError, match=rf"`pulse.{name}` must be None for this cell.*{remedy}"):
            plain.pulse(state, Pulse(one)._replace(**{name: one}), generator=generator(0))


@pytest.mark.parametrize("place", [Chip, lambda cell: SimulatedArray(cell, rows=2, cols=2), Cell.of])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("yao2020", r"`cell` must be a Cell or a SwitchingLaw, but is 'yao2020': ohmweave.cells.find\(name\)\(\)"),
        (yao2020, r"but is the function yao2020: call it, yao2020\(\)"),
        (PulseTable, "but is the class PulseTable: give it its arguments"),
        (3.0, "but is 3.0"),
    ],
)
def test_what_is_no_cell_is_refused(place, wrong, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        place(wrong)


def test_a_switching_law_is_a_cell_that_is_nothing_else() -> None:
    assert Cell.of(LINEAR) == Cell(LINEAR)
    cell = Cell(LINEAR, read_noise=ReadNoise(floor=1e-8))
    assert Cell.of(cell) is cell
    assert SimulatedArray(LINEAR, rows=2, cols=2).cell == Cell(LINEAR)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"switching": ReadNoise()}, "`switching` must be a SwitchingLaw, such as PulseTable, but is ReadNoise"),
        ({"switching": Cell(LINEAR)}, "but is a Cell: add a part to a cell with dataclasses.replace"),
        ({"spread": 0.3}, "`spread` must be a SpreadLaw or None, but is 0.3"),
        ({"voltage": ReadNoise()}, "`voltage` must be a VoltageLaw or None"),
        ({"retention": (Spread(d2d=0.1),)}, "`retention` must be a RetentionLaw or a tuple of them"),
        ({"faults": 0.1}, "`faults` must be a FaultLaw or None"),
        ({"conduction": 0.1}, "`conduction` must be a ConductionLaw or None"),
        ({"read_noise": 0.01}, "`read_noise` must be a ReadNoiseLaw or None"),
    ],
)
def test_a_part_in_the_wrong_place_is_refused(parts, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Cell(**({"switching": LINEAR} | parts))


def test_amplitudes_at_cells_that_do_not_feel_them_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="`access` must have no `v_set` and `v_reset`"):
        SimulatedArray(LINEAR, rows=2, cols=2, access=Transistors(v_set=2.0, v_reset=1.5))
    with pytest.raises(OutOfRangeError, match="`cell` must feel the voltage in a passive array"):
        SimulatedArray(LINEAR, rows=2, cols=2, access=Passive(v_set=2.0, v_reset=1.5), readout="read")
    SimulatedArray(Cell(LINEAR, voltage=VOLTAGE), rows=2, cols=2, access=Transistors(v_set=2.0, v_reset=1.5))


def test_a_window_upside_down_is_refused() -> None:
    class Strange(LinearStep):
        def __post_init__(self) -> None:
            pass

    with pytest.raises(OutOfRangeError, match="`g_max` must be > g_min"):
        Cell(Strange(g_min=2e-6, g_max=1e-6))
    with pytest.raises(OutOfRangeError, match="`g_min` must be >= 0 S"):
        Cell(Strange(g_min=-2e-6, g_max=1e-6))

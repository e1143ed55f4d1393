"""The contract of cells on every law and combination of parts that is shipped, and on cells that break it."""

from dataclasses import dataclass, replace

import pytest
import torch

from ohmweave.cells import Cell, ConductionLaw, LinearStep, PulseTable, ReadNoiseLaw
from ohmweave.cells.laws import ConductanceState
from ohmweave.testing import CellContract
from tests.cells.shipped import CELLS, LAWS, PUBLISHED, SUMMED


class Named(CellContract):
    """The contract on a cell that a fixture chooses."""

    chosen: object

    def make_cell(self):
        return self.chosen


class TestShippedParts(Named):
    @pytest.fixture(autouse=True, params=CELLS)
    def _choose(self, request):
        self.chosen = CELLS[request.param]


class TestSummedTrains(Named):
    train_tolerance = 0.03

    @pytest.fixture(autouse=True, params=SUMMED)
    def _choose(self, request):
        self.chosen = SUMMED[request.param]


class TestPublishedCells(Named):
    @pytest.fixture(autouse=True, params=PUBLISHED)
    def _choose(self, request):
        self.chosen = PUBLISHED[request.param]


class TestBareLaw(Named):
    chosen = LAWS["table"]


class InPlace(PulseTable):
    def step(self, state, pulse, *, generator):
        state.g.mul_(1.0 + 1e-6)
        return super().step(state, pulse, generator=generator)


class Coupled(PulseTable):
    def step(self, state, pulse, *, generator):
        return super().step(state, pulse, generator=generator) * state.g.mean() / 10e-6


class OtherChance(PulseTable):
    def step(self, state, pulse, *, generator):
        return super().step(state, pulse, generator=generator) + 1e-9 * torch.rand(state.g.shape)


class SinglePrecision(PulseTable):
    def step(self, state, pulse, *, generator):
        return super().step(state, pulse, generator=generator).float() + torch.zeros(1, dtype=torch.float16)

    def after_pulse(self, state, g, pulse, chosen):
        return ConductanceState(g.float())


class DefaultDevice(PulseTable):
    def step(self, state, pulse, *, generator):
        return super().step(state, pulse, generator=generator) + torch.zeros(())


class Remembers(PulseTable):
    """Disturbs cells that got no pulse."""

    def after_pulse(self, state, g, pulse, chosen):
        return ConductanceState(g + 1e-9)


class Unbounded(LinearStep):
    """Says that its steps end at the bounds, and sends trains beyond."""

    sums_trains = False

    def after_pulse(self, state, g, pulse, chosen):
        return ConductanceState(state.g + chosen * self.step(state, pulse, generator=None))


class Negative(Unbounded):
    bounded = False


class Undefined(LinearStep):
    sums_trains = False

    def step(self, state, pulse, *, generator):
        return super().step(state, pulse, generator=generator) * torch.inf * 0


@dataclass(frozen=True)
class HalfCurrent(ConductionLaw):
    def current(self, g, v):
        return 0.5 * g * v


@dataclass(frozen=True)
class OneSided(ConductionLaw):
    def current(self, g, v):
        return g * v.abs()


@dataclass(frozen=True)
class NegativeNoise(ReadNoiseLaw):
    def sigma(self, g):
        return -g


class Undisturbed(LinearStep):
    """Says that it disturbs the cells that a call lists, and does not."""

    disturbs_listed_cells = True


TABLE = {name: getattr(LAWS["table"], name) for name in LAWS["table"].__dataclass_fields__}
BROKEN = [
    (InPlace(**TABLE), "test_arguments_are_left_as_they_were"),
    (Coupled(**TABLE), "test_cells_do_not_depend_on_each_other"),
    (OtherChance(**TABLE), "test_equal_seeds_give_equal_bits"),
    (OtherChance(**TABLE), "test_a_saved_state_goes_on_bit_for_bit"),
    (SinglePrecision(**TABLE), "test_dtype_and_device_are_kept"),
    (Remembers(**TABLE), "test_cells_without_a_pulse_keep_their_state"),
    (Undisturbed(g_min=2e-6, g_max=20e-6), "test_cells_without_a_pulse_keep_their_state"),
    (Unbounded(g_min=2e-6, g_max=20e-6, levels=10), "test_conductances_stay_physical"),
    (Negative(g_min=2e-6, g_max=20e-6, levels=10), "test_conductances_stay_physical"),
    (Undefined(g_min=2e-6, g_max=20e-6), "test_conductances_stay_physical"),
    (Cell(LAWS["table"], conduction=HalfCurrent()), "test_currents_follow_the_conductance_at_low_voltage"),
    (Cell(LAWS["table"], conduction=OneSided()), "test_currents_follow_the_conductance_at_low_voltage"),
    (Cell(LAWS["table"], read_noise=NegativeNoise()), "test_read_noise_is_a_standard_deviation"),
]


@pytest.mark.parametrize(("cell", "test"), BROKEN, ids=lambda value: type(value).__name__)
def test_a_broken_cell_fails_the_contract(cell, test):
    contract = Named()
    contract.chosen = cell
    with pytest.raises(AssertionError, match="must"):
        getattr(contract, test)()


def test_the_contract_says_what_to_give():
    with pytest.raises(NotImplementedError):
        CellContract().make_cell()


def test_cells_on_the_default_device_fail_the_contract():
    contract = Named()
    contract.chosen = DefaultDevice(**TABLE)
    with pytest.raises((AssertionError, RuntimeError)):
        contract.test_nothing_is_made_on_the_default_device()


@pytest.mark.parametrize(
    "test", ["test_a_train_is_its_pulses_one_after_the_other", "test_a_pulse_is_a_step_in_the_order_of_the_physics"]
)
def test_trains_of_another_size_fail_the_contract(test):
    class Doubled(type(LAWS["soft bounds, summed"])):
        def train(self, state, pulse, *, generator):
            return 1.1 * super().train(state, pulse, generator=generator)

    law = LAWS["soft bounds, summed"]
    contract = Named()
    contract.chosen = replace(Cell(law), switching=Doubled(**{n: getattr(law, n) for n in law.__dataclass_fields__}))
    with pytest.raises(AssertionError, match="must"):
        getattr(contract, test)()

"""The compliance law against a loop over cells that follows the authors' simulator line by line."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, GateCompliance, LinearGate, Pulse, Spread, wang2019
from ohmweave.cells.gate_compliance import GateComplianceState
from tests.helpers import assert_close

GATE = LinearGate(slope=120e-6, offset=-42e-6)
LAW = {"gate": GATE, "v_gate": 1.6, "v_gate_max": 2.5}


def cell_by_cell(g, first_miss, polarity, v_gate, noise, *, noise_on, g_reset):
    """One call, one cell after the other; returns the conductances and what is left of the first miss."""
    after, left = [], []
    for one, miss, p, v, n in zip(g, first_miss, polarity, v_gate, noise, strict=True):
        value = one
        if p < 0:
            value = g_reset
        if p > 0:
            value = max(120e-6 * min(v, 2.5) - 42e-6 + miss, one)
        if p != 0 or noise_on == "all":
            value += n
        after.append(max(value, 0.0))
        left.append(0.0 if p > 0 else miss)
    return after, left


def fresh(law, n):
    return Cell(law).init_state((n,), generator=generator(0, "x"), dtype=torch.float64).switching


def some_cells(n, seed):
    chance = generator(seed, "test")
    uniform = torch.rand(4, n, generator=chance, dtype=torch.float64)
    g, miss = 300e-6 * uniform[0], 50e-6 * (uniform[1] - 0.5)
    polarity = (3 * uniform[2]).long() - 1
    return g, miss, polarity, 0.5 + 2.5 * uniform[3]


@pytest.mark.parametrize("noise_on", ["all", "written"])
@pytest.mark.parametrize("g_reset", [0.0, 5e-6])
def test_law_agrees_with_the_loop(noise_on, g_reset):
    law = GateCompliance(**LAW, noise=10e-6, noise_on=noise_on, g_reset=g_reset)
    g, miss, polarity, v_gate = some_cells(200, seed=1)
    noise = torch.empty(200, dtype=torch.float64).normal_(0, 10e-6, generator=generator(3, "noise"))
    state = GateComplianceState(g, miss)
    after = law.pulse(state, Pulse(polarity=polarity, v_gate=v_gate), generator=generator(3, "noise"))
    expected_g, expected_miss = cell_by_cell(
        g.tolist(),
        miss.tolist(),
        polarity.tolist(),
        v_gate.tolist(),
        noise.tolist(),
        noise_on=noise_on,
        g_reset=g_reset,
    )
    assert_close(after.g, expected_g, rtol=1e-12, scale=300e-6)
    assert_close(after.first_miss, expected_miss, rtol=1e-12, scale=50e-6)


def test_a_call_without_pulses_changes_nothing_unless_noise_reaches_all():
    g, miss, _, _ = some_cells(100, seed=2)
    state, silence = GateComplianceState(g, miss), Pulse(polarity=torch.zeros(100, dtype=torch.int64))
    written = GateCompliance(**LAW, noise=10e-6, noise_on="written")
    assert torch.equal(written.pulse(state, silence, generator=generator(0, "x")).g, g)
    everywhere = GateCompliance(**LAW, noise=10e-6, noise_on="all")
    moved = everywhere.pulse(state, silence, generator=generator(0, "x")).g - g
    assert (moved != 0).all()


def test_noise_has_the_spread_asked_for():
    law = GateCompliance(**LAW, noise=10e-6)
    state = fresh(law, 50_000)
    g = law.pulse(state, Pulse(polarity=torch.ones(50_000)), generator=generator(1, "x")).g
    assert_close(g.mean(), 150e-6, rtol=2e-3)
    assert_close(g.std(), 10e-6, rtol=0.02)


def test_only_the_first_set_misses_by_the_spread_of_devices():
    law = GateCompliance(**LAW, d2d=25e-6)
    state = fresh(law, 50_000)
    up, down = Pulse(polarity=torch.ones(50_000)), Pulse(polarity=-torch.ones(50_000))
    state = law.pulse(law.pulse(state, down, generator=None), up, generator=None)
    assert_close(state.g.std(), 25e-6, rtol=0.02)
    state = law.pulse(law.pulse(state, down, generator=None), up, generator=None)
    assert_close(state.g, torch.full((50_000,), 150e-6, dtype=torch.float64), rtol=1e-12)


@given(st.floats(0, 300e-6), st.floats(0.4, 3.0), st.floats(0.4, 3.0))
def test_a_set_never_lowers_and_reset_forgets(g, one, other):
    law = GateCompliance(**LAW)

    def after(g, *pulses):
        state = GateComplianceState(torch.tensor([g], dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
        for polarity, v in pulses:
            pulse = Pulse(polarity=torch.tensor([polarity]), v_gate=torch.tensor([v], dtype=torch.float64))
            state = law.pulse(state, pulse, generator=None)
        return state.g.item()

    assert after(g, (1, one)) >= g
    assert after(g, (-1, 0.0), (1, one)) == after(0.0, (1, one))
    assert after(g, (1, one), (1, other)) == after(g, (1, max(one, other)))


def test_a_train_of_pulses_is_one_call_after_the_other():
    law = GateCompliance(**LAW, noise=10e-6)
    g, miss, polarity, v_gate = some_cells(50, seed=5)
    n = torch.arange(50) % 3
    train = law.pulse(GateComplianceState(g, miss), Pulse(polarity, n=n, v_gate=v_gate), generator=generator(0, "x"))
    chance, state = generator(0, "x"), GateComplianceState(g, miss)
    for k in range(2):
        state = law.pulse(state, Pulse(torch.where(n > k, polarity, 0), v_gate=v_gate), generator=chance)
    assert_close(train.g, state.g, rtol=1e-12, scale=1e-4)


@pytest.mark.parametrize("noise_on", ["all", "written"])
def test_steps_written_out_are_the_fast_way(noise_on):
    """Cells whose factor is 1 for all take the slow way, step by step, with the same random numbers."""
    law = GateCompliance(**LAW, noise=10e-6, noise_on=noise_on, d2d=25e-6, g_reset=5e-6)
    fast, slow = Cell(law), Cell(law, spread=Spread(d2d=0.0))
    g, miss, polarity, v_gate = some_cells(200, seed=7)
    one, two = (cell.init_state((200,), generator=generator(0), dtype=torch.float64) for cell in (fast, slow))
    assert two.factor is not None
    one, two = (state._replace(switching=GateComplianceState(g, miss)) for state in (one, two))
    for n in (None, torch.arange(200) % 4, torch.ones(200, dtype=torch.int64)):
        pulse = Pulse(polarity, n=n, v_gate=v_gate)
        one = fast.pulse(one, pulse, generator=generator(2))
        two = slow.pulse(two, pulse, generator=generator(2))
        assert_close(two.switching.g, one.switching.g, rtol=1e-12, scale=1e-4)
        assert torch.equal(two.switching.first_miss, one.switching.first_miss)
    silence = Pulse(torch.zeros(200, dtype=torch.int64))
    one, two = (cell.pulse(state, silence, generator=generator(3)) for cell, state in ((fast, one), (slow, two)))
    assert_close(two.switching.g, one.switching.g, rtol=1e-12, scale=1e-4)


def test_listed_cells_that_are_never_lowered_creep_upwards():
    """Errors add up, and end at zero: the mean of cells at zero rises. Cells that are not listed stay."""
    law = GateCompliance(**LAW, noise=10e-6, noise_on="all")
    assert law.disturbs_listed_cells
    assert not GateCompliance(**LAW, noise=10e-6).disturbs_listed_cells
    state, chance = fresh(law, 4_000), generator(1)
    for _ in range(20):
        state = law.pulse(state, Pulse(torch.zeros(4_000)), generator=chance)
    # A walk that is reflected at zero is on average sqrt(2 / pi) of its free standard deviation away from it,
    # less what a step of this size loses at the wall: about 0.58 of a step.
    expected = 10e-6 * (20**0.5 * (2 / torch.pi) ** 0.5 - 0.58)
    assert_close(state.g.mean(), expected, rtol=0.05)


def test_window_and_standard_gate():
    law = GateCompliance(**LAW, g_reset=2e-6)
    assert_close([law.g_min, law.g_max], [2e-6, 258e-6], rtol=1e-12)
    state = fresh(law, 1)
    assert_close(law.pulse(state, Pulse(polarity=torch.ones(1)), generator=None).g, [150e-6], rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"v_gate": 2.6}, "`v_gate`"),
        ({"v_gate_max": 0.0}, "`v_gate_max`"),
        ({"noise": -1e-6}, "`noise`"),
        ({"d2d": -1e-6}, "`d2d`"),
        ({"g_reset": -1e-6}, "`g_reset`"),
        ({"noise_on": "some"}, "`noise_on`"),
    ],
)
def test_bad_arguments_are_named(changes, name):
    with pytest.raises(OutOfRangeError, match=name):
        GateCompliance(**(LAW | changes))


def test_the_published_cell():
    law = wang2019()
    state = law.init_state((50_000,), generator=generator(0, "x"), dtype=torch.float64)
    assert_close(state.faults.stuck.double().mean(), 0.11, rtol=0.05)
    pulses = Pulse(polarity=torch.ones(50_000), v_gate=torch.full((50_000,), 2.0, dtype=torch.float64))
    g = law.conductance(law.pulse(state, pulses, generator=generator(1, "x")))
    assert_close(
        g[state.faults.stuck], torch.full((int(state.faults.stuck.sum()),), 10e-6, dtype=torch.float64), rtol=1e-12
    )
    assert_close(g[~state.faults.stuck].mean(), 198e-6, rtol=2e-3)
    assert_close(g[~state.faults.stuck].std(), (10e-6**2 + 25e-6**2) ** 0.5, rtol=0.02)


def test_variants_of_the_published_cell():
    assert wang2019().switching.noise_on == "all"
    assert wang2019(noise_on="written", noise=8e-6).switching.noise == 8e-6
    assert wang2019(gate=GATE).switching.gate is GATE
    assert wang2019(stuck=0.0).faults is None
    assert wang2019(stuck=0.3).faults.fraction == 0.3
    assert wang2019(d2d=40e-6).switching.d2d == 40e-6
    assert_close(wang2019(gate="authors-simulator").g_max, 2.5 * 200e-6 / 1.1, rtol=1e-6)
    with pytest.raises(OutOfRangeError, match="`gate`"):
        wang2019(gate="nmos")


def test_the_ends_of_the_gate_range_belong_to_it() -> None:
    for v_gate in (0.0, 2.5):
        cell = GateCompliance(gate=LinearGate(slope=100e-6), v_gate=v_gate, v_gate_max=2.5)
        assert cell.v_gate == v_gate
    for v_gate in (-0.1, 2.6):
        with pytest.raises(OutOfRangeError, match=r"`v_gate` must be (from 0 to 2\.5|>= 0) V"):
            GateCompliance(gate=LinearGate(slope=100e-6), v_gate=v_gate, v_gate_max=2.5)

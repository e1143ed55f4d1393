"""Writes by the gate against one cell after the other, and the limit of reversals against a write by hand."""

import pytest
import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError
from ohmweave.cells import Cell, GatedStates, LinearGate, Pulse, VoltageDependence, linear_steps
from ohmweave.programming import GateLevel, GateWrite, IncrementalWrite
from tests.helpers import assert_close

LAW = GatedStates(
    gate=LinearGate(slope=100e-6, offset=-100e-6),
    v_gate=2.0,
    v_gate_max=4.0,
    at=(10e-6,),
    scatter=(0.0,),
    g_reset=(1e-6, 1e-6),
)  # SET leaves 100 uS/V above 1 V, RESET 1 uS
LEVELS = (
    GateLevel(low=0.0, high=2e-6),
    GateLevel(low=95e-6, high=105e-6, v_gate=2.0),
    GateLevel(low=195e-6, high=205e-6, v_gate=3.0),
)


def array(n: int, law: GatedStates = LAW, seed: int = 1) -> SimulatedArray:
    return SimulatedArray(Cell(law), rows=1, cols=n, dtype=torch.float64, seed=seed)


def test_rising_gate_takes_the_steps_to_the_band() -> None:
    made = array(3)
    write = GateWrite(levels=LEVELS, v_start=1.5, v_step=0.1, v_max=4.0)
    report = write(made, torch.arange(3), torch.tensor([1e-6, 100e-6, 200e-6], dtype=torch.float64))
    # 1.5 V leaves 50 uS; 100 uS is reached at 2.0 V, the sixth SET, and 200 uS at 3.0 V, the sixteenth.
    assert report.n_set.tolist() == [0, 6, 16]
    assert report.n_reset.tolist() == [0, 0, 0]
    assert report.n_reads.tolist() == [1, 7, 17]
    assert bool(report.converged.all())
    assert_close(made.readout(torch.tensor([1, 2])), torch.tensor([100e-6, 200e-6], dtype=torch.float64), rtol=1e-9)


def test_overshoot_is_reset_and_begins_again() -> None:
    made = array(1)
    # Steps of 0.3 V: 1.5, 1.8, 2.1 V leave 50, 80, 110 uS, over and over.
    write = GateWrite(levels=LEVELS, v_start=1.5, v_step=0.3, v_max=4.0, max_pulses=10)
    report = write(made, torch.arange(1), torch.tensor([100e-6], dtype=torch.float64))
    assert (report.n_set.tolist(), report.n_reset.tolist()) == ([8], [2])
    assert not bool(report.converged)
    # 80 uS after the tenth pulse: 15 uS below the band.
    assert_close(report.error, torch.tensor([-15e-6], dtype=torch.float64), rtol=1e-9)


def test_fixed_gate_resets_before_every_further_try() -> None:
    levels = (GateLevel(low=95e-6, high=105e-6, v_gate=1.8),)  # 80 uS, below the band
    report = GateWrite(levels=levels, max_pulses=7)(array(1), torch.arange(1), torch.tensor([100e-6]).double())
    assert (report.n_set.tolist(), report.n_reset.tolist()) == ([4], [3])
    levels = (GateLevel(low=95e-6, high=105e-6, v_gate=2.0),)
    report = GateWrite(levels=levels)(array(1), torch.arange(1), torch.tensor([100e-6]).double())
    assert (report.n_set.tolist(), report.n_reset.tolist()) == ([1], [0])


def test_level_without_gate_gets_resets_up_to_their_limit() -> None:
    law = GatedStates(
        gate=LAW.gate, v_gate=2.0, v_gate_max=4.0, at=(10e-6,), scatter=(0.0,), g_reset=(5e-6, 5e-6)
    )  # every RESET leaves 5 uS, above the band
    write = GateWrite(levels=LEVELS, max_resets=6)
    report = write(array(1, law), torch.arange(1), torch.tensor([1e-6], dtype=torch.float64))
    assert (report.n_set.tolist(), report.n_reset.tolist()) == ([0], [6])
    assert not bool(report.converged)


def test_tries_at_a_fixed_gate_are_geometric() -> None:
    """With scatter s and a band of +-b in ln g a try succeeds with p = P(|z| < b / s): the mean is 1 / p SETs."""
    scatter, band = 0.1, 0.05
    law = GatedStates(gate=LAW.gate, v_gate=2.0, v_gate_max=4.0, at=(10e-6,), scatter=(scatter,), g_reset=(1e-6, 1e-6))
    half = torch.tensor(band, dtype=torch.float64)
    levels = (GateLevel(low=float(100e-6 * (-half).exp()), high=float(100e-6 * half.exp()), v_gate=2.0),)
    n = 4000
    report = GateWrite(levels=levels, max_pulses=1000)(
        array(n, law), torch.arange(n), torch.full((n,), 100e-6).double()
    )
    p = float(torch.special.ndtr(half / scatter) - torch.special.ndtr(-half / scatter))
    # Standard deviation of a geometric number is sqrt(1 - p) / p; five of the mean's are 12 %.
    assert_close(report.n_set.double().mean(), torch.tensor(1 / p, dtype=torch.float64), rtol=0.12)
    assert bool(report.converged.all())
    assert torch.equal(report.n_reset, report.n_set - 1)


def test_without_settling_keeps_the_rest() -> None:
    write = GateWrite(levels=LEVELS, t_settle=3.0)
    assert write.settling_time == 3.0
    assert write.without_settling() == GateWrite(levels=LEVELS)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"levels": ()}, "levels"),
        ({"levels": (LEVELS[0], GateLevel(low=1e-6, high=9e-6, v_gate=1.2))}, "levels"),
        ({"v_start": 5.0, "v_max": 4.0}, "v_max"),
        ({"max_pulses": 0}, "max_pulses"),
        ({"v_step": 0.0}, "v_step"),
    ],
)
def test_refuses(change: dict[str, object], name: str) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{name}`"):
        GateWrite(**({"levels": LEVELS} | change))  # type: ignore[arg-type]


def test_refuses_a_target_between_bands_and_sends_no_pulse() -> None:
    made = array(2)
    with pytest.raises(OutOfRangeError, match="`g_target` must be in the band of a level"):
        GateWrite(levels=LEVELS)(made, torch.arange(2), torch.tensor([100e-6, 50e-6], dtype=torch.float64))
    assert_close(made.readout(torch.arange(2)), torch.full((2,), 1e-6, dtype=torch.float64), rtol=1e-12)


def test_level_refuses_an_empty_band() -> None:
    with pytest.raises(OutOfRangeError, match="`high` must be > low"):
        GateLevel(low=2e-6, high=2e-6)


CELL = Cell(
    linear_steps(g_min=2e-6, g_max=20e-6, levels=91),
    voltage=VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.2),
)


def by_hand(target: float, write: IncrementalWrite, limit: int) -> tuple[int, int]:
    """SET and RESET pulses of one cell, written as at a bench."""
    made, at = SimulatedArray(CELL, rows=1, cols=1, dtype=torch.float64, seed=1), torch.tensor([0])
    n, last, v, reversals = {1: 0, -1: 0}, 0, 0.0, 0
    while True:
        error = float(made.readout(at)) - target
        polarity = 1 if error < 0 else -1
        if abs(error) <= write.tolerance:
            return n[1], n[-1]
        if last and polarity != last:
            reversals += 1
            if reversals > limit:
                return n[1], n[-1]
        v = (
            min(v + write.v_step, write.v_max)
            if polarity == last
            else (write.v_set if polarity == 1 else write.v_reset)
        )
        made.pulse(at, Pulse(torch.tensor([float(polarity)]), v=torch.tensor([v], dtype=torch.float64)))
        n[polarity] += 1
        last = polarity


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
def test_limit_of_reversals_is_that_of_a_write_by_hand(limit: int) -> None:
    write = IncrementalWrite(
        tolerance=0.01e-6, v_set=0.8, v_reset=0.9, v_step=0.1, v_max=1.5, max_pulses=200, max_reversals=limit
    )
    targets = [5.33e-6, 9.07e-6, 13.71e-6]
    made = SimulatedArray(CELL, rows=1, cols=3, dtype=torch.float64, seed=1)
    report = write(made, torch.arange(3), torch.tensor(targets, dtype=torch.float64))
    wanted = [by_hand(target, write, limit) for target in targets]
    assert list(zip(report.n_set.tolist(), report.n_reset.tolist(), strict=True)) == wanted
    if limit == 0:
        assert not bool(report.n_reset.any())


def test_gates_that_no_pulse_could_have_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="`levels` must have a `v_gate`"):
        GateWrite(levels=(GateLevel(low=1e-6, high=2e-6),))
    with pytest.raises(OutOfRangeError, match="`v_max` must be >= the largest `v_gate`"):
        GateWrite(levels=(GateLevel(low=1e-6, high=2e-6, v_gate=6.0),), v_max=2.0)

"""The cell of Yao et al. 2020: printed figures in, printed figures out."""

from dataclasses import replace

import pytest
import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, flatten_state, generator, unflatten_state
from ohmweave.cells import Relaxation, yao2020
from ohmweave.cells.yao2020 import pulse_table
from ohmweave.programming import WriteVerify
from tests.helpers import assert_close

TARGETS = torch.linspace(2.5e-6, 20e-6, 8)


def test_the_table_is_the_published_one() -> None:
    """First, last and a middle bin, in uS; spreads over the square root of two."""
    law = pulse_table()
    assert len(law.set_mean) == 10
    assert_close([law.set_mean[k] * 1e6 for k in (0, 4, 9)], [1.138, 0.606, 0.272], rtol=1e-9)
    assert_close([law.reset_mean[k] * 1e6 for k in (0, 4, 9)], [-0.0386, -1.748, -6.259], rtol=1e-9)
    assert_close([law.set_spread[k] * 1e6 * 2**0.5 for k in (0, 4, 9)], [3.126, 3.859, 2.616], rtol=1e-9)
    assert_close([law.reset_spread[k] * 1e6 * 2**0.5 for k in (0, 4, 9)], [3.417, 5.326, 8.150], rtol=1e-9)
    assert (law.g_min, law.g_max, law.z_max) == (2e-6, 20e-6, 1.0)


def test_written_cells_end_with_the_printed_error() -> None:
    """0.54 uS, the 108 nA at 0.2 V of the paper, for the 8 levels together and level by level."""
    array = SimulatedArray(yao2020(), rows=80, cols=200, seed=1)
    cells = torch.arange(16_000)
    target = TARGETS[cells % 8]
    report = WriteVerify(tolerance=0.5e-6, t_settle=1.0)(array, cells, target)
    assert report.n_failed < 16  # the stuck ones: 1.6 expected
    works = report.converged
    assert float(report.error[works].abs().max()) <= 0.5e-6
    error = (array.readout(cells) - target)[works]
    assert_close(error.std(), 0.54e-6, rtol=0.03)  # five standard errors: 0.028
    for level in range(8):
        assert_close(error[(cells % 8 == level)[works]].std(), 0.54e-6, rtol=0.12)
    assert 8 < float(report.n_pulses.double().mean()) < 20  # section 2.5 of the facts: 8 to 20 pulses by level


def test_fresh_cells_are_above_the_window() -> None:
    law = yao2020()
    g = law.conductance(law.init_state((2_000,), generator=generator(0)))
    assert int((g < 20e-6).sum()) <= 3  # stuck cells alone
    assert float(g.max()) <= 24e-6


def test_tails_and_drift_are_variants_of_the_printed_model() -> None:
    def spread(device: object, wait: float) -> torch.Tensor:
        array = SimulatedArray(device, rows=100, cols=200, seed=1)  # type: ignore[arg-type]
        cells = torch.arange(20_000)
        target = torch.full((20_000,), 10e-6)
        WriteVerify(tolerance=0.5e-6)(array, cells, target)
        array.wait(wait)
        return (array.readout(cells) - target).abs()

    assert float((spread(yao2020(), 10.0) > 3e-6).double().mean()) < 1e-3
    tails = float((spread(yao2020(variant="tails"), 10.0) > 3e-6).double().mean())
    assert_close(tails, 0.01 * 0.55, rtol=0.4)  # of 1 %, those beyond 0.6 sigma
    assert_close(spread(yao2020(), 7200.0).square().mean().sqrt(), 0.54e-6, rtol=0.05)
    assert float(spread(yao2020(drift=True), 7200.0).square().mean().sqrt()) > 0.6e-6


def test_read_noise_is_a_fraction_of_the_reading() -> None:
    law = yao2020(read_noise=0.01)
    state = law.init_state((5,), generator=generator(0), dtype=torch.float64)
    noise = law.read_noise_sigma(state)
    assert noise is not None
    assert_close(noise, 0.01 * law.conductance(state), rtol=1e-12)
    exact = yao2020()
    assert exact.read_noise_sigma(exact.init_state((5,), generator=generator(0))) is None


def test_the_whole_state_has_names_and_comes_back() -> None:
    law = yao2020(variant="tails", drift=True, read_noise=0.01)
    state = law.init_state((7,), generator=generator(0))
    flat = flatten_state(state)
    processes = [f"retention.{index}.{name}" for index in range(3) for name in ("age", "relaxes")]
    assert list(flat) == ["switching.g", *processes, "faults.stuck", "faults.g_stuck"]
    back = flatten_state(unflatten_state(law.init_state((7,), generator=generator(1)), flat))
    assert flat.keys() == back.keys()
    assert all(torch.equal(flat[name], back[name]) for name in flat)


def test_bad_arguments() -> None:
    with pytest.raises(OutOfRangeError, match="`variant` must be 'printed' or 'tails', but is 'other'"):
        yao2020(variant="other")  # type: ignore[arg-type]
    with pytest.raises(OutOfRangeError, match="`fraction` must be >= 0"):
        yao2020(read_noise=-0.01)


def test_the_processes_are_the_documented_ones() -> None:
    """The band's 0.5 uS / sqrt(3) and the relaxation add to the printed 0.54 uS; tails and drift are ours."""
    fast = Relaxation(sigma_fast=(0.54e-6**2 - 0.5e-6**2 / 3) ** 0.5)
    assert yao2020().retention == (fast,)
    assert yao2020(variant="tails").retention == (fast, Relaxation(sigma_fast=5e-6, fraction=0.01))
    slow = replace(fast, sigma_slow=0.10e-6)
    assert yao2020(drift=True).retention == (slow, Relaxation(sigma_slow=2.8e-6, fraction=0.02))

"""The law of gate-limited states against its distribution in closed form, and published cells against printed laws."""

import math

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import GatedStates, LinearGate, Pulse, falcone2025, find, wan2022
from ohmweave.cells.falcone2025 import SHIFT_PER_E, SIGMA_1S, SIGMA_PER_E
from ohmweave.cells.level_relaxation import LevelRelaxation
from tests.helpers import assert_close

GATE = LinearGate(slope=100e-6, offset=-100e-6)
FIELDS = {
    "gate": GATE,
    "v_gate": 2.0,
    "v_gate_max": 3.0,
    "at": (50e-6, 200e-6),
    "scatter": (0.4, 0.1),
    "g_reset": (1e-6, 3e-6, 9e-6),
    "own_set": 0.36,
    "own_reset": 0.25,
}
LAW = GatedStates(**FIELDS)  # type: ignore[arg-type]
N = 40_000


def state_of(law: GatedStates, seed: int = 0):  # type: ignore[no-untyped-def]
    return law.init_state(
        (N,), generator=torch.Generator().manual_seed(seed), dtype=torch.float64, device=torch.device("cpu")
    )


def after(law: GatedStates, state, polarity: float, v: float | None = None, seed: int = 1):  # type: ignore[no-untyped-def]
    pulse = Pulse(torch.full((N,), polarity), v_gate=None if v is None else torch.full((N,), v, dtype=torch.float64))
    return state.g + law.step(state, pulse, generator=torch.Generator().manual_seed(seed))


def test_set_is_log_normal_about_the_gate_curve() -> None:
    g = after(LAW, state_of(LAW), 1.0, 2.0).log()
    # At 100 uS, half way between 50 and 200 uS in ln g, the scatter is half way too: 0.25.
    assert_close(g.mean(), torch.tensor(math.log(100e-6), dtype=torch.float64), rtol=1e-3)
    assert_close(g.std(), torch.tensor(0.25, dtype=torch.float64), rtol=0.03)


def test_own_share_is_the_correlation_of_two_pulses() -> None:
    state = state_of(LAW)
    for polarity, share in ((1.0, 0.36), (-1.0, 0.25)):
        first, second = (after(LAW, state, polarity, 2.0, seed) for seed in (1, 2))
        if polarity > 0:
            scores = torch.stack([first.log(), second.log()])
        else:  # back to normal scores through the quantiles: linear between 1, 3 and 9 uS
            places = [torch.where(g < 3e-6, (g / 1e-6 - 1) / 4, 0.5 + (g / 1e-6 - 3) / 12) for g in (first, second)]
            scores = torch.special.ndtri(torch.stack(places))
        assert_close(torch.corrcoef(scores)[0, 1], torch.tensor(share, dtype=torch.float64), rtol=0.1)


def test_set_never_lowers_and_a_higher_gate_is_clamped() -> None:
    state = state_of(LAW)._replace(g=torch.full((N,), 95e-6, dtype=torch.float64))
    g = after(LAW, state, 1.0, 1.5)  # aims at 50 uS
    assert float(g.min()) >= 95e-6 * (1 - 1e-12)
    assert float((g > 95e-6 * (1 + 1e-9)).double().mean()) > 0.01
    low = state_of(LAW)
    assert_close(after(LAW, low, 1.0, 9.0), after(LAW, low, 1.0, 3.0), rtol=1e-15)
    assert_close(after(LAW, low, 1.0), after(LAW, low, 1.0, 2.0), rtol=1e-15)


def test_reset_draws_from_the_quantiles_whatever_it_was() -> None:
    state = state_of(LAW)._replace(g=torch.full((N,), 150e-6, dtype=torch.float64))
    g = after(LAW, state, -1.0)
    quantiles = torch.quantile(g, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    assert_close(quantiles, torch.tensor([2e-6, 3e-6, 6e-6], dtype=torch.float64), rtol=0.03)
    assert (float(g.min()) >= 1e-6, float(g.max()) <= 9e-6) == (True, True)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"v_gate": 4.0}, "v_gate"),
        ({"at": (2e-4, 5e-5)}, "at"),
        ({"scatter": (0.1,)}, "scatter"),
        ({"g_reset": (3e-6, 1e-6)}, "g_reset"),
        ({"g_reset": (3e-4, 4e-4)}, "gate"),
        ({"own_set": 1.5}, "own_set"),
    ],
)
def test_refuses(change: dict[str, object], name: str) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{name}`"):
        GatedStates(**(FIELDS | change))  # type: ignore[arg-type]


def relaxation_of(name: str) -> LevelRelaxation:
    (law,) = find(name)().retention
    assert isinstance(law, LevelRelaxation)
    return law


def test_cmo_relaxation_is_the_printed_law() -> None:
    law = relaxation_of("falcone2025")
    # At the nodes of the table, and 30 s between two of them: linear in log(1 + t), which is nearly log t there.
    for age, rtol in ((1.0, 1e-6), (1e4, 1e-6), (3.15576e8, 1e-6), (30.0, 0.02)):
        mean, variance = law.moments(torch.tensor([20e-6]).double(), torch.tensor([age]).double())
        sigma = SIGMA_1S + SIGMA_PER_E * math.log(age)
        assert_close(variance[0].sqrt(), torch.tensor(sigma, dtype=torch.float64), rtol=rtol)
        assert_close(mean[0], torch.tensor(SHIFT_PER_E * math.log(age)).double(), rtol=2 * rtol, scale=SIGMA_1S)
    # Independent of the conductance.
    both = law.moments(torch.tensor([10e-6, 80e-6]).double(), torch.tensor([1e5, 1e5]).double())
    assert_close(both[0][0], both[0][1], rtol=1e-12)


def test_neurram_relaxation_is_the_fitted_polynomial() -> None:
    law = relaxation_of("wan2022")
    # 20 uS at 1 d, by hand: 0.701 + 22.086/2 - 50.773/4 + 47.095/8 - 16.458/16 = 3.909 uS.
    _, variance = law.moments(torch.tensor([20e-6]).double(), torch.tensor([86400.0]).double())
    assert_close(variance.sqrt(), torch.tensor([3.909e-6], dtype=torch.float64), rtol=5e-3)
    _, early = law.moments(torch.tensor([40e-6]).double(), torch.tensor([1.0]).double())
    # At 40 uS the coefficients add up: 0.348 + 16.030 - 43.853 + 45.393 - 16.815 = 1.103 uS.
    assert_close(early.sqrt(), torch.tensor([1.103e-6], dtype=torch.float64), rtol=1e-6)


def test_sizes_of_the_pulse_response() -> None:
    fine, coarse = (wan2022(response=word).switching for word in ("fine", "coarse"))
    assert_close(coarse.set_step[0], 4 * fine.set_step[0], rtol=1e-12)  # type: ignore[union-attr]
    with pytest.raises(OutOfRangeError, match="`response` must be"):
        wan2022(response="rough")  # type: ignore[arg-type]
    assert falcone2025().g_max == 88.2e-6

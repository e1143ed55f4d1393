"""The front, main effects and the cheapest good designs, on figures made by hand."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from ohmweave.experiments import Estimate
from ohmweave.explore import Figures, cheapest, front, main_effects
from tests.helpers import assert_close


def made(accuracy: float, energy: float | None = 1.0, area: float = 1.0) -> Figures:
    one = Estimate(value=accuracy)
    return Figures(
        accuracy=one, worst_chip=accuracy, test_accuracy=one, worst_chip_test=accuracy, software=1.0, energy=energy,
        latency=1.0, throughput=1.0, area=area, n_arrays=1, pulses=1.0, most_pulses=1, endurance_used=None,
        programming_energy=1.0, programming_time=1.0, failed=0.0,
    )  # fmt: skip


def test_the_front_has_the_designs_that_no_other_dominates() -> None:
    designs = [made(0.9, 2.0), made(0.8, 1.0), made(0.8, 3.0), made(0.95, None), made(0.9, 2.0), made(0.7, 1.0)]
    assert front(designs, ("accuracy", "energy")) == [True, True, False, False, True, False]
    assert front(designs[:3], ("accuracy",)) == [True, False, False]


def test_every_design_off_the_front_is_dominated_by_one_on_it() -> None:
    random = np.random.default_rng(0)
    designs = [made(*values) for values in random.integers(1, 6, size=(60, 3)).astype(float).tolist()]
    names = ("accuracy", "energy", "area")
    values = np.array([[-one.accuracy.value, one.energy, one.area] for one in designs])
    on = np.array(front(designs, names))
    better = [((values <= mine).all(1) & (values < mine).any(1)) for mine in values]
    assert on.tolist() == [not one.any() for one in better]
    assert all((one & on).any() for one, mine in zip(better, on, strict=True) if not mine)


def test_main_effects_are_those_of_an_analysis_of_variance() -> None:
    random = np.random.default_rng(1)
    points: list[dict[str, Any]] = [{"rows": rows, "adc_bits": bits} for rows in (32, 64) for bits in (4, 6, 8)]
    designs = [made(0.1 * point["adc_bits"] / 8 + random.normal() * 0.01, 10.0 ** point["rows"]) for point in points]
    effects = {(one.key, one.figure): one for one in main_effects(points, designs, ("rows", "adc_bits"), ("accuracy",))}
    groups = [[d.accuracy.value for d, p in zip(designs, points, strict=True) if p["adc_bits"] == b] for b in (4, 6, 8)]
    f = stats.f_oneway(*groups).statistic
    share = effects["adc_bits", "accuracy"].share
    assert_close(share / (1 - share) * (len(points) - 3) / 2, float(f), rtol=1e-9)
    means = [np.mean(group) for group in groups]
    assert_close(effects["adc_bits", "accuracy"].span, float(max(means) - min(means)), rtol=1e-12)
    assert [label for label, _, _ in effects["adc_bits", "accuracy"].levels] == ["4", "6", "8"]
    assert [n for _, _, n in effects["rows", "accuracy"].levels] == [3, 3]


def test_costs_are_compared_by_ratios() -> None:
    points = [{"rows": rows} for rows in (32, 32, 64, 64)]
    designs = [made(0.5, energy) for energy in (1.0, 4.0, 10.0, 40.0)]
    (effect,) = main_effects(points, designs, ("rows",), ("energy",))
    assert_close(effect.span, 10.0, rtol=1e-12)
    assert_close([mean for _, mean, _ in effect.levels], [2.0, 20.0], rtol=1e-12)


def test_a_sampled_key_is_compared_in_quarters() -> None:
    points = [{"noise": 0.01 * k} for k in range(1, 41)]
    designs = [made(0.01 * k) for k in range(1, 41)]
    (effect,) = main_effects(points, designs, ("noise",), ("accuracy",))
    assert [n for _, _, n in effect.levels] == [10, 10, 10, 10]
    assert_close(effect.span, 0.3, rtol=1e-9)


def test_the_cheapest_design_is_near_the_best() -> None:
    designs = [made(0.95, 9.0, 1.0), made(0.945, 3.0, 2.0), made(0.939, 1.0, 0.5), made(0.95, None, 5.0)]
    assert cheapest(designs, ("accuracy", "energy", "area"), within=0.01) == {"energy": 1, "area": 0}
    assert cheapest(designs, ("energy",), within=0.02) == {"energy": 2}


@pytest.mark.parametrize("within", [0.0, 1.0])
def test_the_best_design_itself_is_always_near_enough(within: float) -> None:
    assert cheapest([made(0.1, 2.0)], ("energy",), within=within) == {"energy": 0}

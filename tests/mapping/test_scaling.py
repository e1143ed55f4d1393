"""From numbers to volts."""

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.mapping import FixedScaling, InputScaling, PerSampleScaling, ProportionalScaling, UniformScaling
from tests.helpers import assert_close

X = torch.tensor([[1.0, -4.0], [0.0, 0.0], [0.5, 0.25]], dtype=torch.float64)


def test_each_vector_fills_the_read_voltage() -> None:
    v, v_per_x = PerSampleScaling().to_voltage(X, 0.2)
    assert_close(v, [[0.05, -0.2], [0.0, 0.0], [0.2, 0.1]], rtol=1e-12)
    assert isinstance(v_per_x, torch.Tensor)
    assert v_per_x.shape == (3, 1)
    assert_close(v_per_x, [[0.05], [1.0], [0.4]], rtol=1e-12)


def test_one_factor_for_all() -> None:
    v, v_per_x = FixedScaling(2.0).to_voltage(X, 0.2)
    assert_close(v, 0.1 * X, rtol=1e-12)
    assert_close(v_per_x, 0.1, rtol=1e-12)


@pytest.mark.parametrize(("quantile", "x_max"), [(1.0, 10.0), (0.9, 9.0), (0.5, 5.0), (0.0, 0.0)])
def test_calibration_takes_a_quantile_of_magnitudes(quantile: float, x_max: float) -> None:
    scaling = FixedScaling()
    x = torch.arange(11.0)
    x[7] = -7.0
    scaling.calibrate(x.view(11, 1), quantile)
    assert scaling.x_max == (x_max or 1.0)  # inputs that are all zero may have any scale


@pytest.mark.parametrize(
    ("quantile", "x_max"), [(0.0, 1.0), (0.24, 2.0), (0.25, 2.0), (0.4, 3.0), (0.76, 4.0), (1.0, 5.0)]
)
def test_the_quantile_is_the_element_of_its_rank(quantile: float, x_max: float) -> None:
    """Of 1 to 5, out of order: rank round(4 q), counted from 0."""
    scaling = FixedScaling()
    scaling.calibrate(torch.tensor([3.0, -1.0, 5.0, 2.0, -4.0]), quantile)
    assert scaling.x_max == x_max


def test_kinds_of_scalings() -> None:
    assert isinstance(FixedScaling(), UniformScaling)
    assert isinstance(PerSampleScaling(), ProportionalScaling)
    assert not isinstance(PerSampleScaling(), UniformScaling)
    with pytest.raises(TypeError, match="abstract"):
        InputScaling()  # type: ignore[abstract]
    with pytest.raises(OutOfRangeError, match=r"`x.numel\(\)` must be > 0"):
        FixedScaling().calibrate(torch.empty(0))


def test_bad_arguments() -> None:
    with pytest.raises(OutOfRangeError, match="`x_max` must be > 0"):
        FixedScaling(0.0)
    for quantile in (-0.1, 99.9):
        with pytest.raises(OutOfRangeError, match="`quantile` must be a fraction from 0 to 1"):
            FixedScaling().calibrate(X, quantile)


@pytest.mark.parametrize("scaling", [PerSampleScaling(), FixedScaling(1.0)])
def test_numbers_that_are_no_floats_are_refused(scaling: InputScaling) -> None:
    for x in (torch.tensor([True, False]), torch.tensor([1, 2]), torch.tensor([1j, 2.0])):
        with pytest.raises(OutOfRangeError, match="`x` must be a floating point tensor"):
            scaling.to_voltage(x, 0.2)

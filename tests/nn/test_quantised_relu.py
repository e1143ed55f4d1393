"""The quantised ReLU against its definition, number by number, and its gradients against those of the definition."""

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.nn import QuantisedReLU
from tests.helpers import assert_close

X = torch.tensor([-1.0, -0.1, 0.0513, 0.3071, 0.4973, 0.8117, 1.3127, 2.0, 5.0], dtype=torch.float64)


def by_hand(x: float, x_max: float, bits: int) -> float:
    lsb = x_max / (2**bits - 1)
    return round(min(max(x, 0.0), x_max) / lsb) * lsb


def straight_through(x: torch.Tensor, x_max: torch.Tensor, bits: int) -> torch.Tensor:
    """The same by operations of torch, with the rounding as a constant added to the code."""
    codes = 2**bits - 1
    code = torch.minimum(x.clamp_min(0), x_max) * codes / x_max
    return (code + (code.round() - code).detach()) * x_max / codes


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_output_is_the_nearest_code(bits: int) -> None:
    y = QuantisedReLU(bits, 1.7)(X)
    # 1e-6: the range is a float32.
    wanted = torch.tensor([by_hand(float(x), 1.7, bits) for x in X], dtype=torch.float64)
    assert_close(y[wanted > 0], wanted[wanted > 0], rtol=1e-6)
    assert not bool(y[wanted == 0].any())


def test_3_bits_have_8_values() -> None:
    x = torch.linspace(-1, 4, 5001)
    assert QuantisedReLU(3, 2.0)(x).unique().numel() == 8


def test_gradients_are_those_of_the_definition() -> None:
    activation = QuantisedReLU(3, 1.7).double()
    x, weight = X.clone().requires_grad_(), torch.linspace(-1, 2, len(X), dtype=torch.float64)
    (activation(x) * weight).sum().backward()
    x_too, x_max = X.clone().requires_grad_(), torch.tensor(activation.x_max.item(), dtype=torch.float64)
    x_max.requires_grad_()
    (straight_through(x_too, x_max, 3) * weight).sum().backward()
    assert x.grad is not None
    assert x_too.grad is not None
    assert activation.x_max.grad is not None
    assert x_max.grad is not None
    inside = x_too.grad != 0
    assert_close(x.grad[inside], x_too.grad[inside], rtol=1e-12)
    assert not bool(x.grad[~inside].any())
    # The sum of the range's gradient is made in float32.
    assert_close(activation.x_max.grad, x_max.grad, rtol=1e-5)


def test_range_starts_at_the_least_square_error() -> None:
    x = torch.cat([torch.linspace(0, 1, 1000), torch.tensor([8.0])])  # one outlier
    activation = QuantisedReLU(3)
    activation(x)
    errors = [float((QuantisedReLU(3, 8.0 * k / 50)(x).detach() - x).square().sum()) for k in range(1, 51)]
    found = float((activation(x).detach() - x).square().sum())
    # Of the candidates none is better; 1e-4: the ends of the sums' rounding.
    assert_close(found, min(errors), rtol=1e-4)
    assert float(activation.x_max.detach()) < 8.0


def test_range_is_not_found_in_inputs_without_a_positive_number() -> None:
    activation = QuantisedReLU(3)
    assert not bool(activation(-torch.ones(4)).any())
    assert not bool(activation.x_max)
    assert bool(activation(torch.ones(4)).any())


def test_range_learns_to_hold_its_inputs() -> None:
    activation = QuantisedReLU(3, 0.5)
    optimizer = torch.optim.SGD(activation.parameters(), lr=0.02)
    x = torch.linspace(0, 2, 100)
    start = float((activation(x).detach() - x).square().mean())
    for _ in range(100):
        optimizer.zero_grad()
        (activation(x) - x).square().mean().backward()
        optimizer.step()
    assert float((activation(x).detach() - x).square().mean()) < start / 10


def test_half_precision_keeps_its_dtype() -> None:
    assert QuantisedReLU(3, 1.0)(X.bfloat16()).dtype is torch.bfloat16


@pytest.mark.parametrize(
    "arguments", [{"bits": 0}, {"bits": 17}, {"bits": 3, "x_max": -1.0}, {"bits": 3, "x_max": 0.0}]
)
def test_refuses(arguments: dict[str, float]) -> None:
    with pytest.raises(OutOfRangeError, match=r"`(bits|x_max)` must be"):
        QuantisedReLU(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_range_is_not_taken_from_numbers_that_are_not_finite(bad: float) -> None:
    layer = QuantisedReLU(4)
    with pytest.raises(OutOfRangeError, match="`x` must be finite"):
        layer(torch.tensor([1.0, bad]))
    assert float(layer.x_max.detach()) == 0
    with pytest.raises(OutOfRangeError, match="`x` must be floating-point"):
        layer(torch.tensor([1, 2]))
    assert bool(layer(torch.tensor([1.0, 2.0])).isfinite().all())

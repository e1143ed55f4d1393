"""Read noise: its size, how it adds, and that it leaves no trace in the cell."""

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import ConductanceState, LinearStep, Pulse, WithReadNoise
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=10)
STATE = ConductanceState(torch.tensor([2e-6, 10e-6], dtype=torch.float64))


def test_size_of_the_noise() -> None:
    assert_close(WithReadNoise(law=LINEAR, fraction=0.03, floor=1e-8).read_noise(STATE), [7e-8, 3.1e-7], rtol=1e-12)


def test_two_noises_add_in_variance() -> None:
    two = WithReadNoise(law=WithReadNoise(law=LINEAR, floor=3e-8), floor=4e-8)
    assert_close(two.read_noise(STATE), [5e-8, 5e-8], rtol=1e-12)


def test_the_cell_is_that_of_the_wrapped_law() -> None:
    law = WithReadNoise(law=LINEAR, fraction=0.1)
    assert (law.g_min, law.g_max) == (2e-6, 20e-6)
    assert_close(law.conductance(STATE), STATE.g, rtol=1e-15)
    assert_close(law.current(STATE, torch.tensor(-0.1)), [-2e-7, -1e-6], rtol=1e-7)
    assert_close(law.pulse(STATE, Pulse(torch.tensor([1, -1])), generator=generator(0)).g, [4e-6, 8e-6], rtol=1e-12)
    assert_close(law.shift_conductance(STATE, torch.tensor([1e-6, -1e-6])).g, [3e-6, 9e-6], rtol=1e-6)
    assert law.relax(STATE, 1.0, generator=generator(0)) is STATE
    assert law.init_state((2,), generator=generator(0)).g.shape == (2,)


@pytest.mark.parametrize("name", ["fraction", "floor"])
def test_bad_arguments(name: str) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{name}` must be >= 0"):
        WithReadNoise(law=LINEAR, **{name: -0.1})

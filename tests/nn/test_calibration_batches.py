"""The batches of a calibration: labels of a loader, inputs that are all zero, and the headroom."""

import pytest
import torch
from torch import nn

from ohmweave.arrays import ADC
from ohmweave.base import OutOfRangeError, generator
from ohmweave.mapping import FixedScaling
from ohmweave.nn import Deployed, calibrate, calibrate_converters, deploy
from tests.helpers import assert_close
from tests.nn.test_calibrate import WRITE, chip_of


class Masked(nn.Module):
    """A model whose second argument has a default."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, gain: torch.Tensor | None = None) -> torch.Tensor:
        y: torch.Tensor = self.fc(x if gain is None else x * gain[:, None])
        return y


def masked() -> Deployed:
    return deploy(Masked(), chip_of(adc=ADC(bits=8, signed=True)), write=WRITE, scaling=FixedScaling)


def test_labels_of_a_loader_are_no_arguments() -> None:
    """A `DataLoader` gives [x, y]; y is not the model's second argument, unless that is said."""
    x = torch.rand(8, 4, generator=generator(3))
    data = torch.utils.data.TensorDataset(x, torch.full((8,), 5.0))
    net = masked()
    calibrate(net, torch.utils.data.DataLoader(data, batch_size=4))
    assert_close(net.matrix("fc").scaling.x_max, float(x.max()), rtol=1e-6)
    calibrate(net, torch.utils.data.DataLoader(data, batch_size=4), n_inputs=2)
    assert_close(net.matrix("fc").scaling.x_max, 5 * float(x.max()), rtol=1e-6)
    calibrate(net, [{"x": x, "gain": torch.full((8,), 3.0)}])
    assert_close(net.matrix("fc").scaling.x_max, 3 * float(x.max()), rtol=1e-6)


def test_a_model_that_needs_two_inputs_is_given_two_of_three() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(2, 3)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            z: torch.Tensor = self.a(x) + self.b(y)
            return z

    net = deploy(Two(), chip_of(adc=ADC(bits=8, signed=True)), write=WRITE, scaling=FixedScaling)
    x, y = torch.rand(8, 4, generator=generator(3)), 7 * torch.rand(8, 2, generator=generator(4))
    calibrate(net, [(x, y, torch.zeros(8))])
    assert_close(net.matrix("b").scaling.x_max, float(y.max()), rtol=1e-6)


@pytest.mark.parametrize("headroom", [0.001, 1e4, 1e30])
def test_a_headroom_that_leaves_no_codes_is_refused(headroom: float) -> None:
    net, x = masked(), torch.rand(8, 4)
    for call in (calibrate, calibrate_converters):
        with pytest.raises(OutOfRangeError, match=r"`headroom` must be"):
            call(net, x, headroom=headroom)
    assert net.chip.array.converter_ranges.ranges == {}


def test_inputs_that_are_all_zero_are_refused() -> None:
    net = masked()
    with pytest.raises(OutOfRangeError, match="`batches` must have inputs that are not 0"):
        calibrate(net, [torch.zeros(8, 4), torch.zeros(2, 4)])
    calibrate(net, [torch.zeros(8, 4), torch.ones(2, 4)])

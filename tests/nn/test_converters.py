"""Ranges of a deployed network's converters, and accuracy that comes with them."""

import pytest
import torch

from ohmweave.arrays import ADC, DAC, SimulatedArray, yao2020_macro
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip, FixedScaling
from ohmweave.nn import Deployed, calibrate_converters, calibrate_inputs, deploy
from ohmweave.programming import BlindWrite

LAW = LinearStep(g_min=2e-6, g_max=20e-6, levels=1_000)


def network() -> torch.nn.Module:
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, bias=False), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(48, 4, bias=False)
    )
    chance = generator(0, "weights")
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(generator=chance)
    return net


def deployed(**parts: object) -> Deployed:
    chip = Chip(LAW, n_arrays=4, rows=16, cols=16, n_chips=2, **parts)  # type: ignore[arg-type]
    return deploy(network(), chip, write=BlindWrite(g_step=1.8e-8), scaling=FixedScaling)


@torch.no_grad()
def test_ranges_of_all_layers_come_from_the_data():
    x = torch.rand(20, 1, 6, 6, generator=generator(1, "x"))
    macro = yao2020_macro()
    net, ideal = deployed(dac=macro.dac, adc=macro.adc), deployed(dac=macro.dac)
    for one in (net, ideal):
        calibrate_inputs(one, x)
    array = net.chip.array
    assert isinstance(array, SimulatedArray)
    before = [array.full_scale(net.matrix(name).placement) for name in net.on_chip]
    error = [float((net(x) - ideal(x)).abs().mean())]
    calibrate_converters(net, x)
    after = [array.full_scale(net.matrix(name).placement) for name in net.on_chip]
    error.append(float((net(x) - ideal(x)).abs().mean()))
    assert all(new < old for new, old in zip(after, before, strict=True))
    assert error[1] < 0.7 * error[0]
    calibrate_converters(net, x, headroom=2.0)
    doubled = [array.full_scale(net.matrix(name).placement) for name in net.on_chip]
    assert all(abs(two / one - 2) < 1e-6 for two, one in zip(doubled, after, strict=True))


def test_a_chip_without_converters_is_refused():
    with pytest.raises(OutOfRangeError, match=r"must have an ADC.*make the chip with `adc=ADC\(...\)`"):
        calibrate_converters(deployed(dac=DAC(bits=8, v_max=0.2)), torch.rand(2, 1, 6, 6))


def test_gradients_go_through_a_converted_read():
    net = deployed(dac=DAC(bits=8, v_max=0.2, bit_serial=True), adc=ADC(bits=8))
    x = torch.rand(3, 1, 6, 6)
    net(x).square().sum().backward()
    assert all(weight.grad is not None and bool(weight.grad.abs().sum() > 0) for weight in net.weights.values())

"""Converters that do not fit a layer: currents and inputs beyond full scale, and signs; each names the layer."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.arrays import ADC, DAC
from ohmweave.arrays.reads import converted_images
from ohmweave.base import OutOfRangeError
from ohmweave.cells import LinearStep
from ohmweave.mapping import DifferentialPair, FixedScaling
from ohmweave.nn import Deployed

STEP = LinearStep(g_min=2e-6, g_max=20e-6, levels=1_000)
WRITE = ow.BlindWrite(g_step=STEP.g_step)
FULL = 8 * STEP.g_max * 0.2  # A: eight inputs at the read voltage, on cells at g_max


def deployed(model: nn.Module | None = None, how: dict[str, Any] | None = None, **parts: Any) -> Deployed:
    chip = ow.Chip(STEP, n_arrays=4, rows=16, cols=16, dtype=torch.float64, **parts)
    return ow.deploy(two_layers() if model is None else model, chip, write=WRITE, **(how or {}))


def two_layers() -> nn.Module:
    """Weights of 1: every column of g_pos carries 20 uS x 0.2 V for each input that is 1."""
    net = nn.Sequential(nn.Linear(8, 4, bias=False), nn.Linear(4, 2, bias=False)).double()
    for weight in net.parameters():
        nn.init.ones_(weight)
    return net


def ones(n_large: int, n: int = 100) -> torch.Tensor:
    """`n_large` inputs with eight ones, and others with a single one."""
    x = torch.zeros(n, 8, dtype=torch.float64)
    x[:, 0] = 1.0
    x[:n_large] = 1.0
    return x


def caught(call: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in found]


def test_currents_beyond_full_scale_warn_once_with_the_layer_and_the_remedy() -> None:
    """By hand: g_pos carries all 8 units where all inputs are 1, full scale is 4 of them; g_neg carries a tenth."""
    net = deployed(nn.Sequential(two_layers()[0]), {"scaling": FixedScaling(1.0)}, adc=ADC(bits=8, i_max=FULL / 2))
    (message,) = caught(lambda: [net(ones(10)) for _ in range(9)])
    assert message.startswith("5% of the column currents of '0' are beyond the full scale of its ADC, 1.6e-05 A, up to")
    assert "up to 2 times" in message
    assert "`ohmweave.calibrate(net, batches)`" in message
    assert not caught(lambda: net(ones(10)))


@pytest.mark.parametrize("worth", [0, 10**9])
@pytest.mark.parametrize("n_chips", [None, 2])
def test_every_tile_of_a_convolution_is_looked_at(worth: int, n_chips: int | None, monkeypatch: Any) -> None:
    """Inputs of the second of two tiles alone: its g_pos, a quarter of all columns, carry twice full scale."""
    monkeypatch.setattr(converted_images, "WORTH", worth)
    model = nn.Sequential(nn.Conv2d(8, 2, (1, 4), bias=False)).double()
    nn.init.ones_(model[0].weight)
    net = deployed(model, {"scaling": FixedScaling(1.0)}, adc=ADC(bits=8, i_max=FULL), n_chips=n_chips)
    x = torch.ones(3, 8, 2, 5, dtype=torch.float64)
    x[:, :4] = 0.0
    (message,) = caught(lambda: [net(x) for _ in range(9)])
    assert message.startswith("25% of the column currents")
    assert "up to 2 times" in message


def test_few_currents_beyond_full_scale_do_not_warn() -> None:
    """Of 200 currents 3 are too large (1.5 %), then 5 (2.5 %)."""
    how = {"scaling": FixedScaling(1.0)}
    model = nn.Linear(8, 1, bias=False).double()
    nn.init.ones_(model.weight)
    assert not caught(lambda: deployed(model, how, adc=ADC(bits=8, i_max=FULL / 2))(ones(3)))
    assert len(caught(lambda: deployed(model, how, adc=ADC(bits=8, i_max=FULL / 2))(ones(5)))) == 1


@pytest.mark.parametrize("adc", [ADC(bits=2, i_max=FULL / 4), ADC(bits=8, i_max=FULL), ADC(bits=8)])
def test_comparators_and_fitting_converters_do_not_warn(adc: ADC) -> None:
    net = deployed(nn.Sequential(two_layers()[0]), {"scaling": FixedScaling(1.0)}, adc=adc)
    assert not caught(lambda: net(ones(100)))


def test_negative_currents_saturate_a_signed_converter_too() -> None:
    """The difference of the lines is converted: -7.2 units of full scale 4."""
    model = nn.Linear(8, 1, bias=False).double()
    nn.init.constant_(model.weight, -1.0)
    adc = ADC(bits=8, signed=True, i_max=FULL / 2, subtract="analogue")
    (message,) = caught(lambda: deployed(model, {"scaling": FixedScaling(1.0)}, adc=adc)(ones(100)))
    assert message.startswith("100% of the column currents of 'model'")


def test_reads_are_looked_at_when_their_number_is_a_power_of_two() -> None:
    """Inputs that grow after the third read are found at the fourth, also after the cells have changed."""
    model = nn.Linear(8, 1, bias=False).double()
    nn.init.ones_(model.weight)
    net = deployed(model, {"scaling": FixedScaling(1.0)}, adc=ADC(bits=8, i_max=FULL / 2))
    assert not caught(lambda: [net(ones(0)) for _ in range(2)])
    assert not caught(lambda: net(ones(100)))
    net.matrix("").program(torch.ones(1, 8, dtype=torch.float64), WRITE)
    assert len(caught(lambda: net(ones(100)))) == 1


def test_after_a_calibration_the_warning_is_gone_and_other_inputs_bring_it_back() -> None:
    net = deployed(nn.Sequential(two_layers()[0]), {"scaling": FixedScaling(1.0)}, adc=ADC(bits=8, i_max=FULL / 2))
    assert len(caught(lambda: net(ones(100)))) == 1
    ow.calibrate(net, [ones(0)])
    assert not caught(lambda: net(ones(0)))
    (message,) = caught(lambda: [net(ones(100)) for _ in range(4)])  # one of them has a power of two as its number
    assert "column currents of '0'" in message


def test_groups_of_a_convolution_warn_once() -> None:
    conv = nn.Conv2d(4, 4, 1, groups=4, bias=False).double()
    nn.init.ones_(conv.weight)
    net = deployed(conv, {"scaling": FixedScaling(1.0)}, adc=ADC(bits=8, i_max=1e-7))
    x = torch.ones(2, 4, 3, 3, dtype=torch.float64)
    (message,) = caught(lambda: [net(x) for _ in range(4)])
    assert "of 'model' are beyond" in message


def test_inputs_beyond_the_drivers_warn_with_the_layer() -> None:
    net = deployed(how={"scaling": FixedScaling(0.5), "name": "tagger"})
    messages = caught(lambda: net(ones(100)))
    assert [one.split(" are beyond")[0] for one in messages] == [
        "100% of the inputs of 'tagger.0'",
        "100% of the inputs of 'tagger.1'",
    ]


def test_a_signed_dac_with_an_unsigned_adc_is_refused_by_deploy_with_the_layer() -> None:
    chip = ow.Chip(STEP, n_arrays=4, rows=16, cols=16, dac=DAC(bits=6, v_max=0.2, signed=True), adc=ADC(bits=6))
    with pytest.raises(OutOfRangeError, match=r"where the DAC is signed, as for '0', .* `ADC\(signed=True\)`, or with"):
        ow.deploy(two_layers(), chip, write=WRITE)
    assert not chip.placed
    assert chip.array.books.activity.n_set == 0


def test_rows_driven_both_ways_into_an_unsigned_adc_are_refused_by_deploy_with_the_layer() -> None:
    chip = ow.Chip(STEP, n_arrays=4, rows=32, cols=16, dac=DAC(bits=6, v_max=0.2), adc=ADC(bits=6))
    layers = {"1": ow.nn.OnChip(mapping=DifferentialPair(lines="rows"))}
    with pytest.raises(OutOfRangeError, match="rows are driven both ways, as those of '1' are by its mapping"):
        ow.deploy(two_layers().float(), chip, write=WRITE, layers=layers)
    assert not chip.placed
    assert chip.array.books.activity.n_set == 0


def test_a_negative_input_of_an_unsigned_dac_names_the_layer() -> None:
    net = deployed(dac=DAC(bits=6, v_max=0.2))
    with pytest.raises(OutOfRangeError, match="Linear '0': `v_row` must be >= 0 V for a DAC without sign"):
        net(-ones(3))

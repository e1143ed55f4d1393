"""Nothing a rule makes is on the default device: with another default, a chip on the CPU learns as before."""

import pytest
import torch

from tests.optim import test_contract as rules

CASES = [
    rules.TestSignPulse,
    rules.TestStellar,
    rules.TestManhattan,
    rules.TestPulsedSGD,
    rules.TestPulsedSGDCoincidences,
    rules.TestMixedPrecision,
    rules.TestThresholdedWriteVerify,
    rules.TestAdaptiveWriteVerify,
    rules.TestGateControlled,
    rules.TestGateControlledAdam,
    # Tiki-Taka places a matrix, and write-verify gathers cells: theirs follow when arrays and programming do.
]


@pytest.mark.parametrize("case", CASES)
def test_rules_do_not_use_the_default_device(case):
    made = case()
    layers = made.make_layers(2)
    for layer in layers:
        layer.weight.grad = made.gradient(layer, "x")
    torch.set_default_device("meta")
    try:
        rule = made.make_rule([layer.weight for layer in layers])
        for _ in range(2):
            rule.step()
        rule.load_state_dict(rule.state_dict())
        rule.step()
    finally:
        torch.set_default_device("cpu")
    moved = layers[0].matrix.readout()
    assert moved.device.type == "cpu"
    assert bool(moved.isfinite().all())

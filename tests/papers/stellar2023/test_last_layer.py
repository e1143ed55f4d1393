"""STELLAR's last layer on few digits."""

from dataclasses import replace

import pytest
import torch

from ohmweave.data import Dataset, load
from ohmweave.experiments import Context, Options, Row, judge
from ohmweave.mapping import CentredPair, Chip
from ohmweave.nn import Linear, OnChip
from ohmweave.papers.stellar2023 import last_layer
from ohmweave.programming import WriteVerify
from tests.helpers import assert_close


def few(name="digits", **_):
    data = load("digits", size=8)
    parts = {part: getattr(data, part).take(n) for part, n in (("train", 600), ("validation", 100), ("test", 100))}
    return Dataset(name="few digits", n_classes=data.n_classes, **parts)


def test_thresholded_signs_learn_the_last_layer_with_fewer_pulses(monkeypatch):
    monkeypatch.setattr(last_layer, "load", few)
    (task,) = last_layer.tasks(Options())
    result = last_layer.run(task, Context(options=Options()))
    row = Row(id=task.id, experiment=task.experiment, params=task.params, seed=0, result=result)
    assert result["chosen"] in ("stellar-4", "stellar-5")
    assert result["stellar"] == result[result["chosen"]]
    assert result["stellar"]["n_correct"] > 70
    assert result["stellar-5"]["n_pulses"] < result["stellar-4"]["n_pulses"] < result["verify"]["n_pulses"]
    assert result["verify"]["n_verify_reads"] > result["verify"]["n_pulses"]
    findings = {claim.key: judge(claim, [row]) for claim in last_layer.CLAIMS}
    assert findings["times-fewer"].estimate.value == result["verify"]["n_pulses"] / result["stellar"]["n_pulses"]
    assert findings["noise"].verdict == "not run"
    assert [line["rule"] for line in last_layer.table([row])] == [
        "STELLAR, threshold 4",
        "STELLAR, threshold 5",
        "back-propagation, verify",
        "back-propagation, blind",
    ]


class LooksAtNothing(last_layer.StellarEpoch):
    """The rule without its bill."""

    def __call__(self, x, labels):
        from ohmweave.optim.compiled_epochs import stellar_epoch

        stellar_epoch(self.layer, self.error, self.rule, x, labels)
        return 0

    def billed(self, *_):
        return {}


@pytest.mark.parametrize("device", ["level-1", "level-1+noise"])
def test_the_bill_leaves_the_training_as_it_was(monkeypatch, device):
    monkeypatch.setattr(last_layer, "load", few)
    (task,) = last_layer.tasks(Options())
    task = replace(task, params={**task.params, "device": device})
    billed = dict(last_layer.run(task, Context(options=Options())))
    energy, bill = billed.pop("energy"), billed.pop("bill")
    assert energy["training"]["n_images"] == energy["inference"]["n_images"] == 2 * last_layer.N_BILLED
    assert_close(energy["training"]["gpu_energy"], 2 * energy["inference"]["gpu_energy"], rtol=1e-12)
    pulses = sum(r["count"] for r in bill if r["phase"] == "training" and r["component"].endswith("pulses"))
    per_image = billed["stellar"]["n_pulses"] / (2 * 600)
    assert abs(pulses / energy["training"]["n_images"] - per_image) < 1 / 40  # each polarity to half a pulse
    monkeypatch.setattr(last_layer, "StellarEpoch", LooksAtNothing)
    assert last_layer.run(task, Context(options=Options())) == billed


def test_the_bill_of_a_step_equals_the_hand_count():
    """One sample in eight bits: ones on the lines, columns sensed, cells on them, pulses; times prices."""
    n_in, n_out, label = 5, 3, 1
    chip = Chip(last_layer.cells("level-1"), rows=n_in, cols=2 * n_out, seed=1, dtype=torch.float64)
    layer = Linear(
        n_in, n_out, bias=False, chip=chip, name="last", on_chip=OnChip(mapping=CentredPair(w_max=last_layer.W_MAX))
    )
    weight = torch.randn(n_out, n_in, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.3
    layer.program(weight, WriteVerify(tolerance=0.1e-6, max_pulses=300))
    epoch = last_layer.StellarEpoch(layer, threshold=4.0)
    x = [0.0, 3.0, 1.0, 7.5, 5.0]
    g = layer.matrix.conductance().clone()
    z = [sum(x[i] * float(g[i, 2 * j] - g[i, 2 * j + 1]) for i in range(n_in)) / layer.matrix.g_per_w for j in range(3)]
    errors = [j for j in range(n_out) if abs((10.0 if j == label else 0.0) - max(z[j], 0.0)) >= 4.0]
    rows = [i for i in range(n_in) if x[i] >= 0.4 * 7.5]
    assert label in errors
    assert rows == [1, 3, 4]
    ones = [bin(round(value / 7.5 * 255)).count("1") for value in x]
    with epoch.bill.samples("training", 1):
        epoch.one_by_one(torch.tensor([x], dtype=torch.float64), torch.tensor([label]))
    heat = 0.2**2 * 50e-9 * sum(n * float(g[i, column]) for i, n in enumerate(ones) for column in range(2 * n_out))
    lines = epoch.bill.bill.by("component")
    assert_close(lines["cells"], heat, rtol=1e-9)
    assert_close(lines["ADC"], 8 * 2 * n_out * 2.55e-12, rtol=1e-12)
    assert_close(lines["RESET pulses"], len(rows) * len(errors) * 1.8 * 45e-6 * 50e-9, rtol=1e-12)
    assert "SET pulses" not in lines
    seconds = (8 + len(rows) * len(errors)) * 50e-9
    assert_close(epoch.bill.bill.total("time", phase="training"), seconds, rtol=1e-12)


def test_tables_go_by_their_names():
    assert_close(last_layer.cells("level-3").switching.set_mean[0], 300e-9, rtol=1e-12)
    assert last_layer.cells("level-3").switching.set_spread[0] == 0
    assert last_layer.cells("level-3+noise").switching.set_spread[0] > 0

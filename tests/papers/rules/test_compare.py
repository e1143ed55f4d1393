"""Every rule takes its steps on few digits, and pays."""

from dataclasses import replace

import pytest

from ohmweave.arrays import Activity
from ohmweave.base import generator
from ohmweave.cost import yao2020_periphery
from ohmweave.data import Dataset, load
from ohmweave.experiments import Context, Options, Row, Task
from ohmweave.papers.rules import compare, tasks
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.family import RULES
from ohmweave.papers.rules.settings import SETTINGS
from tests.helpers import assert_close


def few(name="digits", **_):
    data = load("digits", size=8)
    parts = {part: getattr(data, part).take(n) for part, n in (("train", 200), ("validation", 50), ("test", 50))}
    return Dataset(name="few digits", n_classes=data.n_classes, **parts)


def run(monkeypatch, rule, cell, samples):
    monkeypatch.setattr(tasks, "load", few)
    params = {"data": "digits", "rule": rule, "cell": cell, "samples": samples, "epochs": 1, **SETTINGS[rule][cell]}
    task = Task(experiment=compare.NAME, params=params, seed=0)
    result = compare.run(task, Context(options=Options()))
    return Row(id=task.id, experiment=task.experiment, params=params, seed=0, result=result)


@pytest.mark.filterwarnings("ignore:ThresholdedWriteVerify wrote")  # its threshold here is a small share of the window
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_sends_pulses_and_its_bill_adds_up(rule, monkeypatch):
    cell = (RULES[rule].cells or ("linear",))[0]
    batch = 1 if rule in ("sign backpropagation", "STELLAR, last layer") else 100
    row = run(monkeypatch, rule, cell, 40 if batch == 1 else 200)
    result, samples = row.result, row.params["samples"]
    assert result["n_pulses"] > 0
    assert result["n_steps"] == samples // batch
    assert 4e-12 * result["n_pulses"] <= result["energy_pulses"] <= 6e-12 * result["n_pulses"]
    # The second layer's 101 rows take two tiles of this chip: one and two forward, two more back.
    forward_and_back = 5 if rule not in ("STELLAR, last layer", "thresholded write-verify") else 3
    if rule == "Tiki-Taka v2":  # A's columns besides: 65 of one tile and 100 of two a step
        assert result["n_reads"] == forward_and_back * samples + 2 * (65 + 2 * 100)
    elif rule != "gate-controlled RMSprop":
        assert result["n_reads"] == forward_and_back * samples
    blind = rule not in ("Manhattan, verify", "thresholded write-verify", "gate-controlled RMSprop")
    assert (result["n_readouts"] == 0) == blind
    (line,) = compare.table([row])
    assert line["rule"] == rule
    assert compare.draw([row]) is not None


def setup_of(rule: str) -> compare.Training:
    setup = RULES[rule].start("linear", 64, SETTINGS[rule]["linear"], seed=0)
    return compare.Training(setup)


def test_the_energies_are_the_bill_of_what_the_array_counted():
    """By hand from the totals: a conversion is a sensed line, of which the first layer has 200, the second 20."""
    training = setup_of("Manhattan, verify")
    training.epoch(few().train, generator(0, "order"))
    done, energy = training.done, training.energy()
    usage = [one for (phase, _), one in training.bill.usage.items() if phase == "training"]
    assert sum((one.activity for one in usage), Activity()) == done
    assert done.n_readouts > 0
    assert_close(energy["pulses"], done.n_set * 6e-12 + done.n_reset * 4.05e-12, rtol=1e-12)
    # Forward 200 columns, then 20 on each of two tiles; back the second layer's 65 + 36 rows.
    n_conversions = 200 * (200 + 2 * 20 + 101) + done.n_readouts
    per_conversion = sum(part.energy for part in yao2020_periphery().components[:3])
    heat = sum(one.v2g + one.readout_v2g for one in usage) * 50e-9
    assert heat > 0
    assert_close(energy["reads"], n_conversions * per_conversion + heat, rtol=1e-12)


def test_a_compiled_epoch_is_billed_by_samples_of_the_torch_version():
    pytest.importorskip("numba")
    split, found = few().train.take(100), []
    for compiled in (True, False):
        training = setup_of("sign backpropagation")
        if not compiled:
            training = compare.Training(replace(training._setup, epoch=None))
        training.epoch(split, generator(0, "order"))
        found.append((training.done, training.energy()))
    (fast, sampled), (slow, metered) = found
    assert (fast.n_reads, fast.n_set, fast.n_reset) == (slow.n_reads, slow.n_set, slow.n_reset)
    assert_close(sampled["pulses"], metered["pulses"], rtol=1e-12)
    assert_close(sampled["reads"], metered["reads"], rtol=0.1)  # 20 samples of 100: their pixels differ


def test_sign_backpropagation_needs_the_fewest_bits():
    tasks = compare.tasks(Options(scale="full", seeds=2))
    assert len({task.id for task in tasks}) == len(tasks) == 2 * (8 * 4 + 1)
    assert all(RULES[task.params["rule"]].fits(task.params["cell"]) for task in tasks)
    assert {task.params["cell"] for task in tasks} == set(CELLS)
    assert {rule.buffer_bits for name, rule in RULES.items() if "sign" in name or "STELLAR" in name} == {(3, 0)}
    assert all(rule.buffer_bits[0] * 100 > 3 for name, rule in RULES.items() if rule.buffer_bits != (3, 0))

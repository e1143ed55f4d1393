"""Every rule takes its steps on few digits, and pays."""

import pytest

from memweave.data import Dataset, load
from memweave.experiments import Context, Options, Row, Task
from memweave.papers.rules import compare
from memweave.papers.rules.network import DEVICES, RULES, fits


def few(name="digits", **_):
    data = load("digits", size=8)
    parts = {part: getattr(data, part).take(n) for part, n in (("train", 200), ("validation", 50), ("test", 50))}
    return Dataset(name="few digits", n_classes=data.n_classes, **parts)


def run(monkeypatch, rule, device, samples):
    monkeypatch.setattr(compare, "load", few)
    params = {"data": "digits", "rule": rule, "device": device, "samples": samples, "epochs": 1}
    task = Task(experiment=compare.NAME, params=params, seed=0)
    result = compare.run(task, Context(options=Options()))
    return Row(id=task.id, experiment=task.experiment, params=params, seed=0, result=result)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_sends_pulses_and_its_bill_adds_up(rule, monkeypatch):
    device = (RULES[rule].devices or ("linear",))[0]
    row = run(monkeypatch, rule, device, 40 if RULES[rule].batch == 1 else 200)
    result = row.result
    assert result["n_pulses"] > 0
    assert 4e-12 * result["n_pulses"] <= result["energy_pulses"] <= 6e-12 * result["n_pulses"]
    # The second layer's 101 rows take two tiles of this chip: one and two forward, two more back.
    forward_and_back = 5 if rule not in ("STELLAR, last layer", "thresholded write-verify") else 3
    if rule not in ("Tiki-Taka v2", "gate-controlled RMSprop"):
        assert result["n_reads"] == forward_and_back * row.params["samples"]
    blind = rule not in ("Manhattan, verify", "thresholded write-verify", "gate-controlled RMSprop")
    assert (result["n_readouts"] == 0) == blind
    (line,) = compare.table([row])
    assert line["rule"] == rule
    assert compare.draw([row]) is not None


def test_sign_backpropagation_needs_the_fewest_bits():
    tasks = compare.tasks(Options(scale="full", seeds=2))
    assert len({task.id for task in tasks}) == len(tasks) == 2 * (8 * 4 + 1)
    assert all(fits(RULES[task.params["rule"]], task.params["device"]) for task in tasks)
    assert {task.params["device"] for task in tasks} == set(DEVICES)
    least = min(RULES.values(), key=lambda rule: rule.batch * rule.buffer_bits[0] + rule.buffer_bits[1])
    assert least.buffer_bits == (3, 0)

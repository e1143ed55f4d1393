"""Every rule takes its steps on few digits, and pays."""

import pytest

from ohmweave.data import Dataset, load
from ohmweave.experiments import Context, Options, Row, Task
from ohmweave.papers.rules import compare
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.family import RULES
from ohmweave.papers.rules.settings import SETTINGS


def few(name="digits", **_):
    data = load("digits", size=8)
    parts = {part: getattr(data, part).take(n) for part, n in (("train", 200), ("validation", 50), ("test", 50))}
    return Dataset(name="few digits", n_classes=data.n_classes, **parts)


def run(monkeypatch, rule, cell, samples):
    monkeypatch.setattr(compare, "load", few)
    params = {"data": "digits", "rule": rule, "cell": cell, "samples": samples, "epochs": 1, **SETTINGS[rule][cell]}
    task = Task(experiment=compare.NAME, params=params, seed=0)
    result = compare.run(task, Context(options=Options()))
    return Row(id=task.id, experiment=task.experiment, params=params, seed=0, result=result)


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


def test_sign_backpropagation_needs_the_fewest_bits():
    tasks = compare.tasks(Options(scale="full", seeds=2))
    assert len({task.id for task in tasks}) == len(tasks) == 2 * (8 * 4 + 1)
    assert all(RULES[task.params["rule"]].fits(task.params["cell"]) for task in tasks)
    assert {task.params["cell"] for task in tasks} == set(CELLS)
    assert {rule.buffer_bits for name, rule in RULES.items() if "sign" in name or "STELLAR" in name} == {(3, 0)}
    assert all(rule.buffer_bits[0] * 100 > 3 for name, rule in RULES.items() if rule.buffer_bits != (3, 0))

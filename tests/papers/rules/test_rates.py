"""Settings: what is tried, how the best is found, and that what was found is what the comparison uses."""

from types import SimpleNamespace

import pytest
import torch

from ohmweave.base import generator
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.experiments import Context, Options, Row, Task
from ohmweave.papers.rules import rates
from ohmweave.papers.rules import tasks as shared
from ohmweave.papers.rules.cells import CELLS, MIDDLE
from ohmweave.papers.rules.family import RULES
from ohmweave.papers.rules.settings import SETTINGS
from tests.helpers import assert_close
from tests.papers.rules.test_compare import few


def row(task, **result):
    return Row(id=task.id, experiment=task.experiment, params=task.params, seed=task.seed, result=result)


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.g_step])
def test_controllers_believe_the_mean_step_in_the_middle_of_the_window(name):
    law, n = CELLS[name].cell, 40_000
    steps = []
    for polarity in (SET, RESET):
        state = law.init_state((n,), generator=generator(1, "cells"), dtype=torch.float64)
        assert_close(law.conductance(state), torch.full((n,), MIDDLE, dtype=torch.float64), rtol=1e-9)
        after = law.pulse(state, Pulse(torch.full((n,), polarity)), generator=generator(2, "pulses"))
        steps.append(polarity * float((law.conductance(after) - MIDDLE).mean()))
    assert_close(sum(steps) / 2, CELLS[name].g_step, rtol=0.03)


def test_settings_are_from_the_grid_for_every_rule_and_cell_it_can_write():
    assert set(SETTINGS) == set(RULES)
    for name, rule in RULES.items():
        assert set(SETTINGS[name]) == {cell for cell in CELLS if rule.fits(cell)}
        assert all(setting in rule.settings() for setting in SETTINGS[name].values())


def test_the_best_on_validation_is_chosen():
    tasks = [t for t in rates.tasks(Options(scale="full")) if t.params["rule"] == "pulsed SGD"]
    rows = [row(t, n_correct=50 - abs(t.params["lr"] - 0.01) * 100, n_total=100) for t in tasks]
    found = rates.chosen(rows)
    assert {cell for _, cell in found} == {cell for cell in CELLS if cell != "wang2019"}
    assert all(setting == {"lr": 0.01} and accuracy == 0.5 for setting, accuracy in found.values())
    assert all(line["best"] == "lr 0.01" for line in rates.table(rows))


def test_a_setting_is_tried_without_the_test_set(monkeypatch):
    data = few()
    monkeypatch.setattr(shared, "load", lambda *_, **__: SimpleNamespace(train=data.train, validation=data.validation))
    tasks = rates.tasks(Options(seed=3))
    assert {task.seed for task in tasks} == {1_003}
    result = {}
    for lr in (0.003, 0.1):
        params = {"data": "digits", "rule": "pulsed SGD", "cell": "linear", "samples": 200, "epochs": 1, "lr": lr}
        result[lr] = rates.run(Task(experiment=rates.NAME, params=params, seed=1_000), Context(options=Options()))
    assert result[0.003] != result[0.1]
    assert all(0 < one["n_correct"] <= one["n_total"] == 50 for one in result.values())

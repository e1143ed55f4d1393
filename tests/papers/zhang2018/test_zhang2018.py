"""Sign backpropagation on few digits: what is counted, what is claimed, and that chips learn at all."""

from dataclasses import replace

import pytest
import torch

from memweave.base import generator
from memweave.data import Dataset, load
from memweave.devices import linear_steps
from memweave.experiments import Context, Options, Row, Task, judge
from memweave.papers.zhang2018 import cost, robustness, sbp
from memweave.papers.zhang2018.network import G_MAX, G_MIN, Setting, SignPerceptron, binary, train
from memweave.programming import BlindWrite
from tests.helpers import assert_close
from tests.helpers.experiments import no_progress

CONTEXT = Context(options=Options(seeds=2))


def few(name="digits", **_):
    data = load("digits", size=8)
    parts = {part: getattr(data, part).take(n) for part, n in (("train", 400), ("validation", 100), ("test", 100))}
    return Dataset(name="few digits", n_classes=data.n_classes, **parts)


@pytest.fixture(autouse=True)
def _few_images(monkeypatch):
    for module in (cost, robustness, sbp):
        monkeypatch.setattr(module, "load", few)


def rows_of(module, tasks):
    return [
        Row(
            id=task.id, experiment=task.experiment, params=task.params, seed=task.seed, result=module.run(task, CONTEXT)
        )
        for task in tasks
    ]


def test_sign_backpropagation_learns_and_stops_where_validation_was_best():
    data = few()
    law = linear_steps(g_min=G_MIN, g_max=G_MAX, levels=300)
    write = BlindWrite(g_step=(G_MAX - G_MIN) / 299)
    perceptron = SignPerceptron(law, 64, 10, replace(Setting.of(100), hidden=30), seed=1, write=write)
    before = perceptron.n_correct(binary(data.test), data.test.labels)
    history = train(
        perceptron, data.train, data.validation, n_epochs=4, order=generator(1, "order"), progress=no_progress
    )
    assert perceptron.n_correct(binary(data.validation), data.validation.labels) == max(history)
    assert perceptron.n_correct(binary(data.test), data.test.labels) > max(50, before)


def test_the_rows_of_sbp_hold_what_its_claims_ask_for():
    tasks = [
        replace(task, params={**task.params, "hidden": hidden, "epochs": 1})
        for hidden in (100, 300)
        for task in sbp.tasks(CONTEXT.options)
    ]
    rows = rows_of(sbp, tasks)
    for claim in sbp.CLAIMS:
        finding = judge(claim, rows)
        assert finding.estimate is not None
        assert finding.verdict == "not comparable"
    for row in rows:
        result = row.result["sbp"]
        # A forward read of both layers and a transposed one of the second, for each sample.
        assert result["n_reads"] >= 3 * result["n_samples"] == 3 * 400
        assert result["n_set"] + result["n_reset"] > 0
    assert [line["hidden"] for line in sbp.table(rows)] == [100, 300]
    assert sbp.draw(rows) is not None
    assert sbp.draw([]) is None


def test_lag_is_back_propagation_minus_sign_backpropagation():
    def row(seed, sbp_right, bp_right):
        part = {"n_total": 100}
        result = {"sbp": {**part, "n_correct": sbp_right}, "bp": {**part, "n_correct": bp_right}}
        task = Task(experiment=sbp.NAME, params={"hidden": 300}, seed=seed)
        return Row(id=task.id, experiment=sbp.NAME, params=task.params, seed=seed, result=result)

    assert_close(sbp._behind(300)([row(0, 90, 95), row(1, 92, 93)]).value, 0.03, rtol=1e-9)


def test_bits_are_counted_from_the_signals():
    (row,) = rows_of(cost, [Task(experiment=cost.NAME, params={"data": "digits", "samples": 30}, seed=0)])
    assert row.result["bits_forward"] == 1
    assert row.result["bits_backward"] == 2
    for claim in cost.CLAIMS[:3]:
        assert judge(claim, [row]).verdict == "reproduced"
    assert cost.bits_of(torch.tensor([0.0, 1.0, 0.0])) == 1
    assert cost.bits_of(torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])) == 3
    assert len(cost.table([row])) == 3


def test_periphery_adds_up():
    used = cost.Periphery(n_comparisons=8, n_conversions=1, n_products=10, bits=32, n_bits=64, n_comparators=10)
    energy = used.energy()
    assert_close(energy["comparators"], energy["converters"], rtol=1e-12)  # eight decisions, one conversion
    assert_close(energy["memory"], 20e-12, rtol=1e-12)  # 64 bits, written and read
    assert_close(energy["products"], 37e-12, rtol=1e-12)
    assert_close(used.area(), 0.0015e-6, rtol=1e-12)


def test_faults_are_the_ones_asked_for():
    tasks = robustness.tasks(CONTEXT.options)
    assert len({task.id for task in tasks}) == len(tasks) == 2 * 7
    stuck = robustness.cells({**robustness.NEAR_LINEAR, "stuck": 0.1, "d2d": 0.3, "c2c": 0.5})
    assert stuck.fraction == 0.1
    assert stuck.law.d2d == 0.3
    assert_close(stuck.law.law.sigma, 0.5 * 18e-6 / 999, rtol=1e-12)
    chosen = [replace(task, params={**task.params, "epochs": 1}) for task in tasks if task.seed == 0][:3]
    rows = rows_of(robustness, chosen)
    assert judge(robustness.CLAIMS[2], rows).estimate is not None
    assert len(robustness.table(rows)) == 3
    assert robustness.draw(rows) is not None


def test_a_fault_costs_what_is_lost_against_the_near_linear_cell():
    def row(right, **change):
        task = Task(experiment=robustness.NAME, params={**robustness.NEAR_LINEAR, **change}, seed=0)
        result = {"n_correct": right, "n_total": 100}
        return Row(id=task.id, experiment=task.experiment, params=task.params, seed=0, result=result)

    rows = [row(95), row(93, c2c=1.0), row(90, d2d=0.3)]
    assert_close(judge(robustness.CLAIMS[0], rows).estimate.value, 0.02, rtol=1e-9)
    assert_close(judge(robustness.CLAIMS[1], rows).estimate.value, 0.05, rtol=1e-9)

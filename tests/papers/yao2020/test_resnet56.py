"""How the way back for ResNet-56 is chosen and judged: by validation images, then once by the test images."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from ohmweave.data import Split
from ohmweave.experiments import Context, Options, Row, find, judge
from ohmweave.papers.yao2020 import resnet56, resnet_preparation
from ohmweave.papers.yao2020.resnet import ResNet
from ohmweave.papers.yao2020.resnet_bill import by_stage
from ohmweave.papers.yao2020.resnet_data import Subject
from ohmweave.papers.yao2020.resnet_results import STAGES as TITLES
from ohmweave.papers.yao2020.resnet_results import chosen
from tests.helpers import assert_close

STAGES = ("levels", "mapped", "tuned", "recalibrated", "recalibrated_tuned")


def counts(best: str, *, n: int) -> dict[str, Any]:
    """Right answers of `n`: one in ten wrong, half as many at the stage `best`, none with ideal levels."""
    found: dict[str, Any] = {way: dict.fromkeys(STAGES, n - n // 10) for way in ("largest", "layer", "channel")}
    way, stage = best.split(".")
    found[way][stage] = n - n // 20
    for by_name in found.values():
        by_name["levels"] = n
    return found | {"float": n}


def row(best_on_validation: str, best_on_test: str) -> Row:
    result = {
        "n_correct": counts(best_on_test, n=1_000),
        "n_correct_validation": counts(best_on_validation, n=500),
        "n_test": 1_000,
        "n_validation": 500,
        "n_arrays": 741,
    }
    params = {"data": "cifar10", "scale": "full"}
    return Row(id="0" * 16, experiment=resnet56.NAME, params=params, seed=0, result=result)  # type: ignore[arg-type]


def test_the_test_set_has_no_say() -> None:
    rows = [row("channel.mapped", "channel.recalibrated")]
    assert chosen(rows) == "channel.mapped"
    (claim,) = [claim for claim in find(resnet56.NAME).claims if claim.key == "best"]
    estimate = claim.estimate(rows)
    assert estimate is not None
    assert_close(estimate.value, -0.1, rtol=1e-9)
    assert judge(claim, rows).verdict not in ("reproduced", "not run")


def test_stages_that_are_not_on_the_chip_are_not_chosen() -> None:
    assert chosen([row("layer.tuned", "layer.tuned")]) == "layer.tuned"
    assert chosen([]) is None


def test_table_marks_the_choice() -> None:
    _, table, _ = find(resnet56.NAME).tables
    lines = table.rows([row("channel.recalibrated_tuned", "layer.tuned")])
    marked = [line for line in lines if line["chosen"]]
    assert [line["stage"] for line in marked] == [TITLES["channel.recalibrated_tuned"]]
    assert (marked[0]["validation"], marked[0]["test"], marked[0]["points"]) == ("95.00 %", "90.00 %", "-10.00")


def test_the_bill_is_told_by_stage_and_loses_nothing() -> None:
    layers = ("first.0", "layer1.0.conv1", "layer1.8.conv2", "layer1.0.conv1", "layer2.0.conv1", "linear")
    records = [
        {"phase": "inference", "layer": layer, "component": component, "count": 1, "energy": 2.0**n, "time": n}
        | {"area": 0.5, "source": component, "images": 20, "chips": 1}
        for n, (layer, component) in enumerate((layer, part) for part in ("ADC", "cells") for layer in layers)
    ]
    merged = by_stage(records)
    assert [(one["layer"], one["component"]) for one in merged] == [
        (stage, part) for part in ("ADC", "cells") for stage in ("first", "layer1", "layer2", "linear")
    ]
    assert [one["energy"] for one in merged] == [1, 14, 16, 32, 64, 14 * 64, 16 * 64, 32 * 64]
    assert (merged[1]["count"], merged[1]["time"], merged[1]["area"]) == (3, 6, 1.5)
    assert merged[1] | {"layer": "", "energy": 0, "count": 0, "time": 0, "area": 0} == {
        **records[1], "layer": "", "energy": 0, "count": 0, "time": 0, "area": 0
    }  # fmt: skip


def test_a_task_is_a_chip_and_a_way() -> None:
    found = resnet56.tasks(Options(data="cifar10", seeds=6))
    others = [name for name, way in resnet_preparation.WAYS.items() if not way.literal]
    assert [(task.seed, task.params["way"]) for task in found] == [
        *((seed, "largest") for seed in range(6)),
        *((seed, way) for way in others for seed in (0, 1)),
    ]


def test_drops_are_those_of_the_rows_that_hold_the_stage() -> None:
    whole = row("largest.tuned", "largest.tuned")
    result = {**whole.result, "n_correct": {"float": 1_000, "aware": {"tuned": 970}}}
    other = dataclasses.replace(whole, result=result)
    (claim,) = [claim for claim in find(resnet56.NAME).claims if claim.key == "tuned"]
    estimate = claim.estimate([other, whole])
    assert estimate is not None
    assert (round(estimate.value, 6), estimate.n) == (-0.05, 1)


def test_training_for_the_chip_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet_preparation, "AWARE_STEPS", 2)
    torch.manual_seed(0)
    images = Split(images=torch.randn(70, 3, 32, 32), labels=torch.randint(10, (70,)))
    what = Subject(
        net=ResNet(8).eval(), n_layers=8, train=images, validation=images, test=images, origin="trained here"
    )
    context = Context(options=Options(out=tmp_path))
    trained = resnet_preparation.prepared("aware", what, context)
    assert not trained.training
    monkeypatch.setattr(resnet_preparation, "trained_for_the_chip", None)
    again = resnet_preparation.prepared("aware", what, context)
    for name, value in trained.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(trained.linear.weight, what.net.linear.weight)

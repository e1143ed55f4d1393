"""How the way back for ResNet-56 is chosen and judged: by validation images, then once by the test images."""

from typing import Any

from memweave.experiments import Row, find, judge
from memweave.papers.yao2020 import resnet56
from tests.helpers import assert_close

STAGES = ("levels", "mapped", "tuned", "recalibrated", "recalibrated_tuned")


def counts(best: str, *, n: int) -> dict[str, Any]:
    """Right answers of `n`: one in ten wrong, half as many at the stage `best`, none with ideal levels."""
    found: dict[str, Any] = {way: dict.fromkeys(STAGES, n - n // 10) for way in ("layer", "channel")}
    way, stage = best.split(".")
    found[way][stage] = n - n // 20
    for by_stage in found.values():
        by_stage["levels"] = n
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
    rows = [row("channel.mapped", "layer.recalibrated")]
    assert resnet56.chosen(rows) == "channel.mapped"
    (claim,) = [claim for claim in find(resnet56.NAME).claims if claim.key == "drop"]
    estimate = claim.estimate(rows)
    assert estimate is not None
    assert_close(estimate.value, -0.1, rtol=1e-9)
    assert judge(claim, rows).verdict == "not reproduced"


def test_stages_that_are_not_on_the_chip_are_not_chosen() -> None:
    assert resnet56.chosen([row("layer.tuned", "layer.tuned")]) == "layer.tuned"
    assert resnet56.chosen([]) is None


def test_table_marks_the_choice() -> None:
    (table,) = find(resnet56.NAME).tables
    lines = table.rows([row("layer.recalibrated_tuned", "layer.tuned")])
    marked = [line for line in lines if line["chosen"]]
    assert [line["stage"] for line in marked] == [resnet56.STAGES["layer.recalibrated_tuned"]]
    assert (marked[0]["validation"], marked[0]["test"], marked[0]["points"]) == ("95.00 %", "90.00 %", "-10.00")

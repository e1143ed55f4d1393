"""Whole evaluations of cells whose worth is known: a perfect one, and ones with one property that spoils all."""

from dataclasses import replace
from pathlib import Path

import pytest

from ohmweave.cells import AffineStep, Cell, LinearStep, ReadNoise, Spread, StuckCells
from ohmweave.evaluation import EVALUATION, PERFECT, PROPERTIES, Effort, Evaluation, evaluate
from ohmweave.evaluation.in_situ_rules import RULES
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, TUNED, WAYS
from ohmweave.report import write_report

EFFORT = Effort(
    networks=4,
    n_train=997,
    epochs=20,
    in_situ=8,
    trial=2,
    tuning=1,
    search_chips=1,
    extensions=0,
    finalists=1,
    draws=0,
    draw_chips=2,
    property_chips=3,
)
STEP = 18e-6 / 100
LAW = AffineStep(g_min=2e-6, g_max=20e-6, set_step=(STEP, STEP), reset_step=(-STEP, -STEP), sigma=0.1 * STEP)
WHOLE = Cell(LAW, spread=Spread(d2d=0.05), read_noise=ReadNoise(floor=2e-8))
"""Every property is there, and none of them costs anything."""


def evaluated(cell: Cell, out: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """One layer and one rule, and no other rates for smaller steps: a test takes seconds, not minutes."""
    monkeypatch.setattr("ohmweave.evaluation.stages.FINER", ())
    monkeypatch.setattr("ohmweave.evaluation.search.RULES", {name: RULES[name] for name in ("mixed precision",)})
    path = out / "one.py"
    path.write_text(
        "from torch.nn import Flatten, Linear, Sequential\n"
        "def network(shape, n_classes): return Sequential(Flatten(), Linear(64, n_classes))",
        encoding="utf-8",
    )
    return evaluate(cell, network=path, chips=3, out=out, effort=EFFORT)


@pytest.mark.slow
def test_perfect_cell_gives_the_accuracy_of_software_in_every_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = evaluated(Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=100)), tmp_path, monkeypatch)
    software = result.accuracy[SOFTWARE].mean
    assert software.value > 0.85
    assert software.low is not None
    assert list(result.accuracy) == [SOFTWARE, *WAYS]
    for way in WAYS:
        cell = result.accuracy[way].cell
        # Chips of a perfect cell are all alike, and have no interval then: 1 of 400 images is allowed beside it.
        high = cell.value if cell.high is None else cell.high
        assert high > software.low - 1 / 400, way
    assert not any("below software" in remark for remark in result.remarks)
    assert {cost.name for cost in result.costs} == {"size of steps", PERFECT}
    page = write_report(tmp_path, also=(EVALUATION,)).read_text(encoding="utf-8")
    assert "There are no rows" not in page
    assert page.index("The cell</h4>") < page.index("<figure>") < page.index("The search</h4>")
    assert list((tmp_path / "figures").glob("evaluate-cell-*-accuracy.svg"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way", "parts"),
    [
        ("stuck cells", TRANSFER, {"faults": StuckCells(fraction=0.25, g_stuck=(2e-6, 20e-6))}),
        ("read noise", TRANSFER, {"read_noise": ReadNoise(floor=5e-6)}),
        (
            "asymmetry",
            IN_SITU,
            {
                "switching": AffineStep(
                    g_min=2e-6,
                    g_max=20e-6,
                    # 1 to 30, with small steps, costs a point only: the rule sends more pulses. This RESET is abrupt.
                    set_step=(0.1 * STEP, 0.1 * STEP),
                    reset_step=(-30 * STEP, -30 * STEP),
                    sigma=0.01 * STEP,
                )
            },
        ),
    ],
)
def test_planted_property(
    name: str, way: str, parts: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Writing cells with ten times smaller steps takes most of the time, and says nothing about these properties.
    others = {one: remove for one, remove in PROPERTIES.items() if one != "size of steps"}
    monkeypatch.setattr("ohmweave.evaluation.course.PROPERTIES", others)
    result = evaluated(replace(WHOLE, **parts), tmp_path, monkeypatch)  # type: ignore[arg-type]
    costs = [cost for cost in result.costs if cost.way == way and cost.name != PERFECT]
    assert costs[0].name == name
    assert costs[0].gain.value > 0.05
    assert costs[0].gain.low is not None
    assert costs[0].gain.low > 0
    assert max(cost.gain.value for cost in costs[1:]) < costs[0].gain.value / 2
    assert any(f"without {name}" in remark for remark in result.remarks)
    assert TUNED in result.accuracy

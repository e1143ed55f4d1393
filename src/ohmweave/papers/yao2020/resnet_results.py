"""Rows of `yao2020/resnet56`: accuracies by stage, the choice between them, table and figure."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ohmweave.experiments import Estimate, Row, mean_interval, rates
from ohmweave.papers.yao2020.resnet_preparation import WAYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_ACCURACY = {"float": 0.9557, "levels": 0.8964, "mapped": 0.8006, "tuned": 0.9408, "tuned_few": 0.9200}
"""Main text. The last: with 3 % of the training images (1,500), +- 0.8 % over ten trials."""

PAPER_STAGES = {
    "levels": "15 levels",
    "mapped": "written",
    "tuned": "last layer tuned",
    "norm_tuned": "last layer and batch norm tuned",
    "tuned_few": "last layer tuned with 1,500 images",
    "norm_tuned_few": "last layer and batch norm tuned with 1,500 images",
}
"""Titles of the stages that the paper may mean: it tunes the last layer, and says nothing of batch norm."""

BY_STAGE = PAPER_STAGES | {
    "recalibrated": "written, batch-norm statistics anew",
    "recalibrated_tuned": "statistics anew, last layer tuned",
}
"""Titles of the stages of each way."""

OWN_STAGES = {stage: BY_STAGE[stage] for stage in ("levels", "mapped", "tuned", "recalibrated", "recalibrated_tuned")}
"""Titles of the stages of our own ways."""

STAGES = {
    f"{way}.{stage}": f"{facts.title}: {title}"
    for way, facts in WAYS.items()
    for stage, title in (PAPER_STAGES if facts.paper else OWN_STAGES).items()
    if facts.literal or stage != "norm_tuned"
}
"""Titles of the stages of each way (`resnet_preparation.WAYS`), by "way.stage" as in the rows."""


def chosen(rows: Sequence[Row]) -> str | None:
    """The stage on the chip with the best validation accuracy; test images take no part in the choice."""
    found = {stage: rates(rows, f"n_correct_validation.{stage}", "n_validation") for stage in STAGES}
    means = {stage: sum(of) / len(of) for stage, of in found.items() if of and not stage.endswith("levels")}
    return max(means, key=means.__getitem__, default=None)


def drop(stage: str) -> Callable[[Sequence[Row]], Estimate | None]:
    """Test accuracy at `stage` less that in floating point, row by row, over the rows that hold the stage."""
    return lambda rows: mean_interval(_changes(rows, stage))


def _changes(rows: Sequence[Row], stage: str) -> list[float]:
    there = [row for row in rows if rates([row], f"n_correct.{stage}", "n_test")]
    after, before = rates(there, f"n_correct.{stage}", "n_test"), rates(there, "n_correct.float", "n_test")
    return [a - b for a, b in zip(after, before, strict=True)]


def chosen_drop(rows: Sequence[Row]) -> Estimate | None:
    """`drop` of the `chosen` stage; None where no row holds one."""
    stage = chosen(rows)
    return None if stage is None else drop(stage)(rows)


def readings(rows: Sequence[Row]) -> list[dict[str, object]]:
    """One line a reading of the paper's method, the paper's last: points lost from float by stage, mean and range."""
    paper_ways = [way for way, facts in WAYS.items() if facts.paper]
    lines: list[dict[str, object]] = [
        {"scale": WAYS[way].title, **{title: _points(rows, f"{way}.{stage}") for stage, title in PAPER_STAGES.items()}}
        for way in paper_ways
    ]
    printed: dict[str, object] = {
        title: f"{100 * (PAPER_ACCURACY[stage] - PAPER_ACCURACY['float']):+.2f}" if stage in PAPER_ACCURACY else ""
        for stage, title in PAPER_STAGES.items()
    }
    return [*lines, {"scale": "paper", **printed}]


def _points(rows: Sequence[Row], stage: str) -> str:
    """Mean over chips and, with several chips, the lowest and highest, in points."""
    lost = [100 * change for change in _changes(rows, stage)]
    if not lost:
        return ""
    spread = f" ({min(lost):+.2f} to {max(lost):+.2f})" if len(lost) > 1 else ""
    return f"{sum(lost) / len(lost):+.2f}{spread}"


def table(rows: Sequence[Row]) -> list[dict[str, object]]:
    """One line a stage: validation and test accuracy, the change from float in points, and a mark at the choice."""
    best = chosen(rows)
    lines: list[dict[str, object]] = [{"stage": "float", **_percents(rows, "float"), "points": "", "chosen": ""}]
    for stage, title in STAGES.items():
        change = drop(stage)(rows)
        points = "" if change is None else f"{100 * change.value:+.2f}"
        mark = "best on validation" if stage == best else ""
        lines.append({"stage": title, **_percents(rows, stage), "points": points, "chosen": mark})
    return lines


def _percents(rows: Sequence[Row], stage: str) -> dict[str, str]:
    validation = mean_interval(rates(rows, f"n_correct_validation.{stage}", "n_validation"))
    test = mean_interval(rates(rows, f"n_correct.{stage}", "n_test"))
    return {
        name: "" if found is None else f"{100 * found.value:.2f} %"
        for name, found in (("validation", validation), ("test", test))
    }


def draw(rows: Sequence[Row]) -> "Figure | None":
    """Points lost from float, a dot a chip: the readings of the paper's method with its numbers, and our own ways."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _dots(left, rows, [way for way, facts in WAYS.items() if facts.paper], PAPER_STAGES)
    for at, stage in enumerate(PAPER_STAGES):
        if stage in PAPER_ACCURACY:
            lost = 100 * (PAPER_ACCURACY[stage] - PAPER_ACCURACY["float"])
            left.plot(at, lost, "kx", markersize=8, label="paper" if at == 0 else None)
    _dots(right, rows, [way for way, facts in WAYS.items() if not facts.paper], OWN_STAGES)
    left.set_ylabel("test accuracy less float (points)")
    left.set_title("readings of the paper's method", fontsize=9)
    right.set_title("our own ways", fontsize=9)
    for axes in (left, right):
        axes.axhline(0.0, color="0.7", linewidth=0.8)
        axes.legend(frameon=False, fontsize=7, loc="lower right")
    return figure


def _dots(axes: "Axes", rows: Sequence[Row], ways: Sequence[str], stages: Mapping[str, str]) -> None:
    for number, way in enumerate(ways):
        offset = 0.14 * (number - (len(ways) - 1) / 2)  # beside each other, so that no dot hides another
        for at, stage in enumerate(stages):
            there = [row for row in rows if rates([row], f"n_correct.{way}.{stage}", "n_test")]
            after, before = (
                rates(there, f"n_correct.{way}.{stage}", "n_test"),
                rates(there, "n_correct.float", "n_test"),
            )
            lost = [100 * (a - b) for a, b in zip(after, before, strict=True)]
            label = WAYS[way].title if at == 0 else None
            axes.plot([at + offset] * len(lost), lost, "o", markersize=4, color=f"C{number}", alpha=0.7, label=label)
    axes.set_xticks(range(len(stages)), [textwrap.fill(title, 14) for title in stages.values()], fontsize=7)

"""Rows of `yao2020/resnet56`: accuracies by stage, the choice between them, table and figure."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ohmweave.experiments import Estimate, Row, mean_interval, rates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_ACCURACY = {"float": 0.9557, "levels": 0.8964, "mapped": 0.8006, "tuned": 0.9408}  # main text

STAGES = {
    "layer.levels": "15 levels, one scale a layer",
    "layer.mapped": "written",
    "layer.tuned": "written, last layer tuned (paper's method)",
    "layer.recalibrated": "written, batch-norm statistics anew",
    "layer.recalibrated_tuned": "written, statistics anew, last layer tuned",
    "channel.levels": "15 levels, one scale a channel",
    "channel.mapped": "written, one scale a channel",
    "channel.tuned": "the same, last layer tuned",
    "channel.recalibrated": "the same, statistics anew instead",
    "channel.recalibrated_tuned": "the same, statistics anew and last layer tuned",
    "aware.levels": "trained for the chip, 15 levels",
    "aware.mapped": "written, trained for the chip",
    "aware.tuned": "the same, last layer tuned",
    "aware.recalibrated": "the same, statistics anew instead",
    "aware.recalibrated_tuned": "the same, statistics anew and last layer tuned",
}


"""Titles of the stages of each way (`resnet_preparation.WAYS`), by "way.stage" as in the rows."""


def chosen(rows: Sequence[Row]) -> str | None:
    """The stage on the chip with the best validation accuracy; test images take no part in the choice."""
    found = {stage: rates(rows, f"n_correct_validation.{stage}", "n_validation") for stage in STAGES}
    means = {stage: sum(of) / len(of) for stage, of in found.items() if of and not stage.endswith("levels")}
    return max(means, key=means.__getitem__, default=None)


def drop(stage: str) -> Callable[[Sequence[Row]], Estimate | None]:
    """Test accuracy at `stage` less that in floating point, row by row, over the rows that hold the stage."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        there = [row for row in rows if rates([row], f"n_correct.{stage}", "n_test")]
        after, before = rates(there, f"n_correct.{stage}", "n_test"), rates(there, "n_correct.float", "n_test")
        return mean_interval([a - b for a, b in zip(after, before, strict=True)])

    return estimate


def chosen_drop(rows: Sequence[Row]) -> Estimate | None:
    """`drop` of the `chosen` stage; None where no row holds one."""
    stage = chosen(rows)
    return None if stage is None else drop(stage)(rows)


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
    """A bar a stage: test accuracy, mean over chips, with a point a chip and the paper's figure as a cross."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    names = ["float", *STAGES]
    for at, stage in enumerate(names):
        values = [100 * rate for rate in rates(rows, f"n_correct.{stage}", "n_test")]
        if not values:
            continue
        axes.barh(at, sum(values) / len(values), color="#4c72b0", alpha=0.5)
        axes.plot(values, [at] * len(values), ".", color="#4c72b0")
        key = {"layer.levels": "levels", "layer.mapped": "mapped", "layer.tuned": "tuned"}.get(stage, stage)
        if key in PAPER_ACCURACY:
            axes.plot(100 * PAPER_ACCURACY[key], at, "x", color="#c44e52", label="paper" if at == 0 else None)
    axes.set_yticks(range(len(names)), ["float", *STAGES.values()], fontsize=7)
    axes.invert_yaxis()
    found = [rate for stage in STAGES for rate in rates(rows, f"n_correct.{stage}", "n_test")]
    axes.set_xlim(left=max(0.0, 100 * min(found, default=1.0) - 10))
    axes.set_xlabel("test accuracy (%)")
    axes.legend(
        frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0)
    )  # above the axes, where its cross cannot be taken for a value
    return figure

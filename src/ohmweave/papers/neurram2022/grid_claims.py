"""The authors' grid and the accuracy on the chip, and how near counts: two points, either way."""

from collections.abc import Sequence

from ohmweave.experiments import Claim, Estimate, Estimator, Needs, Row, Within, mean_interval
from ohmweave.papers.neurram2022 import results

NEEDS = Needs(data="cifar10", scale="full")
GRID = {
    0.0: (0.873, 0.693, 0.257, 0.122),
    0.1: (0.882, 0.871, 0.838, 0.772),
    0.2: (0.876, 0.870, 0.856, 0.833),
    0.3: (0.860, 0.859, 0.850, 0.835),
}
"""Accuracy by noise in training, for test noise of 0, 5, 10 and 15 % of the largest weight."""
TESTED = (0.0, 0.05, 0.1, 0.15)
ON_CHIP = 0.857
"""Accuracy on the chip. Abstract."""


def _accuracy(trained: float, tested: float) -> Estimator:
    def estimate(rows: Sequence[Row]) -> Estimate | None:
        return mean_interval(results.accuracies(rows, trained, tested))

    return estimate


def _on_chip(rows: Sequence[Row]) -> Estimate | None:
    return mean_interval(results.chip_accuracies(rows, "1 d"))


GRID_CLAIMS = tuple(
    Claim(
        key=f"trained-{round(100 * trained)}-tested-{round(100 * tested)}",
        quantity=f"accuracy, trained with {trained:.0%} of noise, tested with {tested:.0%}",
        unit="1",
        paper=paper,
        where="the authors' grid",
        estimate=_accuracy(trained, tested),
        accept=Within(absolute=0.02),
        needs=NEEDS,
        better="higher",
        note="two points",
    )
    for trained, line in GRID.items()
    for tested, paper in zip(TESTED, line, strict=True)
)

CHIP_CLAIMS = (
    Claim(
        key="on-chip",
        quantity="accuracy on the chip, 1 d after the write, without tuning in the loop",
        unit="1",
        paper=ON_CHIP,
        where="abstract; tuned with the chip in the loop",
        estimate=_on_chip,
        accept=Within(absolute=0.02),
        needs=NEEDS,
        better="higher",
        note="two points",
    ),
)

"""Claims of `yao2020/stages`: what is judged are the differences between stages, on both sides."""

from ohmweave.experiments import (
    JSON,
    AtLeast,
    Claim,
    Within,
    lowest_rate_of,
    nested_mean_rate_of,
    nested_rate_difference_of,
    value_of,
)
from ohmweave.papers.yao2020 import figures
from ohmweave.papers.yao2020.plan import NEEDS

STAGES = {"software": 0.9799, "levels": 0.9692, "transferred": 0.9507, "hybrid": 0.9619}
_STAGE_TITLES = {
    "software": "software",
    "levels": "15-level weights",
    "transferred": "after write-verify",
    "hybrid": "after hybrid training",
}
LEVEL = 0.9799
"""Accuracy on the validation images at which the training of the second set of networks stops: that of the paper's
software network on the test images."""

_KINDS = {"matched": "networks stopped at the paper's software accuracy", "whole": "networks of the whole recipe"}
_WHERE: dict[str, dict[str, JSON]] = {"matched": {"stop_at": LEVEL}, "whole": {"stop_at": None}}

_DECLARED = "2026-11-26, after results were known: claims had been on absolute accuracies, on one side, of one network"
_DROPS = (
    # key, from, to, quantity, tolerance
    ("levels-lost", "software", "levels", "test accuracy lost by rounding to 15 levels", 0.005),
    ("transfer-lost", "levels", "transferred", "test accuracy lost by writing the rounded weights", 0.006),
    ("gain", "transferred", "hybrid", "test accuracy won by hybrid training", 0.005),
)


def _drops(software: str) -> list[Claim]:
    """Differences between stages, each chip against itself, for one kind of software network."""
    return [
        Claim(
            key=key if software == "matched" else f"{key}-whole",
            quantity=f"{quantity}, {_KINDS[software]}",
            unit="1",
            paper=round(abs(STAGES[to] - STAGES[of]), 6),
            where=f"{100 * STAGES[of]:.2f} to {100 * STAGES[to]:.2f} %, main text",
            estimate=nested_rate_difference_of(
                f"n_correct.{to if key == 'gain' else of}",
                f"n_correct.{of if key == 'gain' else to}",
                "n_test",
                where=_WHERE[software],
            ),
            accept=Within(absolute=tolerance),
            needs=NEEDS,
            better="higher" if key == "gain" else "lower",
            note="tolerance: about half of the printed difference, which is of one chip",
            declared=_DECLARED,
        )
        for key, of, to, quantity, tolerance in _DROPS
    ]


def _accuracy(stage: str, software: str) -> Claim:
    matched = software == "matched"
    judged = matched and stage == "software"
    return Claim(
        key=stage if matched else f"{stage}-whole",
        quantity=f"test accuracy, {_STAGE_TITLES[stage]}, {_KINDS[software]}",
        unit="1",
        paper=STAGES[stage],
        where="main text" + (" (their simulation: 95.63 %)" if stage == "transferred" else ""),
        estimate=nested_mean_rate_of(f"n_correct.{stage}", "n_test", where=_WHERE[software]),
        accept=Within(absolute=0.001) if judged else None,
        needs=NEEDS,
        better="higher",
        note="so that drops can be compared" if judged else "not judged: the differences between stages are",
        declared=_DECLARED,
    )


def _train_error(stage: str, printed: float) -> Claim:
    return Claim(
        key=f"train-{stage}",
        quantity=f"training error, {_STAGE_TITLES[stage]}, {_KINDS['matched']}",
        unit="1",
        paper=printed,
        where="main text",
        estimate=lambda rows: figures.nested_error(rows, f"train_correct.{stage}", "n_train", _WHERE["matched"]),
        accept=None,
        needs=NEEDS,
        better="lower",
        note="ours: on the first 10,000 training images; not judged: the paper's training error in software is not "
        "printed",
    )


CLAIMS = (
    _accuracy("software", "matched"),
    *_drops("matched"),
    *(_accuracy(stage, "matched") for stage in ("levels", "transferred", "hybrid")),
    *_drops("whole"),
    *(_accuracy(stage, "whole") for stage in STAGES),
    Claim(
        key="worst",
        quantity="test accuracy after hybrid training, worst chip of all",
        unit="1",
        paper=None,
        where="ours: the paper has one system",
        estimate=lowest_rate_of("n_correct.hybrid", "n_test"),
        accept=AtLeast(0.95),
        needs=NEEDS,
    ),
    _train_error("transferred", 0.0482),
    _train_error("hybrid", 0.0321),
    Claim(
        key="written-error",
        quantity="standard deviation of a written cell's conductance error",
        unit="S",
        paper=0.54e-6,
        where="Methods: 108 nA at 0.2 V",
        estimate=value_of("error.c3"),
        accept=Within(absolute=0.05e-6),
        better="lower",
        note="read back at the end, third layer. Cells at the idle 2.5 uS often stop at the window's wall, "
        "2 uS, where the table's RESET is weak, and miss by 0.63 uS",
    ),
)

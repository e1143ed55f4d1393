"""How long experiments take on this machine, by scale, for `ohmweave list`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ohmweave.experiments import Experiment

COLUMNS = ("smoke, digits", "full, 1 seed")
"""What the times are of: the smallest run, and one repetition at the paper's size on its own data set."""


def times(known: "Sequence[Experiment]") -> list[dict[str, float | None]]:
    """S by column for each experiment, one task after another from an empty folder; None where it was not measured.

    Durations are those of the reference machine, scaled by a short computation here.
    """
    from ohmweave.experiments import Options, expected_times

    nowhere = Path("results") / "expected"  # without rows, all tasks are to be done
    smoke = [(one, Options(data="digits", scale="smoke", out=nowhere)) for one in known]
    full = [(one, replace(options, data=one.data, scale="full")) for one, options in smoke]
    found = expected_times([*smoke, *full])
    return [
        dict(zip(COLUMNS, (small.seconds, large.seconds), strict=True))
        for small, large in zip(found[: len(smoke)], found[len(smoke) :], strict=True)
    ]

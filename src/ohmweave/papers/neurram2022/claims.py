"""What Wan et al. 2022 print, and how near counts."""

from collections.abc import Sequence

from ohmweave.experiments import Claim, Estimate, Needs, Row, Within, mean_interval, rate_of

WRITE_NEEDS = Needs(scale="full")
PULSES, SUCCESS = 8.52, 0.99
"""Pulses a cell, and cells inside the band within 30 reversals. Methods."""
SHARE = 0.3


def _pulses(rows: Sequence[Row]) -> Estimate | None:
    mine = [row for row in rows if row.params["response"] == "middle"]
    return mean_interval([float(str(row.result["pulses"])) for row in mine])


WRITE_CLAIMS = (
    Claim(
        key="pulses",
        quantity="pulses a cell",
        unit="pulses",
        paper=PULSES,
        where="Methods",
        estimate=_pulses,
        accept=Within(absolute=SHARE * PULSES),
        needs=WRITE_NEEDS,
        better="lower",
        note="30 %",
    ),
    Claim(
        key="success",
        quantity="cells inside the band of 1 uS within 30 reversals",
        unit="1",
        paper=SUCCESS,
        where="Methods",
        estimate=rate_of("n_converged", "n_cells", where={"response": "middle"}),
        accept=Within(absolute=0.005),
        needs=WRITE_NEEDS,
        better="higher",
        note="half a point",
    ),
)

"""What Falcone et al. 2025 print, and how near counts: 30 %, either way."""

from collections.abc import Sequence

from ohmweave.experiments import Claim, Estimate, Estimator, Needs, Row, Within, mean_interval
from ohmweave.papers.falcone2025.errors import MAIN, errors_of

NEEDS = Needs(scale="full")
SHARE = 0.3
RMS_1S, RMS_10Y = 0.06, 0.2
"""Abstract: root-mean-square error from 0.06 at 1 s to 0.2 at 10 years."""
NOISE = 10e-9
"""S. Abstract: programming noise down to 10 nS."""


def _error(age: str) -> Estimator:
    def estimate(rows: Sequence[Row]) -> Estimate | None:
        return mean_interval([e for row in rows if row.params["reading"] == MAIN for e in errors_of(row, age)])

    return estimate


def _noise(rows: Sequence[Row]) -> Estimate | None:
    found = [row.result["sigma_low"] for row in rows if row.params["reading"] == MAIN]
    return mean_interval([float(str(sigma)) for sigma in found if sigma is not None])


CLAIMS = (
    Claim(
        key="error-1s",
        quantity="relative error of 64 x 64 products, 1 s after the write",
        unit="1",
        paper=RMS_1S,
        where="abstract",
        estimate=_error("1 s"),
        accept=Within(absolute=SHARE * RMS_1S),
        needs=NEEDS,
        better="lower",
        note="30 %",
    ),
    Claim(
        key="error-1d",
        quantity="relative error of 64 x 64 products, 1 d after the write",
        unit="1",
        paper=None,
        where="no number was available",
        estimate=_error("1 d"),
        accept=None,
        needs=NEEDS,
    ),
    Claim(
        key="error-10y",
        quantity="relative error of 64 x 64 products, 10 years after the write",
        unit="1",
        paper=RMS_10Y,
        where="abstract",
        estimate=_error("10 y"),
        accept=Within(absolute=SHARE * RMS_10Y),
        needs=NEEDS,
        better="lower",
        note="30 %",
    ),
    Claim(
        key="programming-noise",
        quantity="standard deviation of the error of a cell written near the lowest conductance",
        unit="S",
        paper=NOISE,
        where="abstract: down to 10 nS",
        estimate=_noise,
        accept=Within(absolute=SHARE * NOISE),
        needs=NEEDS,
        better="lower",
        note="it follows from the acceptance range of 0.2 %; 30 %",
    ),
)

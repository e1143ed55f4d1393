"""What the public outcomes of Le et al. 2021 say, and how near counts."""

from collections.abc import Mapping, Sequence

from ohmweave.experiments import Claim, Estimate, Estimator, Needs, Row, Within, mean_interval

NEEDS = Needs(scale="full")
PULSES = {"incremental": 19.2, "fixed": 14.4}
SUCCESS = {"incremental": 0.9622, "fixed": 0.9616}
CHIP = {"incremental": "2", "fixed": "1"}
"""Outcomes of 8,192 cells, each written to the four levels: exptdata/ispp/data/2bpc/ispp-4wl-eval-chip2-8-9-20.csv and
exptdata/fppv/data/2bpc/fppv-4wl-eval-chip1-8-7-20.csv; sets and resets together."""
SHARE = 0.3
DECLARED = "2026-11-27, after the prediction: the outcome files say which chip each of the two means is of"


def _by_level(row: Row, scheme: str, key: str) -> list[float]:
    chips = row.result["chips"]
    assert isinstance(chips, Mapping)
    found = chips[CHIP[scheme]]
    assert isinstance(found, Mapping)
    values = found[key]
    assert isinstance(values, list)
    return [float(str(value)) for value in values]


def _pulses(scheme: str) -> Estimator:
    def estimate(rows: Sequence[Row]) -> Estimate | None:
        mine = [_by_level(row, scheme, "pulses") for row in rows if row.params["scheme"] == scheme]
        return mean_interval([sum(levels) / len(levels) for levels in mine])

    return estimate


def _success(scheme: str) -> Estimator:
    def estimate(rows: Sequence[Row]) -> Estimate | None:
        mine = [row for row in rows if row.params["scheme"] == scheme]
        return mean_interval(
            [sum(_by_level(row, scheme, "n_converged")) / sum(_by_level(row, scheme, "n_cells")) for row in mine]
        )

    return estimate


CLAIMS = tuple(
    claim
    for scheme, chip in CHIP.items()
    for claim in (
        Claim(
            key=f"pulses-{scheme}",
            quantity=f"pulses a cell, {scheme}, chip {chip}",
            unit="pulses",
            paper=PULSES[scheme],
            where="public outcomes",
            estimate=_pulses(scheme),
            accept=Within(absolute=SHARE * PULSES[scheme]),
            needs=NEEDS,
            better="lower",
            note="30 %",
            declared=DECLARED,
        ),
        Claim(
            key=f"success-{scheme}",
            quantity=f"cells inside their band, {scheme}, chip {chip}",
            unit="1",
            paper=SUCCESS[scheme],
            where="public outcomes",
            estimate=_success(scheme),
            accept=Within(absolute=0.01),
            needs=NEEDS,
            better="higher",
            note="a point",
            declared=DECLARED,
        ),
    )
)

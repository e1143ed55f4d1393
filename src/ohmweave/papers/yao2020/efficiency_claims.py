"""Claims on the macro's figures: those that follow from other printed figures are judged, identities are shown."""

from collections.abc import Sequence

from ohmweave.experiments import Claim, Estimate, Estimator, Row, Within, value_of
from ohmweave.papers.changes import ADDED, NOT_JUDGED_NOW, TWO_SIDED
from ohmweave.papers.yao2020.macro import T_READ


def _arithmetic(
    key: str,
    quantity: str,
    unit: str,
    paper: float,
    estimate: Estimator,
    *,
    rounding: float,
    note: str,
    declared: str = TWO_SIDED,
) -> Claim:
    """A figure that follows from other printed figures, within the rounding of the printed one."""
    return Claim(
        key=key,
        quantity=quantity,
        unit=unit,
        paper=paper,
        where="main text and Methods",
        estimate=estimate,
        accept=Within(absolute=rounding),
        note=f"{note}; within the rounding of the printed figure, no cell of ours takes part",
        declared=declared,
    )


def _identity(key: str, quantity: str, unit: str, paper: float, estimate: Estimator, *, note: str) -> Claim:
    """A figure that is ours by construction, shown without a verdict."""
    return Claim(
        key=key,
        quantity=quantity,
        unit=unit,
        paper=paper,
        where="main text and Methods",
        estimate=estimate,
        accept=None,
        note=note,
        declared=NOT_JUDGED_NOW,
    )


def _in(unit: float, result: str) -> Estimator:
    """The number under `result`, which is in SI units, in the unit of `unit` SI units."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        found = value_of(result)(rows)
        return None if found is None else Estimate(value=found.value / unit)

    return estimate


EFFICIENCY = (
    _arithmetic(
        "throughput",
        "throughput of the macro",
        "GOPS",
        81.92,
        _in(1e9, "macro.throughput"),
        rounding=0.005,
        note="from the size of the array, 8 reads of 50 ns and 2 operations a cell",
    ),
    _arithmetic(
        "density",
        "performance density of the macro",
        "GOPS/mm2",
        1_164,
        _in(1e15, "macro.density"),
        rounding=0.5,
        note="that throughput over the printed area of a block and its printed share",
    ),
    _arithmetic(
        "v100",
        "efficiency over a Tesla V100's",
        "times",
        110.0,
        value_of("over_v100"),
        rounding=0.5,
        note="the GPU's 100 GOPS/W are of Ambrogio et al. 2018",
    ),
    _arithmetic(
        "v100-area",
        "performance density over a Tesla V100's",
        "times",
        30.0,
        value_of("over_v100_area"),
        rounding=5.0,
        note="printed to one digit",
        declared=ADDED,
    ),
    _arithmetic(
        "adc-1024",
        "power of the converters of a 1,024 x 1,024 array",
        "mW",
        52.2,
        _in(1e-3 * T_READ / 8, "parts.ADC"),
        rounding=0.05,
        note="8 times as many columns, one read in 50 ns: checks 32 x 4 x 2.55 pJ",
        declared=ADDED,
    ),
    _arithmetic(
        "cells-1024",
        "power of the cells of a 1,024 x 1,024 array",
        "mW",
        29.0,
        _in(1e-3 * T_READ / 64, "parts.cells"),
        rounding=0.05,
        note="64 times as many cells, one read in 50 ns: checks the ratio of 14.4",
        declared=ADDED,
    ),
    _identity(
        "efficiency",
        "energy efficiency of the macro",
        "GOPS/W",
        11_014,
        _in(1e9, "macro.efficiency"),
        note="an identity: the rest of the energy is the printed total less the parts, so that the sum is the printed "
        "371.89 pJ whatever the parts are; it follows from that total and the throughput",
    ),
    _identity(
        "adc",
        "energy of the ADCs in a read",
        "J",
        326.4e-12,
        value_of("parts.ADC"),
        note="the product of printed figures, 32 x 4 x 2.55 pJ; not printed itself",
    ),
    _identity(
        "cells",
        "energy of the cells in a read",
        "J",
        22.67e-12,
        value_of("parts.cells"),
        note="that of the ADCs over the printed 14.4; not printed itself",
    ),
)

"""From pulse trains to a cell: the switching laws of ohmweave, fitted and compared."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ohmweave.base import DataError, OutOfRangeError, check_fraction, check_integer
from ohmweave.base.units import format_quantity
from ohmweave.cells import Cell
from ohmweave.fitting.between_cells import Interval, share
from ohmweave.fitting.estimates import FittedLaw, fitted
from ohmweave.fitting.families import EXPONENTIAL, LINEAR, SOFT_BOUNDS, TABLE, table
from ohmweave.fitting.trains import Floats, PulseTrains
from ohmweave.fitting.usable import Usable, most_bins, usable

LAWS = (LINEAR.name, SOFT_BOUNDS.name, EXPONENTIAL.name, TABLE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Laws fitted to the same pulse trains.

    Attributes:
        trains: the data.
        used: the part of the data that was fitted, and the window.
        laws: by name, in order of the number of parameters.
        behind: by name, the difference of the held-out log likelihood per step to that of the best law, and its
            standard error.
        chosen: the law with the fewest parameters within one standard error of the best, or the one given by name.
        stuck: fraction of the cells that do not respond.
        notes: remarks on the data, such as what was left out.
    """

    trains: PulseTrains
    used: Usable
    laws: Mapping[str, FittedLaw]
    behind: Mapping[str, tuple[float, float]]
    chosen: FittedLaw
    stuck: Interval
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """The chosen law, the laws that were compared, and the data."""
        return f"Fit(chosen={self.chosen.name!r} of {', '.join(self.laws)};\n  {self.used!r})"

    @property
    def cell(self) -> Cell:
        """The cell with the chosen law."""
        return self.chosen.cell


def fit_trains(
    trains: PulseTrains,
    *,
    g_min: float | None = None,
    g_max: float | None = None,
    bins: int = 10,
    stuck_below: float = 0.1,
    law: str | None = None,
) -> Fit:
    """Fit switching laws to pulse trains by maximum likelihood, and choose one.

    A step that ends at a bound of the window is treated as censored: it would have gone at least so far. Cells differ
    by one factor that multiplies mean and noise of their steps, as in `Spread`.

    Args:
        trains: the data.
        g_min: S, lower end of the window; None is the lowest conductance of a working cell.
        g_max: S, upper end; None is the highest.
        bins: largest number of bins of the pulse table; fewer are used if a bin would have less than 20 steps inside
            the window for a polarity.
        stuck_below: a cell is stuck if the range of its conductance is below this fraction of that of the widest cell.
        law: one of `LAWS`; None: chosen by the likelihood of held-out steps.

    Returns:
        The laws, how they compare, and the chosen one.

    Raises:
        DataError: there are too few steps of a polarity, no cell responds, or `law` cannot describe the data.
        OutOfRangeError: an argument is out of range.
        ConvergenceError: a likelihood has no maximum.

    Valid for: identical pulses whose outcome depends on the present conductance alone, with Gaussian scatter. Read
        noise is not distinguished from noise of pulses; `notes` has a remark if it is visible.
    Source: see `likelihood` and `between_cells`.
    """
    check_integer("bins", bins, at_least=1)
    check_fraction("stuck_below", stuck_below)
    if law is not None and law not in LAWS:
        raise OutOfRangeError(f"`law` must be one of {', '.join(LAWS)}, but is {law!r}")
    used = usable(trains, g_min=g_min, g_max=g_max, stuck_below=stuck_below)
    laws: dict[str, FittedLaw] = {}
    refused: dict[str, str] = {}
    for family in (LINEAR, SOFT_BOUNDS, EXPONENTIAL, table(most_bins(used, bins))):
        try:
            laws[family.name] = fitted(family, used)
        except OutOfRangeError as error:
            refused[family.name] = f"the {family.name} law cannot describe the data: {error}"
    if law in refused:
        raise DataError(f"`law` must fit the data, but {refused[law]}")
    behind = _behind(laws)
    chosen = laws[law or simplest(behind)]
    return Fit(
        trains=trains,
        used=used,
        laws=laws,
        behind=behind,
        chosen=chosen,
        stuck=share(len(used.stuck), len(used.stuck) + len(used.working)),
        notes=(*used.notes, *refused.values(), *_noise_of_reads(chosen, used)),
    )


def simplest(behind: Mapping[str, tuple[float, float]]) -> str:
    """The law with the fewest parameters whose gap to the best is within one standard error."""
    return next(name for name, (gap, error) in behind.items() if gap <= error)


def _behind(laws: Mapping[str, FittedLaw]) -> dict[str, tuple[float, float]]:
    best = max(laws.values(), key=lambda law: float(law.held_out.mean())).held_out
    return {name: _mean_and_error(best - law.held_out) for name, law in laws.items()}


def _mean_and_error(values: Floats) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def _noise_of_reads(law: FittedLaw, used: Usable) -> tuple[str, ...]:
    """A note if read noise is visible: the error of a reading enters the steps before and after with opposite signs."""
    after = np.flatnonzero(np.diff(used.steps.at) == 1) + 1
    pairs = np.stack([law.z[after - 1], law.z[after]])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    n = pairs.shape[1]
    if n < 2:
        return ()
    # Errors of reads alone give neighbouring steps the correlation -1/2; noise of pulses alone gives 0.
    correlation = float(np.mean(pairs[0] * pairs[1]) / np.mean(pairs**2))
    if correlation > min(-0.1, -3 / n**0.5):
        return ()
    dg = used.steps.g_after - used.steps.g_before
    scatter = float(np.nanstd(np.where(np.isfinite(law.z), dg, np.nan)))
    size = format_quantity((-correlation) ** 0.5 * scatter, "S", digits=2)
    return (
        f"steps that follow one another are anticorrelated ({correlation:.2f}): reads scatter by up to {size}, which "
        "the fit takes for noise of pulses",
    )

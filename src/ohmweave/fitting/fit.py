"""From pulse trains to a cell: the switching laws of ohmweave, fitted and compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ohmweave.base import ConvergenceError, DataError, OutOfRangeError, check_fraction, check_integer, shown
from ohmweave.cells import Cell
from ohmweave.fitting.between_cells import Interval, share
from ohmweave.fitting.choice import compared, simplest
from ohmweave.fitting.curved_fit import fitted_curved
from ohmweave.fitting.curved_laws import POWER, STRETCHED, straight_laws_miss
from ohmweave.fitting.estimates import FittedLaw, fitted
from ohmweave.fitting.families import EXPONENTIAL, LINEAR, SOFT_BOUNDS, TABLE, table
from ohmweave.fitting.goodness import Agreement, agreement
from ohmweave.fitting.noise_of_reads import NoiseOfReads, noise_of_reads
from ohmweave.fitting.noisy_laws import NoisyLaw, noisy
from ohmweave.fitting.trains import PulseTrains
from ohmweave.fitting.usable import Usable, most_bins, usable

LAWS = (LINEAR.name, SOFT_BOUNDS.name, EXPONENTIAL.name, POWER.name, STRETCHED.name, TABLE)
_CURVED = {POWER.name: POWER, STRETCHED.name: STRETCHED}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Laws fitted to the same pulse trains.

    Attributes:
        trains: the data.
        used: the part of the data that was fitted, and the window.
        laws: by name; power and stretched exponential only where the others miss the form of the steps.
        behind: by name, the difference of the held-out log likelihood per step to that of the best law, and its
            standard error.
        chosen: the law with the fewest parameters within one standard error of the best, of equals the nearest; or the
            one given by name.
        stuck: fraction of the cells that do not respond.
        agreement: how far simulated trains of the chosen law are from the measured ones, and whether it describes them.
        read_noise: S, standard deviation of a read at the middle of the window; None where it was not looked for.
        notes: remarks on the data, such as what was left out.
    """

    trains: PulseTrains
    used: Usable
    laws: Mapping[str, FittedLaw]
    behind: Mapping[str, tuple[float, float]]
    chosen: FittedLaw
    stuck: Interval
    agreement: Agreement
    read_noise: Interval | None
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
    read_noise: Literal["fit", "none"] = "fit",
) -> Fit:
    """Fit switching laws to pulse trains by maximum likelihood, and choose one.

    A step that ends at a bound of the window is treated as censored: it would have gone at least so far. Cells differ
    by one factor that multiplies mean and noise of their steps, as in `Spread`.

    Args:
        trains: the data.
        g_min: S, lower end of the window; None: the lowest reading of a working cell, or inside it.
        g_max: S, upper end; None: the highest reading, or inside it.
        bins: largest number of bins of the pulse table; fewer are used if a bin would have less than 20 steps inside
            the window for a polarity.
        stuck_below: a cell is stuck if the range of its conductance is below this fraction of that of the widest cell.
        law: one of `LAWS`; None: chosen by the likelihood of held-out steps.
        read_noise: "fit" separates the noise of reads from that of pulses where the data show it; "none" takes readings
            for exact, which is right for averaged ones.

    Returns:
        The laws, how they compare, and the chosen one.

    Raises:
        DataError: there are too few steps of a polarity, no cell responds, or `law` cannot describe the data.
        OutOfRangeError: an argument is out of range.
        ConvergenceError: a likelihood has no maximum.

    Valid for: identical pulses whose outcome depends on the present conductance alone, with Gaussian scatter, and reads
        whose noise is new for each read. Where read noise is found, an end of the window that is not given is moved
        inwards from the extreme reading if that makes the readings likelier, as it does where cells stay at a bound.
    Source: see `likelihood`, `kalman` and `between_cells`.
    """
    check_integer("bins", bins, at_least=1)
    check_fraction("stuck_below", stuck_below)
    if read_noise not in ("fit", "none"):
        raise OutOfRangeError(f"`read_noise` must be 'fit' or 'none', but is {shown(read_noise)}")
    if law is not None and law not in LAWS:
        raise OutOfRangeError(f"`law` must be one of {', '.join(LAWS)}, but is {law!r}")
    used = usable(trains, g_min=g_min, g_max=g_max, stuck_below=stuck_below)
    laws, noisy_laws, refused = _fitted(trains, used, bins, law)
    if law in refused:
        raise DataError(f"`law` must fit the data, but {refused[law]}")
    noise = NoiseOfReads({}, ())
    if read_noise == "fit":
        noise = noise_of_reads(trains, used, laws, noisy_laws, law, seen=(g_min is None, g_max is None))
    used = noise.used or used
    laws = dict(noise.laws) or laws
    behind = compared(laws)
    chosen = laws[law or simplest(laws)]
    judged = agreement(trains, used, chosen)
    return Fit(
        trains=trains,
        used=used,
        laws=laws,
        behind=behind,
        chosen=chosen,
        stuck=share(len(used.stuck), len(used.stuck) + len(used.working)),
        agreement=judged,
        read_noise=noise.size,
        notes=(
            *used.notes,
            *refused.values(),
            *noise.notes,
            *(() if judged.describes else (str(judged), judged.advice)),
        ),
    )


def _fitted(
    trains: PulseTrains, used: Usable, bins: int, law: str | None
) -> tuple[dict[str, FittedLaw], dict[str, NoisyLaw], dict[str, str]]:
    """All laws with readings taken for exact, as laws of noisy readings, and why some do not fit.

    Curved laws take long, and are fitted where they are asked for, by name or by the residuals of the others.
    """
    families = {one.name: one for one in (LINEAR, SOFT_BOUNDS, EXPONENTIAL, table(most_bins(used, bins)))}
    laws: dict[str, FittedLaw] = {}
    refused: dict[str, str] = {}
    for name in LAWS:
        curved = _CURVED.get(name)
        if curved is not None and name != law and not straight_laws_miss(laws, used):
            continue
        try:
            laws[name] = fitted(families[name], used) if curved is None else fitted_curved(curved, trains, used)
        except OutOfRangeError as error:
            refused[name] = f"the {name} law cannot describe the data: {error}"
        except ConvergenceError as error:
            if curved is None:
                raise
            refused[name] = f"the {name} law was not fitted: {error}"
    return laws, {**_CURVED, **{name: noisy(one) for name, one in families.items()}}, refused

"""Whether readings are noisy, how noisy they are, and the laws behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ohmweave.base import ConvergenceError, OutOfRangeError
from ohmweave.base.units import format_quantity
from ohmweave.fitting.between_cells import Interval
from ohmweave.fitting.choice import simplest
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.lanes import lanes_of
from ohmweave.fitting.narrowed import Window, narrowed
from ohmweave.fitting.noisy_fit import Estimate, Growth, fitted_noisy
from ohmweave.fitting.noisy_laws import NoisyLaw
from ohmweave.fitting.trains import PulseTrains
from ohmweave.fitting.usable import Usable

_FOUND = 1.353
"""Gain of log likelihood from which read noise counts as found: 5 % of exact readings gain as much."""
_LARGE = 0.5
"""Read noise of this share of sigma makes half of the variance of a step, since two readings enter it."""
_GROWTH = 1.921
"""Gain of log likelihood from which one parameter more is kept: 5 % of data without it gain as much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseOfReads:
    """What the readings say about their own noise.

    Attributes:
        laws: by name, with read noise; empty if none was found.
        notes: remarks.
        size: S, of a read at the middle of the window, with its interval.
        used: the data in a narrower window; None: in the window that was.
    """

    laws: Mapping[str, FittedLaw] = field(kw_only=False)
    notes: tuple[str, ...] = field(kw_only=False)
    size: Interval | None = None
    used: Usable | None = None


def noise_of_reads(
    trains: PulseTrains,
    used: Usable,
    laws: Mapping[str, FittedLaw],
    families: Mapping[str, NoisyLaw],
    law: str | None,
    *,
    seen: tuple[bool, bool] = (False, False),
) -> NoiseOfReads:
    """Look for read noise, and fit the laws with it if there is any.

    It is looked for under the law that describes the readings best if they are taken for exact. Ends of the window that
    are those of the readings are moved inwards where that makes the readings likelier (`narrowed`).

    Args:
        trains: the data.
        used: the part that is fitted.
        laws: fitted as if readings were exact.
        families: these laws, as the filter needs them.
        law: name of the law that is asked for; None if the best one is.
        seen: for the lower and the upper end of the window, True if it is that of the readings.
    """
    chosen = laws[law or simplest(laws)]
    lanes = lanes_of(trains, used)

    def with_noise(name: str, growth: Growth, r2: float, *, held: bool = False) -> Estimate:
        return fitted_noisy(families[name], used, lanes, start=laws[name], growth=growth, r2=r2, held=held)

    def attempt(growth: Growth, r2: float) -> Estimate | None:
        try:
            return with_noise(chosen.name, growth, r2)
        except ConvergenceError:  # as of readings far outside a narrower window, if they were exact
            return None

    start = Window(used, lanes, with_noise(chosen.name, "constant", _variance(chosen, used)))
    exact = start._replace(found=with_noise(chosen.name, "none", 0.0))
    best = narrowed(trains, start, families[chosen.name], chosen, seen)
    if best.value - exact.value < _FOUND:
        size = start.found.interval
        return NoiseOfReads({}, _unseparated(chosen, size), size=Interval(0.0, 0.0, size.high))

    used, lanes = best.used, best.lanes
    tried: dict[Growth, Estimate] = {"constant": best.found}
    r2 = float(tried["constant"].peak.point.shared[0, -2])
    growths: tuple[Growth, ...] = ("proportional", "both")
    tried |= {growth: one for growth in growths if (one := attempt(growth, r2)) is not None}
    growth, notes = _growth({name: one.peak.value for name, one in tried.items()})
    found, refused = {}, []
    for name in laws:
        try:
            found[name] = with_noise(name, growth, r2, held=True)
        except (OutOfRangeError, ConvergenceError) as error:
            refused.append(f"the {name} law with read noise cannot describe the data: {error}")
    of_law = found.get(chosen.name, tried[growth])
    notes = (*notes, *refused, *_no_scatter(of_law.law), *_uncertain(of_law.interval))
    return NoiseOfReads({name: one.law for name, one in found.items()}, notes, size=of_law.interval, used=used)


def _variance(law: FittedLaw, used: Usable) -> float:
    """A first guess of the variance of a read, window^2: the error of one enters two steps with opposite signs."""
    after = np.flatnonzero(np.diff(used.steps.at) == 1) + 1
    pairs = np.stack([law.z[after - 1], law.z[after]])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    dg = (used.steps.g_after - used.steps.g_before) / (used.g_max - used.g_min)
    scatter = float(np.nanvar(np.where(np.isfinite(law.z), dg, np.nan)))
    correlation = float(np.mean(pairs[0] * pairs[1]) / np.mean(pairs**2)) if pairs.shape[1] > 1 else 0.0
    sigma2 = max(law.parameters[name].value for name in law.parameters if "sigma" in name) / (used.g_max - used.g_min)
    return float(np.clip(-correlation, 0.02, 0.5)) * min(scatter, sigma2**2)


def _growth(value: Mapping[Growth, float]) -> tuple[Growth, tuple[str, ...]]:
    """The simplest growth with the conductance that describes the data, and a remark where they do not tell."""
    constant, proportional, both = (value.get(one, -np.inf) for one in ("constant", "proportional", "both"))
    one: Growth = "constant" if constant >= proportional else "proportional"
    if both - value[one] > _GROWTH:
        return "both", ()
    if abs(constant - proportional) < _GROWTH:
        return "constant", (
            "whether read noise grows with the conductance cannot be told from these data: taken constant",
        )
    return one, ()


def _unseparated(law: FittedLaw, size: Interval) -> tuple[str, ...]:
    """A remark where read noise as large as that of the pulses would not have been noticed."""
    sigma = min(one.value for name, one in law.parameters.items() if "sigma" in name)
    if size.high is None or size.high < _LARGE * sigma:
        return ()
    return (
        f"too few readings to tell noise of reads from noise of pulses: reads may scatter by up to "
        f"{format_quantity(size.high, 'S', digits=2)}, which sigma then holds too",
    )


def _no_scatter(law: FittedLaw) -> tuple[str, ...]:
    names = [name for name, one in law.parameters.items() if "sigma" in name and one.low == 0]
    if not names:
        return ()
    return (f"{', '.join(names)}: cannot be told from 0, since the noise of reads explains the scatter",)


def _uncertain(size: Interval) -> tuple[str, ...]:
    """A remark where the interval of the read noise begins at 0."""
    if size.low:
        return ()
    return ("too few readings to tell noise of reads from noise of pulses: the interval of the read noise begins at 0",)

"""Whether readings are noisy, how noisy they are, and the laws behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtri

from ohmweave.base import ConvergenceError, OutOfRangeError
from ohmweave.base.units import format_quantity
from ohmweave.fitting.between_cells import Interval
from ohmweave.fitting.choice import simplest
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.kalman import Lanes
from ohmweave.fitting.lanes import lanes_of
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
        window: S, both ends; None: as it was.
    """

    laws: Mapping[str, FittedLaw] = field(kw_only=False)
    notes: tuple[str, ...] = field(kw_only=False)
    size: Interval | None = None
    window: tuple[float, float] | None = None


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
    are those of the readings are then moved inwards by what the noise of many readings at a bound moves their extreme
    by.

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
    window = None

    def with_noise(name: str, growth: Growth, r2: float, *, held: bool = False) -> Estimate:
        return fitted_noisy(families[name], used, lanes, start=laws[name], growth=growth, r2=r2, held=held)

    hint = _variance(chosen, used)
    tried: dict[Growth, Estimate] = {"constant": with_noise(chosen.name, "constant", hint)}
    gain = tried["constant"].peak.value - with_noise(chosen.name, "none", 0.0).peak.value
    if gain < _FOUND:
        size = tried["constant"].interval
        return NoiseOfReads({}, _unseparated(chosen, size), size=Interval(0.0, 0.0, size.high))

    r2 = float(tried["constant"].peak.point.shared[0, -2])
    as_read = used
    used, lanes, tried["constant"] = _narrowed(
        trains, used, lanes, tried["constant"], families[chosen.name], chosen, seen
    )
    if used is not as_read:
        window = used.g_min, used.g_max
        r2 = float(tried["constant"].peak.point.shared[0, -2])
    tried |= {growth: with_noise(chosen.name, growth, r2) for growth in ("proportional", "both")}
    growth, notes = _growth({name: one.peak.value for name, one in tried.items()})
    found, refused = {}, []
    for name in laws:
        try:
            found[name] = with_noise(name, growth, r2, held=True)
        except (OutOfRangeError, ConvergenceError) as error:
            refused.append(f"the {name} law with read noise cannot describe the data: {error}")
    best = found.get(chosen.name, tried[growth])
    notes = (*notes, *refused, *_no_scatter(best.law), *_uncertain(best.interval))
    return NoiseOfReads({name: one.law for name, one in found.items()}, notes, size=best.interval, window=window)


def _narrowed(
    trains: PulseTrains,
    used: Usable,
    lanes: Lanes,
    found: Estimate,
    family: NoisyLaw,
    law: FittedLaw,
    seen: tuple[bool, bool],
) -> tuple[Usable, Lanes, Estimate]:
    """The window that the readings are likeliest in, of those that `_inner` tries, with the fit in it."""
    r2 = float(found.peak.point.shared[0, -2])
    highest = found.peak.value - _logarithms(used, lanes)
    for trials in _inner(trains, used, r2**0.5, seen):
        before = used
        for moved in trials:
            other = replace(before, **moved)
            along = lanes_of(trains, other)
            one = fitted_noisy(family, other, along, start=law, growth="constant", r2=r2, held=False)
            value = one.peak.value - _logarithms(other, along)
            if value > highest:
                used, lanes, found, highest = other, along, one, value
    return used, lanes, found


def _inner(trains: PulseTrains, used: Usable, r: float, seen: tuple[bool, bool]) -> list[list[dict[str, float]]]:
    """For each end of the window, trials of it, S, without what noise of reads adds to readings at a bound.

    With noise of `r`, in units of the window, the largest of n readings of a cell at its upper bound is above the bound
    by the mean largest of n Gaussian numbers, about the quantile (n - 3/8) / (n + 1/4) (Blom 1958). n is the number of
    readings within four deviations of the largest one; a single one moves nothing. Readings may also gather where
    trains turn before a bound, and `r` is too large as long as the window is too wide, so that the likelihood judges
    thirds of the way.
    """
    width = used.g_max - used.g_min
    g = trains.g[np.isin(trains.cell, used.working)]
    near = 4 * r * width
    moved = []
    for name, end, sign, count, asked in (
        ("g_min", used.g_min, 1, (g < used.g_min + near).sum(), seen[0]),
        ("g_max", used.g_max, -1, (g > used.g_max - near).sum(), seen[1]),
    ):
        shift = r * width * float(ndtri((count - 0.375) / (count + 0.25)))
        if asked and 0 < shift < width / 10:
            moved.append([{name: float(end + sign * shift * part / 3)} for part in (1, 2, 3)])
    return moved


def _logarithms(used: Usable, lanes: Lanes) -> float:
    """What a log likelihood per S has less than one in units of the window."""
    return float(lanes.counted.sum() * np.log(used.g_max - used.g_min))


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
    one: Growth = "constant" if value["constant"] >= value["proportional"] else "proportional"
    if value["both"] - value[one] > _GROWTH:
        return "both", ()
    if abs(value["constant"] - value["proportional"]) < _GROWTH:
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

"""From series of readings of resting cells to noise that is correlated in time.

The spectra of all series, each divided by its variance, are averaged and described as a sum of relaxators with time
constants two to a decade, and of white noise, with weights >= 0 (non-negative least squares of the ratio to the
measured spectrum). The size of both is a table over the conductance. The fit is judged on data that it has not seen,
half of the series, or with fewer than ten the second half of each: by how much averages of n readings scatter.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls

from ohmweave.base import DataError, ShapeError, check_integer, check_positive, shown
from ohmweave.cells import FlickerNoise, ReadNoise
from ohmweave.fitting.trains import Floats, Ints

_PER_DECADE = 2
_MIN_READINGS = 256
_AVERAGES = (1, 10, 100, 1000)
_MANY = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseFit:
    """Noise in time.

    Attributes:
        part: the correlated part, for `Cell.retention`.
        read_noise: the white part, for `Cell.read_noise`; None if there is none.
        slope: of the logarithm of the mean spectrum over that of the frequency; -1 is 1/f, 0 white.
        white: share of the variance that is white.
        averages: by the number n of readings that follow each other, the standard deviation of their mean over that of
            one reading, on unseen data: (measured, this law, white noise).
        notes: remarks.
    """

    part: FlickerNoise
    read_noise: ReadNoise | None
    slope: float
    white: float
    averages: dict[int, tuple[float, float, float]]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """The parts and the slope."""
        return f"NoiseFit({self.part!r}, read_noise={self.read_noise!r}, slope {self.slope:.2f})"


def fit_noise(g: torch.Tensor | Floats, *, interval: float, levels: int = 5) -> NoiseFit:
    """Fit correlated noise to series of readings without pulses.

    Args:
        g: `(cells, readings)`, S, at equal intervals.
        interval: s, between readings.
        levels: conductances at which the size is given, at most.

    Raises:
        ShapeError: `g` is not `(cells, readings)`.
        DataError: there are less than 256 readings or a value is not finite or no reading ever changes.
        OutOfRangeError: `interval` or `levels` is out of range.

    Valid for: stationary noise. Fluctuations slower than the series are seen only in part, and what is faster than two
        readings counts as white.
    Source: ours; the form is in `FlickerNoise`.
    """
    dt = check_positive("interval", interval, "s")
    check_integer("levels", levels, at_least=1)
    series = g.detach().cpu().double().numpy() if isinstance(g, torch.Tensor) else np.asarray(g)
    if series.ndim != 2 or series.dtype.kind not in "iuf":
        raise ShapeError(f"`g` must have the shape (cells, readings), but is {shown(g)}")
    if series.shape[1] < _MIN_READINGS or not np.isfinite(series).all():
        raise DataError(
            f"`g` must hold at least {_MIN_READINGS} finite readings a cell, but has the shape {series.shape}"
        )
    deviation = series.std(axis=1)
    varies = deviation > 0
    if not varies.any():
        raise DataError("`g` must change from reading to reading for some cells, but does not")
    notes = () if varies.all() else (f"left out: {int((~varies).sum())} series whose readings are all equal",)
    series, deviation = series[varies].astype(np.float64), deviation[varies]
    mean = series.mean(axis=1)
    normal = (series - mean[:, None]) / deviation[:, None]
    half = normal.shape[1] // 2
    trained, unseen = (normal[::2], normal[1::2]) if len(normal) >= _MANY else (normal[:, :half], normal[:, half:])
    averages = _averages(unseen, *_relaxators(trained, dt)[:3], dt)
    tau, variance, white, slope = _relaxators(normal, dt)
    total = float(variance.sum() + white)
    kept = variance > 0
    if not kept.any():
        tau, variance, kept = tau[:1], np.array([1e-12]), np.array([True])
    nodes, sigma = _sizes(mean, deviation, levels)
    # A series shows less than the whole variance of what is slower than it; `total` is that of the law.
    correlated = (float(variance[kept].sum())) ** 0.5
    weight = variance[kept] / variance[kept].sum()
    part = FlickerNoise(
        g=tuple(nodes.tolist()),
        sigma=tuple((correlated * sigma).tolist()),
        tau=tuple(tau[kept].tolist()),
        weight=tuple(weight.tolist()),
    )
    return NoiseFit(
        part=part,
        read_noise=_white(nodes, sigma * white**0.5),
        slope=slope,
        white=white / total,
        averages=averages,
        notes=notes,
    )


def _relaxators(normal: Floats, dt: float) -> tuple[Floats, Floats, float, float]:
    """Time constants, their variances and that of white noise, all of series of variance 1, and the slope."""
    n = normal.shape[1]
    # The mean of every series is taken out, which takes out the lowest frequencies: they are left out.
    window = np.hanning(n)
    power = np.abs(np.fft.rfft(normal * window, axis=1)) ** 2 * 2 * dt / (window**2).sum()
    spectrum, frequency = power.mean(axis=0)[3:-1], np.fft.rfftfreq(n, dt)[3:-1]
    bins = np.floor(12 * np.log10(frequency / frequency[0])).astype(np.int64)
    count = np.bincount(bins)
    used = count > 0
    f, s = (np.bincount(bins, values)[used] / count[used] for values in (frequency, spectrum))
    decades = np.log10(n * dt / 2) - np.log10(2 * dt)
    tau = np.geomspace(2 * dt, n * dt / 2, max(2, round(_PER_DECADE * decades) + 1)) / (2 * np.pi) ** 0.5
    rho = np.exp(-dt / tau)
    # Spectrum of a relaxator that is sampled every dt, one-sided, of variance 1 (an autoregressive process).
    kernel = 2 * dt * (1 - rho**2) / (1 - 2 * rho * np.cos(2 * np.pi * f[:, None] * dt) + rho**2)
    kernel = np.column_stack([kernel, np.full(len(f), 2 * dt)])
    found, _ = nnls(kernel / s[:, None], np.ones(len(f)))
    slope = float(np.polyfit(np.log(f), np.log(s), 1)[0])
    return tau, found[:-1], float(found[-1]), slope


def _averages(
    normal: Floats, tau: Floats, variance: Floats, white: float, dt: float
) -> dict[int, tuple[float, float, float]]:
    """By n, the standard deviation of means of n readings over that of one: measured, by the law, of white noise.

    Both are of differences between neighbouring means, which fluctuations slower than the series do not change.
    """
    found = {}
    for n in _AVERAGES:
        whole = normal.shape[1] // n
        if whole < 8:
            break
        means = normal[:, : whole * n].reshape(len(normal), whole, n).mean(axis=2)
        measured = float(np.sqrt(np.mean(np.diff(means, axis=1) ** 2) / 2))
        said = float(np.sqrt(_allan(tau, variance, dt, n) + white / n))
        found[n] = (measured, said, n**-0.5)
    first = found[1]
    return {n: (seen / first[0], said / first[1], flat) for n, (seen, said, flat) in found.items()}


def _allan(tau: Floats, variance: Floats, dt: float, n: int) -> float:
    """Half the variance of the difference of neighbouring means of n readings (Allan's) of the relaxators."""
    lag = np.arange(-n + 1, n)
    triangle = (n - np.abs(lag)) / n**2
    same, next_one = (
        (triangle[:, None] * np.exp(-np.abs(lag + shift)[:, None] * dt / tau)).sum(axis=0) for shift in (0, n)
    )
    return float(variance @ (same - next_one))


def _sizes(mean: Floats, deviation: Floats, levels: int) -> tuple[Floats, Floats]:
    """Conductances and the root mean square deviation there, in groups of equal numbers of cells."""
    n = min(levels, len(mean))
    groups: list[Ints] = np.array_split(np.argsort(mean), n)
    nodes = np.array([mean[group].mean() for group in groups])
    sigma = np.array([np.sqrt(np.mean(deviation[group] ** 2)) for group in groups])
    rising = np.append(True, np.diff(nodes) > 0)
    return nodes[rising], sigma[rising]


def _white(g: Floats, sigma: Floats) -> ReadNoise | None:
    """`fraction * g + floor` through the sizes, both >= 0."""
    if not sigma.any():
        return None
    (fraction, floor), _ = nnls(np.column_stack([g / g.max(), np.ones(len(g))]) / sigma[:, None], np.ones(len(g)))
    return ReadNoise(fraction=float(fraction / g.max()), floor=float(floor))

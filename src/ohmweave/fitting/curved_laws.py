r"""Laws whose trains follow a power or a stretched exponential of the pulse number, for the filter of `kalman`.

In units of the window, and with x the way gone from the end that a train leaves, one pulse takes x = h(t) to
h(t + 1 / N), h(t) = (1 - (1 - q)^{t^p}) / q: see `cells.StretchedStep`. A first guess of N, p and q comes from whole
trains, which read noise bends less than it does steps: from the first reading of a run of pulses, h is followed.
"""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from scipy.optimize import least_squares
from scipy.special import chdtri

from ohmweave.cells import StretchedStep
from ohmweave.cells.stretched_step import LARGEST_EXPONENT, LEAST_EXPONENT, MOST_SATURATED
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.kalman import Motion
from ohmweave.fitting.motion import curved_motion
from ohmweave.fitting.noisy_laws import Kind, NoisyLaw
from ohmweave.fitting.trains import Floats, Ints, Mask, PulseTrains
from ohmweave.fitting.usable import Usable

_MOST_PULSES = float(np.log(1e7))
_PARTS, _BY_CHANCE = 8, 0.005
"""Parts of the residuals of a polarity, and the probability that those of the right law seem to depend on g."""
_WORTH = 0.003
"""Ours: share of the variance of residuals that must depend on g; of long trains read noise alone makes less seen."""
_LONGEST, _READINGS = 300, 6000
"""Pulses of a run, and readings of all, that a first guess looks at."""


def way(t: Floats, p: Floats, q: Floats) -> Floats:
    """h(t), the way gone after the share t of the pulses across the window; arguments broadcast."""
    power = np.maximum(t, 0.0) ** p
    saturated = -np.expm1(np.log1p(-q) * power) / np.where(q > _NO_SATURATION, q, 1.0)
    return np.where(q > _NO_SATURATION, saturated, power)


def share(x: Floats, p: Floats, q: Floats) -> Floats:
    """t, the inverse of `way`; ways outside 0 to 1 count as the nearer end."""
    x = np.clip(x, 0.0, 1.0)
    whole = np.log1p(-np.where(q > _NO_SATURATION, q, 0.5))
    gone = np.where(q > _NO_SATURATION, np.log1p(-q * x) / whole, x)
    return np.asarray(np.maximum(gone, 0.0) ** (1 / p))


_NO_SATURATION = 1e-6
"""Saturation below which a law is a power; the difference is as small."""


def _law(name: str, saturated: bool) -> NoisyLaw:
    per_polarity = ("pulses across the window", "exponent", *(("saturation",) if saturated else ()))
    n = len(per_polarity)

    def shape(c: Floats, up: Mask) -> tuple[Floats, Floats, Floats]:
        """1 / N, p and q of each lane, `(sets, lanes)`."""
        chosen = c[:, np.where(up, 0, n)[:, None] + np.arange(n)]
        q = chosen[..., 2] if saturated else np.zeros(chosen.shape[:2])
        return np.exp(-chosen[..., 0]), chosen[..., 1], q

    def mean(c: Floats, x: Floats, up: Mask) -> Floats:
        rate, p, q = shape(c, up)
        gone = np.clip(np.where(up, x, 1 - x), 0.0, 1.0)
        moved = way(share(gone, p, q) + rate, p, q) - gone
        return np.asarray(np.where(up, moved, -moved))

    def variance(c: Floats, q: Floats, x: Floats, up: Mask) -> Floats:
        return np.broadcast_to(q[:, :1], x.shape)

    def build(g_min: float, g_max: float, g_fresh: float, c: list[float], sigma: list[float]) -> StretchedStep:
        both = [(*c[k : k + n], 0.0)[:3] for k in (0, n)]
        (n_set, p_set, q_set), (n_reset, p_reset, q_reset) = both
        return StretchedStep(
            g_min=g_min, g_max=g_max, n_set=n_set, n_reset=n_reset, exponent_set=p_set, exponent_reset=p_reset,
            saturation_set=q_set, saturation_reset=q_reset, sigma=sigma[0], g_fresh=g_fresh,
        )  # fmt: skip

    motion: Motion = curved_motion(mean, variance)
    kinds: tuple[Kind, ...] = ("logarithm", "shape", "shape")
    return NoisyLaw(
        name=name,
        coefficients=tuple(f"{word} {one}" for word in ("SET", "RESET") for one in per_polarity),
        spreads=("sigma",),
        motion=motion,
        low=(0.0, LEAST_EXPONENT, 0.0)[:n] * 2,
        high=(_MOST_PULSES, LARGEST_EXPONENT, MOST_SATURATED)[:n] * 2,
        kinds=kinds[:n] * 2,
        build=build,
        mean=mean,
    )


POWER = _law("power", saturated=False)
STRETCHED = _law("stretched-exponential", saturated=True)


def straight_laws_miss(laws: Mapping[str, FittedLaw], data: Usable) -> bool:
    """True if the residuals of each law so far depend on the conductance, so that a curved law may do better.

    Of each polarity the residuals are averaged in eight parts of equally many steps; away from the bounds, where those
    of steps that end inside are not independent of where they began. Under the law the squares of these means, in units
    of their errors, have the chi-squared distribution.
    """
    x = (data.steps.g_before - data.g_min) / (data.g_max - data.g_min)
    y = (data.steps.g_after - data.steps.g_before) / (data.g_max - data.g_min)
    return bool(laws) and all(_depends(law.z, x, y, data.steps.polarity) for law in laws.values())


def _depends(z: Floats, x: Floats, y: Floats, polarity: Ints) -> bool:
    for sign in (1, -1):
        mine = (polarity == sign) & np.isfinite(z)
        reach = 3 * float(np.sqrt(np.mean(y[mine] ** 2)))
        inside = mine & (x > reach) & (x < 1 - reach)
        if inside.sum() < mine.sum() / 3:
            inside = mine  # steps as large as the window
        order = np.argsort(x[inside], kind="stable")
        parts = np.array_split(z[inside][order], min(_PARTS, len(order) // 2))
        square = sum(len(part) * float(part.mean()) ** 2 for part in parts) / float(np.mean(z[inside] ** 2))
        if square > chdtri(len(parts), _BY_CHANCE) and square - len(parts) > _WORTH * len(order):
            return True
    return False


def first_guess(law: NoisyLaw, trains: PulseTrains, data: Usable) -> Floats:
    """`(coefficients,)`: N as its logarithm, p and q, by least squares of whole runs of one polarity."""
    x = (trains.g - data.g_min) / (data.g_max - data.g_min)
    n = len(law.coefficients) // 2
    return np.concatenate([_guess(*_runs(trains, data, x, sign), saturated=n == 3) for sign in (1, -1)])


def _runs(trains: PulseTrains, data: Usable, x: Floats, sign: int) -> tuple[Floats, Ints, Floats]:
    """Of readings after pulses of one polarity: the way at the start of their run, pulses since then, and the way."""
    way_of = x if sign > 0 else 1 - x
    of_working = np.isin(trains.cell, data.working)
    inside = (np.diff(trains.cell, prepend=-1) == 0) & (np.diff(trains.pulse, prepend=-9) == 1)
    pulsed = inside & of_working & (trains.polarity == sign)
    at = np.flatnonzero(pulsed)
    if not len(at):
        return np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0)
    begins = np.diff(at, prepend=-9) != 1
    first = at[begins][np.cumsum(begins) - 1]
    since = at - first + 1
    kept = since <= _LONGEST
    few = slice(None, None, max(1, int(kept.sum()) // _READINGS))
    return way_of[first - 1][kept][few], since[kept][few], way_of[at][kept][few]


def _guess(start: Floats, since: Ints, seen: Floats, *, saturated: bool) -> Floats:
    low = np.array([0.0, LEAST_EXPONENT, 0.0])[: 2 + saturated]
    high = np.array([_MOST_PULSES, LARGEST_EXPONENT, MOST_SATURATED])[: 2 + saturated]
    if not len(since):
        return np.array([np.log(100.0), 1.0, 0.5])[: 2 + saturated]

    def off(c: Floats) -> Floats:
        q = c[2] if saturated else np.zeros(())
        return np.asarray(np.minimum(way(share(start, c[1], q) + since * np.exp(-c[0]), c[1], q), 1.0) - seen)

    return _best(off, low, high, [0.3, 0.7, 1.2], [0.3, 0.9] if saturated else [0.0], float(since.max()))


def _best(
    off: Callable[[Floats], Floats],
    low: Floats,
    high: Floats,
    exponents: list[float],
    saturations: list[float],
    n: float,
) -> Floats:
    """The best of several starts."""
    found = []
    for p, q in product(exponents, saturations):
        start = np.array([np.log(n + 1), p, q])[: len(low)]
        found.append(least_squares(off, start, bounds=(low, high), x_scale=np.array([1.0, 0.3, 0.3])[: len(low)]))
    return np.asarray(min(found, key=lambda one: float(one.cost)).x)

"""From current-voltage sweeps below the switching thresholds to a conduction part: Ohm's law or a hyperbolic sine."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtri

from ohmweave.base import DataError, ShapeError, shown
from ohmweave.cells import SinhConduction
from ohmweave.fitting.between_cells import CONFIDENCE, Interval
from ohmweave.fitting.trains import Floats, Ints

_LEAST, _MOST = 0.02, 50.0
"""V, the range of v0 that is searched: beyond 50 V a sweep of volts is straight."""
_MIN_READINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConductionFit:
    """The form of the current of resting cells.

    Attributes:
        part: for `Cell.conduction`; None for Ohm's law.
        v0: V, of i = g v0 sinh(v / v0), with its interval; `high` None: Ohm's law is within it.
        g: `(cells,)`, S, low-voltage conductance of each sweep.
        off: root mean square of the relative deviation of the currents.
        off_ohmic: the same of Ohm's law.
    """

    part: SinhConduction | None
    v0: Interval
    g: Floats
    off: float
    off_ohmic: float

    def __repr__(self) -> str:
        """The part and its deviation."""
        return f"ConductionFit({self.part!r}, off by {self.off:.2%}; Ohm's law by {self.off_ohmic:.2%})"


def fit_conduction(
    v: torch.Tensor | Floats, i: torch.Tensor | Floats, *, cell: torch.Tensor | Ints | None = None
) -> ConductionFit:
    """Fit the current-voltage characteristic of cells that do not switch meanwhile.

    Args:
        v: `(readings,)`, V; readings at 0 V are ignored.
        i: `(readings,)`, A.
        cell: `(readings,)`, number of the cell or sweep, each of its own conductance; None is one sweep.

    Returns:
        Ohm's law, or the hyperbolic sine where it lowers the deviations by more than chance does (a likelihood ratio at
        95 %).

    Raises:
        ShapeError: lengths differ.
        DataError: there are less than 8 readings with a voltage, a value is not finite, or a current is against its
            voltage in the mean of a sweep.

    Valid for: errors of a current that are a fraction of it, the same for all readings.
    Source: the form is that of `SinhConduction`; least squares of the relative deviations.
    """
    volts, amperes = _numbers("v", v), _numbers("i", i)
    group = np.zeros(len(volts)) if cell is None else _numbers("cell", cell)
    for name, values in (("i", amperes), ("cell", group)):
        if values.shape != volts.shape:
            raise ShapeError(f"`{name}` must have the shape of `v`, {volts.shape}, but has {values.shape}")
    used = volts != 0
    if used.sum() < _MIN_READINGS:
        raise DataError(f"`v` must hold at least {_MIN_READINGS} voltages that are not 0, but holds {int(used.sum())}")
    ratio = amperes[used] / volts[used]
    _, index = np.unique(group[used], return_inverse=True)
    if (np.bincount(index, ratio) <= 0).any():
        raise DataError("`i` must have the sign of `v`, but has the other in the mean of a sweep")

    def fitted(v0: float) -> tuple[float, Floats]:
        """Mean square of the relative deviations, and the conductances."""
        x = volts[used] / v0
        shape = np.sinh(np.clip(x, -300, 300)) / x
        # Least squares of ratio / (g shape) - 1 over 1 / g of each sweep.
        rel = ratio / shape
        g = np.bincount(index, rel**2) / np.bincount(index, rel)
        return float(np.mean((rel / g[index] - 1) ** 2)), g

    n = len(ratio)
    ohmic, g = fitted(1e6)
    lowest = max(_LEAST, float(np.abs(volts).max()) / 100)
    log_low, log_high = np.log(lowest), np.log(_MOST)

    def above(u: float, limit: float) -> float:
        """How far the mean square at v0 = e^u is above the limit."""
        return fitted(float(np.exp(u)))[0] - limit

    best = minimize_scalar(above, args=(0.0,), bounds=(log_low, log_high), method="bounded", options={"xatol": 1e-6})
    v0, least = float(np.exp(best.x)), max(float(best.fun), 1e-30)
    limit = least * float(np.exp(chdtri(1, 1 - CONFIDENCE) / n))
    low, high = (
        float(np.exp(brentq(above, best.x, end, args=(limit,)))) if above(end, limit) > 0 else None
        for end in (log_low, log_high)
    )
    if ohmic <= limit:
        return ConductionFit(part=None, v0=Interval(v0, low, None), g=g, off=ohmic**0.5, off_ohmic=ohmic**0.5)
    return ConductionFit(
        part=SinhConduction(v0=v0),
        v0=Interval(v0, low, high),
        g=fitted(v0)[1],
        off=least**0.5,
        off_ohmic=ohmic**0.5,
    )


def _numbers(name: str, values: torch.Tensor | Floats | Ints) -> Floats:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise ShapeError(f"`{name}` must be numbers of the shape (readings,), but is {shown(values)}")
    if not np.isfinite(array).all():
        raise DataError(f"`{name}` must be finite everywhere")
    return array.astype(np.float64)

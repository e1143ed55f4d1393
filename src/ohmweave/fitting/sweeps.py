r"""From current-voltage sweeps to a conduction part: Ohm's law, a hyperbolic sine or a polynomial.

The current of sweep k at the voltage v is

    i = i_0 + g_k s(v) + error,    Var(error) = a^2 + (f g_k s(v))^2,

with the offset i_0 of the instrument, one for all sweeps, and the form s of the law, which is v at low voltages. Given
the form and the variances, g_k and i_0 are linear least squares; a and f follow from the squares of the residuals.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq, minimize, minimize_scalar, nnls
from scipy.special import chdtri

from ohmweave.base import DataError, OutOfRangeError, ShapeError, shown
from ohmweave.cells import PolynomialConduction, SinhConduction
from ohmweave.fitting.between_cells import CONFIDENCE, Interval
from ohmweave.fitting.trains import Floats, Ints

DESCRIBES = 0.1
"""Ours: root mean square deviation, as a fraction of that of the currents, up to which a form describes a sweep."""
_LEAST, _MOST = 0.02, 50.0
"""V, the range of v0 that is searched: beyond 50 V a sweep of volts is straight."""
_MIN_READINGS = 8
_ROUNDS = 6
_ROUNDING = 1e-6
"""Share of the currents below which an offset is rounding."""
_BETTER = 0.1
"""Ours: a form with more parameters must lower the mean square deviation by this share beside being significant, so
that thousands of readings do not choose a form for a difference that no read will show."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConductionFit:
    """The form of the current of resting cells.

    Attributes:
        part: for `Cell.conduction`; None for Ohm's law.
        v0: V, of i = g v0 sinh(v / v0), with its interval; `high` None: Ohm's law is within it.
        g: `(cells,)`, S, low-voltage conductance of each sweep, by the chosen form.
        offset: A, of the current, with its interval; 0 without an interval where the data show none.
        off: root mean square deviation of the currents as a fraction of that of the currents without the offset.
        off_by_form: the same of each form that was tried: "ohmic", "sinh", "polynomial".
    """

    part: SinhConduction | PolynomialConduction | None
    v0: Interval
    g: Floats
    offset: Interval
    off: float
    off_by_form: dict[str, float]

    @property
    def off_ohmic(self) -> float:
        """The deviation of Ohm's law."""
        return self.off_by_form["ohmic"]

    @property
    def describes(self) -> bool:
        """True if the deviation is at most 10 %."""
        return self.off <= DESCRIBES

    def __repr__(self) -> str:
        """The part, the offset and the deviations."""
        others = ", ".join(f"{name} {off:.2%}" for name, off in self.off_by_form.items())
        zero = f", offset {self.offset.value:.4g} A" if self.offset.value else ""
        poor = "" if self.describes else "; no form here describes these sweeps"
        return f"ConductionFit({self.part!r}{zero}, off by {self.off:.2%}; {others}{poor})"


class _Data(NamedTuple):
    """Attributes: v, i, sweep: `(readings,)`; offset: True if there is one; weight: `(readings,)`, 1 / variance."""

    v: Floats
    i: Floats
    sweep: Ints
    offset: bool
    weight: Floats


class _Solved(NamedTuple):
    """Attributes: square: weighted sum of squared residuals; g; offset, A; error: of the offset; residual, A."""

    square: float
    g: Floats
    offset: float
    error: float
    residual: Floats


def fit_conduction(
    v: torch.Tensor | Floats, i: torch.Tensor | Floats, *, cell: torch.Tensor | Ints | None = None
) -> ConductionFit:
    """Fit the current-voltage characteristic of cells that do not switch meanwhile.

    Args:
        v: `(readings,)`, V; readings at 0 V tell the offset of the current.
        i: `(readings,)`, A.
        cell: `(readings,)`, number of the cell or sweep, each of its own conductance; None is one sweep.

    Returns:
        The simplest of Ohm's law, the hyperbolic sine and the polynomial. A form with more parameters, and the offset,
        are taken where they lower the deviations by more than chance does (a likelihood ratio at 95 %), and a form also
        by at least 10 % of their mean square.

    Raises:
        ShapeError: lengths differ.
        DataError: there are less than 8 readings with a voltage, a value is not finite, or a current is against its
            voltage in the mean of all sweeps.

    Valid for: independent errors of a size that is constant, a fraction of the current, or both; one form and one
        offset for all cells.
    Source: the forms are those of `SinhConduction` and `PolynomialConduction`; weighted least squares.
    """
    data = _checked(v, i, cell)
    if _against(data) and _against(data._replace(offset=True)):
        raise DataError("`i` must have the sign of `v`, but has the other in the mean of the sweeps")
    # Whether there is an offset is asked under the hyperbolic sine, which holds Ohm's law.
    ends = np.log((max(_LEAST, float(np.abs(data.v).max()) / 100), _MOST))
    found = {offset: _sinh(data._replace(offset=offset), ends) for offset in (False, True)}
    likely = {offset: _log_likelihood(one[0], one[1]) for offset, one in found.items()}
    size = float(np.sqrt(np.mean(data.i**2)))
    seen = likely[True] - likely[False] > float(chdtri(1, 1 - CONFIDENCE)) / 2
    seen = seen and abs(found[True][1].offset) > _ROUNDING * size
    data, best, u = found[seen]
    straight = _solved(data, data.v)
    cubic, coefficients = _polynomial(data)
    forms = {"ohmic": straight, "sinh": best, "polynomial": cubic}
    size = float(np.sqrt(np.mean((data.i - best.offset) ** 2)))
    off = {name: float(np.sqrt(np.mean(one.residual**2))) / size for name, one in forms.items()}
    name = _chosen({key: one.square for key, one in forms.items()}, off, rises=coefficients is not None)
    return ConductionFit(
        part=_part(name, float(np.exp(u)), coefficients, float(np.abs(data.v).max())),
        v0=_interval_of_v0(data, u, ends, best.square, straight.square),
        g=forms[name].g,
        offset=_offset(forms[name], seen=seen),
        off=off[name],
        off_by_form=off,
    )


def _checked(v: torch.Tensor | Floats, i: torch.Tensor | Floats, cell: torch.Tensor | Ints | None) -> _Data:
    volts, amperes = _numbers("v", v), _numbers("i", i)
    group = np.zeros(len(volts)) if cell is None else _numbers("cell", cell)
    for name, values in (("i", amperes), ("cell", group)):
        if values.shape != volts.shape:
            raise ShapeError(f"`{name}` must have the shape of `v`, {volts.shape}, but has {values.shape}")
    if (n := int((volts != 0).sum())) < _MIN_READINGS:
        raise DataError(f"`v` must hold at least {_MIN_READINGS} voltages that are not 0, but holds {n}")
    _, index = np.unique(group, return_inverse=True)
    driven = np.bincount(index, volts != 0) > 0
    kept = driven[index]
    _, index = np.unique(group[kept], return_inverse=True)
    return _Data(volts[kept], amperes[kept], index, False, np.ones(int(kept.sum())))


def _against(data: _Data) -> bool:
    return float(_solved(data, data.v).g.mean()) <= 0


def _weighted(data: _Data, shape: Floats) -> _Data:
    """The data with weights from the residuals of a form."""
    solved = _solved(data, shape)
    for _ in range(_ROUNDS):
        seen = (solved.g[data.sweep] * shape) ** 2
        floor = max(float(np.mean(solved.residual**2)), 1e-12 * float(np.mean(data.i**2)), 1e-60)
        expected = 1 / data.weight if (data.weight != 1).any() else np.full(len(seen), floor)
        columns = np.column_stack([np.ones(len(seen)), seen / max(float(seen.mean()), 1e-300)])
        parts, _ = nnls(columns / expected[:, None] * floor, solved.residual**2 / expected)
        variance = np.maximum(columns @ parts * floor, 1e-4 * floor)
        data = data._replace(weight=1 / variance)
        solved = _solved(data, shape)
    return data


def _solved(data: _Data, shape: Floats) -> _Solved:
    """Least squares over the conductance of each sweep, and the offset if there is one."""
    w, cells = data.weight, int(data.sweep.max()) + 1

    def of_cell(values: Floats) -> Floats:
        """`(cells,)`, the weighted product with the form over its square."""
        up, down = (np.bincount(data.sweep, w * shape * one, cells) for one in (values, shape))
        return np.asarray(up / down)

    g, one = of_cell(data.i), of_cell(np.ones(len(shape)))
    offset = error = 0.0
    if data.offset:
        # What of the currents and of a constant no sweep's own conductance explains.
        i_rest, one_rest = data.i - g[data.sweep] * shape, 1 - one[data.sweep] * shape
        known = float(np.sum(w * one_rest**2))
        offset, error = float(np.sum(w * one_rest * i_rest)) / known, known**-0.5
        g = g - offset * one
    residual = data.i - offset - g[data.sweep] * shape
    return _Solved(float(np.sum(w * residual**2)), g, offset, error, residual)


def _log_likelihood(data: _Data, solved: _Solved) -> float:
    return float(np.sum(np.log(data.weight)) - solved.square) / 2


def _sinh_form(v: Floats, u: float) -> Floats:
    v0 = float(np.exp(u))
    return np.asarray(v0 * np.sinh(np.clip(v / v0, -300, 300)))


def _sinh(data: _Data, ends: Floats) -> tuple[_Data, _Solved, float]:
    """The data with weights from the best hyperbolic sine, its solution, and the logarithm of v0."""
    u = float(ends[1])
    for _ in range(3):
        data = _weighted(data, _sinh_form(data.v, u))
        u = _best_sinh(data, ends)
    return data, _solved(data, _sinh_form(data.v, u)), u


def _best_sinh(data: _Data, ends: Floats) -> float:
    """The logarithm of v0 with the least squares."""

    def square(u: float) -> float:
        return _solved(data, _sinh_form(data.v, u)).square

    return float(minimize_scalar(square, bounds=tuple(ends), method="bounded", options={"xatol": 1e-6}).x)


def _polynomial(data: _Data) -> tuple[_Solved, Floats | None]:
    """Its solution and coefficients, of |v| / v_max and its square; None if the current would not rise everywhere."""
    size = np.abs(data.v) / float(np.abs(data.v).max())

    def form(c: Floats) -> Floats:
        return np.asarray(data.v * (1 + c[0] * size + c[1] * size**2))

    scale = max(_solved(data, data.v).square, 1e-300)
    found = minimize(lambda c: _solved(data, form(c)).square / scale, np.zeros(2), method="Nelder-Mead",
                     options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000})  # fmt: skip
    at = np.linspace(0, 1, 1001)
    rises = bool((1 + 2 * found.x[0] * at + 3 * found.x[1] * at**2 > 1e-3).all())
    return _solved(data, form(found.x)), found.x if rises else None


def _chosen(square: dict[str, float], off: dict[str, float], *, rises: bool) -> str:
    """The simplest form that others do not beat."""
    name = "ohmic"
    for other, parameters in (("sinh", 1), ("polynomial", 2)):
        more = parameters - {"ohmic": 0, "sinh": 1}[name]
        gain = square[name] - square[other]
        shows = off[other] ** 2 < (1 - _BETTER) * off[name] ** 2
        if gain > float(chdtri(more, 1 - CONFIDENCE)) and shows and (rises or other != "polynomial"):
            name = other
    return name


def _part(
    name: str, v0: float, coefficients: Floats | None, v_max: float
) -> SinhConduction | PolynomialConduction | None:
    if name == "sinh":
        return SinhConduction(v0=v0)
    if name == "ohmic" or coefficients is None:
        return None
    linear, square = (coefficients / [v_max, v_max**2]).tolist()
    try:
        return PolynomialConduction(linear=linear, square=square, v_max=v_max)
    except OutOfRangeError as error:
        raise DataError(f"`i` must rise with `v`, but {error}") from None


def _interval_of_v0(data: _Data, u: float, ends: Floats, least: float, ohmic: float) -> Interval:
    """By the likelihood ratio."""
    limit = least + float(chdtri(1, 1 - CONFIDENCE))

    def above(at: float) -> float:
        return _solved(data, _sinh_form(data.v, at)).square - limit

    low, high = (float(np.exp(brentq(above, u, end))) if above(end) > 0 else None for end in ends.tolist())
    return Interval(float(np.exp(u)), low, None if ohmic <= limit else high)


def _offset(solved: _Solved, *, seen: bool) -> Interval:
    half = float(chdtri(1, 1 - CONFIDENCE)) ** 0.5 * solved.error
    return Interval(solved.offset, solved.offset - half, solved.offset + half) if seen else Interval(0.0)


def _numbers(name: str, values: torch.Tensor | Floats | Ints) -> Floats:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise ShapeError(f"`{name}` must be numbers of the shape (readings,), but is {shown(values)}")
    if not np.isfinite(array).all():
        raise DataError(f"`{name}` must be finite everywhere")
    return array.astype(np.float64)

"""Cells drawn from what a fit does not know: the intervals and correlations of a cell file.

Gaussian numbers with the correlations of the file, each stretched to the half width of its parameter's interval on the
side where it falls. Intervals of the fit are for one parameter whatever the others are, so that their ends are the
marginal ones; the correlations tie them together. Ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ohmweave.base import DataError
from ohmweave.cells import AffineStep, Cell, PulseTable, ReadNoise, StretchedStep, StuckCells
from ohmweave.cells.stretched_step import LARGEST_EXPONENT, LEAST_EXPONENT, MOST_SATURATED

HALF_WIDTH = 1.959963984540054
"""Half width of a Gaussian's 95 % interval, in standard deviations."""
_ROUNDED = 1e-2  # lowest eigenvalue of a matrix that was rounded to four decimals, up to 100 parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value of a fit with its 95 % interval.

    Attributes:
        value: the estimate.
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float

    def at(self, z: float) -> float:
        """The value `z` standard deviations from the estimate, each side with its own half width."""
        half = self.high - self.value if z > 0 else self.value - self.low
        return self.value + z / HALF_WIDTH * half


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """What a cell file says about the errors of its fit.

    Attributes:
        parameters: of the switching law, by the fit's names.
        factor: `(n, n)`, matrix whose product with independent Gaussian numbers has the correlations of `parameters`.
        correlated: True if the file has correlations.
        d2d: of the spread between cells; None if the file has no interval.
        read_noise: `fraction` and `floor` of the read noise, as far as the file has intervals.
        n_measured: working cells that were measured; None if the file does not say.
    """

    parameters: Mapping[str, Interval]
    factor: torch.Tensor
    correlated: bool
    d2d: Interval | None
    read_noise: Mapping[str, Interval]
    n_measured: int | None

    @property
    def known(self) -> bool:
        """True if there is an interval of a parameter, so that cells can be drawn."""
        return bool(self.parameters)

    def drawn(self, cell: Cell, chance: torch.Generator) -> Cell:
        """`cell` with parameters from their joint distribution; the rest is independent of them and of each other.

        The share of stuck cells is from its posterior with Jeffreys' prior. What a single measured cell does not show,
        the spread between cells and the share of stuck ones, stays. A drawn step that would have the other sign is 0.
        """
        if not self.known:
            return cell
        z = (self.factor @ _normal(len(self.parameters), chance)).tolist()
        values = {name: interval.at(one) for (name, interval), one in zip(self.parameters.items(), z, strict=True)}
        cell = replace(cell, switching=_law(cell.switching, values))
        if cell.spread is not None and self.d2d is not None:
            d2d = max(0.0, self.d2d.at(_normal(1, chance).item()))
            cell = replace(cell, spread=replace(cell.spread, d2d=d2d))  # type: ignore[type-var]
        if isinstance(cell.faults, StuckCells) and self.n_measured is not None and self.n_measured > 1:
            cell = replace(cell, faults=replace(cell.faults, fraction=self._share(cell.faults.fraction, chance)))
        if isinstance(cell.read_noise, ReadNoise) and self.read_noise:
            sizes = {name: max(0.0, one.at(_normal(1, chance).item())) for name, one in sorted(self.read_noise.items())}
            cell = replace(cell, read_noise=replace(cell.read_noise, **sizes))
        return cell

    def _share(self, fraction: float, chance: torch.Generator) -> float:
        """The share of stuck cells, of which n of all were seen: Beta(n + 1/2, all - n + 1/2), Jeffreys' posterior."""
        from scipy.special import betaincinv

        working = self.n_measured or 1
        n = (round(working / (1 - fraction)) if fraction < 1 else working) - working
        uniform = float(torch.rand((), generator=chance, device="cpu", dtype=torch.float64))
        return float(betaincinv(n + 0.5, working + 0.5, uniform))


def uncertainty_of(about: Mapping[str, Any], file: str) -> Uncertainty:
    """The uncertainty in the `about` of a cell file.

    Raises:
        DataError: its correlations are not those of its parameters, or no correlations at all; `file` is named.
    """
    parameters = _intervals(about.get("parameters"))
    factor = _factor(about.get("correlations"), list(parameters), file)
    n = about.get("cells")
    return Uncertainty(
        parameters=parameters,
        factor=torch.eye(len(parameters), device="cpu", dtype=torch.float64) if factor is None else factor,
        correlated=factor is not None,
        d2d=_interval(about.get("d2d")),
        read_noise={k: v for k, v in _intervals(about.get("read_noise")).items() if k in ("fraction", "floor")},
        n_measured=n if isinstance(n, int) and not isinstance(n, bool) else None,
    )


def _interval(value: Any) -> Interval | None:
    """The interval of [value, low, high]; None if it is none or has no ends."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
        return None
    return Interval(value=float(value[0]), low=float(value[1]), high=float(value[2]))


def _intervals(found: Any) -> dict[str, Interval]:
    values = found if isinstance(found, dict) else {}
    return {name: interval for name, value in values.items() if (interval := _interval(value)) is not None}


def _factor(found: Any, names: Sequence[str], file: str) -> torch.Tensor | None:
    """The factor of the correlations of the parameters `names`; None if the file has none."""
    if not found or not names:
        return None
    wanted = f"{file}: `correlations` of `about` must be"
    matrix = _matrix(found, names, wanted)
    alone = (matrix == 0).all(1)  # the fit gives no correlations of a parameter whose error it knows by other means
    matrix = matrix + torch.diag(alone.to(matrix))
    unit = bool((matrix.diagonal() - 1).abs().max() < 1e-6)
    symmetric = bool((matrix - matrix.T).abs().max() < 1e-6)
    if not (unit and symmetric) or float(matrix.abs().max()) > 1 + 1e-6:
        raise DataError(f"{wanted} symmetric, from -1 to 1, with 1 on the diagonal")
    values, vectors = torch.linalg.eigh(matrix)
    if float(values[0]) < -_ROUNDED:
        raise DataError(
            f"{wanted} those of some random numbers (positive semidefinite), but the lowest eigenvalue is "
            f"{float(values[0]):.3g}"
        )
    # Symmetric root: columns of eigenvectors may change their sign from one library to another, the root may not.
    root: torch.Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return root.div(root.square().sum(1, keepdim=True).sqrt())


def _matrix(found: Any, names: Sequence[str], wanted: str) -> torch.Tensor:
    """The rows and columns of the parameters `names`, in their order."""
    of = found.get("of") if isinstance(found, dict) else None
    if not isinstance(of, list):
        raise DataError(f"{wanted} an object with `of` and `matrix`, but is {found!r}")
    if missing := [name for name in names if name not in of]:
        raise DataError(f"{wanted} those of all parameters that have an interval, but lacks {', '.join(missing)}")
    try:
        matrix = torch.tensor(found.get("matrix"), device="cpu", dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        matrix = torch.empty(0, device="cpu", dtype=torch.float64)
    if matrix.shape != (len(of), len(of)):
        raise DataError(f"{wanted} a matrix of {len(of)} rows of {len(of)} numbers, as `of` has {len(of)} names")
    at = [of.index(name) for name in names]
    return matrix[at][:, at]


def _normal(n: int, chance: torch.Generator) -> torch.Tensor:
    return torch.randn(n, generator=chance, device="cpu", dtype=torch.float64)


def _law(law: Any, values: Mapping[str, float]) -> Any:
    """The switching law with drawn parameters, by the names that the fit gives them; others stay."""
    window = law.g_max - law.g_min
    if isinstance(law, AffineStep):
        ends = {
            sign: tuple(
                values.get(f"{sign} step", values.get(f"{sign} step at {end}", old))
                for end, old in zip(("g_min", "g_max"), steps, strict=True)
            )
            for sign, steps in (("SET", law.set_step), ("RESET", law.reset_step))
        }
        return replace(
            law,
            set_step=tuple(min(max(step, 0.0), window) for step in ends["SET"]),
            reset_step=tuple(max(min(step, 0.0), -window) for step in ends["RESET"]),
            sigma=max(0.0, values.get("sigma", law.sigma)),
        )
    if isinstance(law, PulseTable):
        return _table(law, values)
    return _stretched(law, values) if isinstance(law, StretchedStep) else law


def _table(law: PulseTable, values: Mapping[str, float]) -> PulseTable:
    def drawn(name: str, old: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values.get(f"{name}, bin {i}", value) for i, value in enumerate(old, start=1))

    def spread(name: str, old: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(max(0.0, value) for value in drawn(name, old))

    return replace(
        law,
        set_mean=drawn("SET step", law.set_mean),
        set_spread=spread("SET sigma", law.set_spread),
        reset_mean=drawn("RESET step", law.reset_mean),
        reset_spread=spread("RESET sigma", law.reset_spread),
    )


_STRETCHED = {
    "pulses across the window": ("n", 1.0, 1e9),
    "exponent": ("exponent", LEAST_EXPONENT, LARGEST_EXPONENT),
    "saturation": ("saturation", 0.0, MOST_SATURATED),
}
"""Parameters of a stretched law by the names of the fit: the start of the argument's name and its range."""


def _stretched(law: StretchedStep, values: Mapping[str, float]) -> StretchedStep:
    found = {
        f"{start}_{sign.lower()}": min(max(values[name], low), high)
        for sign in ("SET", "RESET")
        for what, (start, low, high) in _STRETCHED.items()
        if (name := f"{sign} {what}") in values
    }
    return replace(law, **found, sigma=max(0.0, values.get("sigma", law.sigma)))

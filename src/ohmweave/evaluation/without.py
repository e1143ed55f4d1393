"""A cell without one of its properties, and the size of a pulse's step in the middle of its window."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import (
    RESET,
    SET,
    AffineStep,
    Cell,
    ConductanceState,
    LinearStep,
    Pulse,
    PulseTable,
    Spread,
    StretchedStep,
)

MORE_LEVELS = 10
"""Factor by which steps become smaller, and levels more, where the property "levels" is removed."""
_N_CELLS = 4_000  # simulated cells from which the step is measured
_N_POINTS = 201  # of the window, for the mean step of a law without a closed form


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One pulse in the middle of the window.

    Attributes:
        mean: S, mean of the magnitudes of the mean SET and the mean RESET step, > 0 unless no pulse moves the cell.
        rms: S, root mean square of the change of a cell in one pulse, with the scatter between pulses and cells.
        read: S, standard deviation of one read.
    """

    mean: float
    rms: float
    read: float


def step_of(cell: Cell) -> Step:
    """The step of working cells, from simulated pulses to 4,000 cells at the middle of the window; always equal."""
    working = replace(cell, faults=None)
    chance = generator(0, "evaluation", "step")
    fresh = working.init_state((_N_CELLS,), generator=chance, dtype=torch.float64)
    middle = torch.full_like(fresh.switching.g, (cell.g_min + cell.g_max) / 2)
    state = fresh._replace(switching=fresh.switching._replace(g=middle))
    moved = [
        working.conductance(working.pulse(state, Pulse(torch.full((_N_CELLS,), polarity)), generator=chance)) - middle
        for polarity in (SET, RESET)
    ]
    noise = working.read_noise_sigma(state)
    return Step(
        mean=sum(abs(float(dg.mean())) for dg in moved) / 2,
        rms=float(torch.cat(moved).square().mean().sqrt()),
        read=0.0 if noise is None else float(noise.mean()),
    )


def _without_read_noise(cell: Cell) -> Cell | None:
    return None if cell.read_noise is None else replace(cell, read_noise=None)


def _without_spread(cell: Cell) -> Cell | None:
    if not isinstance(cell.spread, Spread):
        return None if cell.spread is None else replace(cell, spread=None)
    # Factors of 1 are drawn all the same, so that the other properties of each cell stay as they were.
    return None if cell.spread.d2d == 0 else replace(cell, spread=replace(cell.spread, d2d=0.0))


def _without_stuck(cell: Cell) -> Cell | None:
    return None if cell.faults is None else replace(cell, faults=None)


def _without_retention(cell: Cell) -> Cell | None:
    return None if not cell.processes else replace(cell, retention=())


def _without_scatter(cell: Cell) -> Cell | None:
    law = _exact(cell.switching)
    return None if law == cell.switching else replace(cell, switching=law)


def _with_equal_steps(cell: Cell) -> Cell | None:
    law = _symmetric(cell.switching)
    return None if law == cell.switching else replace(cell, switching=law)


def _with_small_steps(cell: Cell) -> Cell | None:
    return replace(cell, switching=_smaller(cell.switching))


PROPERTIES: Mapping[str, Callable[[Cell], Cell | None]] = {
    "read noise": _without_read_noise,
    "scatter of pulses": _without_scatter,
    "spread between cells": _without_spread,
    "asymmetry": _with_equal_steps,
    "size of steps": _with_small_steps,
    "stuck cells": _without_stuck,
    "retention": _without_retention,
}
"""What removes each property; None where the cell does not have it. "asymmetry" makes all steps, SET and RESET, at
every conductance, as large as their mean magnitude; "size of steps" makes steps and their scatter ten times smaller."""

PERFECT = "all of them"
"""The name of the run without any of the properties."""

FINER = ("size of steps", PERFECT)
"""Names whose cells have other steps, for which a rule needs another rate."""


def without(cell: Cell, name: str) -> Cell | None:
    """`cell` without the property `name`, or without all (`PERFECT`); None if it does not have it.

    Raises:
        OutOfRangeError: there is no such property, or the switching law cannot be changed so.
    """
    if name != PERFECT:
        if not isinstance(name, str) or name not in PROPERTIES:
            raise OutOfRangeError(f"`name` must be one of {', '.join((*PROPERTIES, PERFECT))}, but is {name!r}")
        return PROPERTIES[name](cell)
    for remove in PROPERTIES.values():
        cell = remove(cell) or cell
    return cell


def _refused(law: Any) -> OutOfRangeError:
    return OutOfRangeError(
        "`cell` must switch by identical pulses (AffineStep, PulseTable, StretchedStep or LinearStep), but has "
        f"{type(law).__name__}"
    )


@singledispatch
def _exact(law: Any) -> Any:
    """The law without the scatter of its steps."""
    raise _refused(law)


@singledispatch
def _symmetric(law: Any) -> Any:
    """The law with SET and RESET steps of one size everywhere, the mean magnitude."""
    raise _refused(law)


@singledispatch
def _smaller(law: Any) -> Any:
    """The law with steps and scatter that are `MORE_LEVELS` times smaller."""
    raise _refused(law)


@_exact.register
@_symmetric.register
def _(law: LinearStep) -> LinearStep:
    return law


@_smaller.register
def _(law: LinearStep) -> LinearStep:
    return replace(law, levels=MORE_LEVELS * (law.levels - 1) + 1)


@_exact.register
def _(law: AffineStep) -> AffineStep:
    return replace(law, sigma=0.0)


@_symmetric.register
def _(law: AffineStep) -> AffineStep:
    size = sum(map(abs, (*law.set_step, *law.reset_step))) / 4
    return replace(law, set_step=(size, size), reset_step=(-size, -size))


@_smaller.register
def _(law: AffineStep) -> AffineStep:
    (up_low, up_high), (down_low, down_high) = law.set_step, law.reset_step
    return replace(
        law,
        set_step=(up_low / MORE_LEVELS, up_high / MORE_LEVELS),
        reset_step=(down_low / MORE_LEVELS, down_high / MORE_LEVELS),
        sigma=law.sigma / MORE_LEVELS,
    )


@_exact.register
def _(law: PulseTable) -> PulseTable:
    none = (0.0,) * len(law.set_mean)
    return replace(law, set_spread=none, reset_spread=none)


@_symmetric.register
def _(law: PulseTable) -> PulseTable:
    n = len(law.set_mean)
    size = sum(map(abs, (*law.set_mean, *law.reset_mean))) / (2 * n)
    return replace(law, set_mean=(size,) * n, reset_mean=(-size,) * n)


@_smaller.register
def _(law: PulseTable) -> PulseTable:
    def less(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(value / MORE_LEVELS for value in values)

    return replace(
        law,
        set_mean=less(law.set_mean),
        set_spread=less(law.set_spread),
        reset_mean=less(law.reset_mean),
        reset_spread=less(law.reset_spread),
    )


@_exact.register
def _(law: StretchedStep) -> StretchedStep:
    return replace(law, sigma=0.0)


@_symmetric.register
def _(law: StretchedStep) -> AffineStep:
    g = torch.linspace(law.g_min, law.g_max, _N_POINTS, dtype=torch.float64, device="cpu")
    exact, still = replace(law, sigma=0.0), torch.Generator(device="cpu")
    moved = [
        exact.step(ConductanceState(g), Pulse(torch.full((_N_POINTS,), polarity)), generator=still)
        for polarity in (SET, RESET)
    ]
    size = float(torch.cat(moved).abs().mean())
    return AffineStep(
        g_min=law.g_min,
        g_max=law.g_max,
        set_step=(size, size),
        reset_step=(-size, -size),
        sigma=law.sigma,
        g_fresh=law.g_fresh,
    )


@_smaller.register
def _(law: StretchedStep) -> StretchedStep:
    many = {"n_set": MORE_LEVELS * law.n_set, "n_reset": MORE_LEVELS * law.n_reset}
    return replace(law, **many, sigma=law.sigma / MORE_LEVELS)

"""Measured pulse trains beside the law that was fitted to them."""

from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ohmweave.base import generator
from ohmweave.cells import Cell, CellState, Pulse
from ohmweave.fitting import Fit
from ohmweave.fitting.trains import pulses_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SET, _RESET, _LAW = "#c44e52", "#4c72b0", "0.25"
_PREFIXES = {1e-9: "n", 1e-6: "µ", 1e-3: "m", 1.0: ""}
_BAND = (0.05, 0.5, 0.95)
_SHOWN = 300
"""Number of readings of a train that are drawn; with more, single pulses could not be seen."""


def pulse_fit(fit: Fit) -> "Figure":
    """Four panels: trains, steps by conductance, residuals, and the spread from cell to cell.

    Of a single cell the fourth shows how far its readings are from the median of the law.

    The curves of the law are simulated: cells of `fit.cell`, without stuck ones, get the measured sequence of pulses.
    In the first panel they are read with the fitted noise. The title says how far they are from the data.

    Args:
        fit: result of `fit_trains`.
    """
    from matplotlib.figure import Figure

    cell = replace(fit.cell, faults=None)
    figure = Figure(figsize=(10, 7.4), layout="constrained")
    trains, steps, residuals, cells = figure.subplots(2, 2).flatten()
    n = len(fit.used.working)
    at, bands = _draw_trains(trains, fit, cell)
    _draw_steps(steps, fit, cell)
    _draw_residuals(residuals, fit)
    if n > 1:
        _draw_cells(cells, fit)
    else:
        _draw_distance(cells, fit, at, bands)
    figure.suptitle(
        f"{fit.chosen.name} law, {len(fit.used.cell):,} pulses on {n} cell{'s' if n > 1 else ''}"
        + (f": {pulses}" if (pulses := pulses_text(fit.trains.conditions)) else "")
        + "\n"
        + "\n".join(wrap(str(fit.agreement), 120)),
        fontsize=9,
    )
    return figure


def _legend(axes: "Axes", title: str) -> None:
    """The title of a panel and its legend, above the axes, where they cover no data."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,
        fontsize=7,
        frameon=False,
        title=title,
        title_fontproperties={"size": 10},
        alignment="left",
    )


def _unit(fit: Fit) -> tuple[float, str]:
    """Factor from S to a unit with a prefix that suits the window, and this unit."""
    size = max((size for size in _PREFIXES if size <= fit.used.g_max), default=1e-9)
    return 1 / size, f"{_PREFIXES[size]}S"


def _draw_trains(axes: "Axes", fit: Fit, cell: Cell) -> tuple[Any, Any]:
    """The cell with the median size of steps in black, others with the same pulses in grey, and the law.

    Returns the indices of the black readings, `(readings,)`, and the law's quantiles there, `(3, readings)` S.
    """
    data, (factor, unit) = fit.trains, _unit(fit)
    middle = fit.used.working[np.argsort(fit.chosen.factor)[len(fit.chosen.factor) // 2]]
    readings = {index: np.flatnonzero(data.cell == index)[:_SHOWN] for index in fit.used.working}
    shown = readings[middle]
    for index, at in readings.items():
        same = np.array_equal(data.polarity[at], data.polarity[shown])
        if index != middle and same:
            axes.plot(data.pulse[at], factor * data.g[at], color="0.8", linewidth=0.4, zorder=1)
    gap = np.diff(data.pulse[shown], prepend=data.pulse[shown[0]])
    bands = _simulated(cell, data.g[shown], data.polarity[shown], gap)
    low, median, high = factor * bands
    axes.fill_between(data.pulse[shown], low, high, color="#dd8452", alpha=0.3, linewidth=0, label="law, 5 to 95 %")
    axes.plot(data.pulse[shown], median, color="#dd8452", label="law, median")
    axes.plot(
        data.pulse[shown],
        factor * data.g[shown],
        ".-",
        color=_LAW,
        markersize=2,
        linewidth=0.6,
        label=data.names[middle],
    )
    axes.set(xlabel="pulse", ylabel=f"g ({unit})")
    _legend(axes, "Trains: one cell in black, others in grey" if len(fit.used.working) > 1 else "Train")
    return shown, bands


def _draw_distance(axes: "Axes", fit: Fit, at: Any, bands: Any) -> None:
    """Readings less the median of the law, and its band, as percentages of the window."""
    percent = 100 / (fit.used.g_max - fit.used.g_min)
    low, median, high = percent * bands
    pulse, g = fit.trains.pulse[at], percent * fit.trains.g[at]
    axes.fill_between(
        pulse, low - median, high - median, color="#dd8452", alpha=0.3, linewidth=0, label="law, 5 to 95 %"
    )
    axes.plot(pulse, g - median, ".", color=_LAW, markersize=4, label=fit.trains.names[fit.used.working[0]])
    axes.axhline(0, color="#dd8452", linewidth=1)
    axes.set(xlabel="pulse", ylabel="distance (% of the window)")
    _legend(axes, "Distance of the readings from the law's median")


def _simulated(cell: Cell, g: Any, polarity: Any, gap: Any) -> Any:
    """Quantiles of 400 simulated cells at each reading, `(3, readings)` S.

    Where readings are missing or no pulse was sent, all cells are set to the measured conductance.

    Args:
        cell: the fitted cell.
        g: `(readings,)` S, measured.
        polarity: `(readings,)`, of the pulse before each reading: 1, -1 or 0.
        gap: `(readings,)`, pulses since the reading before.
    """
    chance = generator(0, "plot", "trains")
    state = cell.init_state((400,), generator=chance, dtype=torch.float64)
    seen: list[torch.Tensor] = []
    for measured, sign, n in zip(g, polarity, gap, strict=True):
        if sign and n == 1 and seen:
            polarity_of_all = torch.full((400,), int(sign), device=chance.device)
            state = cell.pulse(state, Pulse(polarity_of_all), generator=chance)
        else:
            state = cell.shift_conductance(state, float(measured) - cell.conductance(state))
        seen.append(_read(cell, state, chance))
    return np.quantile(torch.stack(seen).numpy(), _BAND, axis=1)


def _read(cell: Cell, state: CellState, chance: torch.Generator) -> torch.Tensor:
    """Conductances, S, with the cell's read noise."""
    g, sigma = cell.conductance(state), cell.read_noise_sigma(state)
    return g if sigma is None else g + sigma * torch.empty_like(g).normal_(generator=chance)


def _draw_steps(axes: "Axes", fit: Fit, cell: Cell) -> None:
    """Measured steps, their means in bins of conductance, and simulated steps of the law over the window."""
    steps, n, (factor, unit) = fit.used.steps, 1000, _unit(fit)
    chance = generator(0, "plot", "steps")
    grid = torch.linspace(fit.used.g_min, fit.used.g_max, 61, dtype=torch.float64, device=chance.device)
    bins = np.linspace(fit.used.g_min, fit.used.g_max, 16)
    for sign, name, colour in ((1, "SET", _SET), (-1, "RESET", _RESET)):
        chosen = np.flatnonzero(steps.polarity == sign)
        g, dg = steps.g_before[chosen], steps.g_after[chosen] - steps.g_before[chosen]
        few = slice(None, None, max(1, len(g) // 3000))
        size, alpha = (1.5, 0.25) if len(g) > 300 else (4, 0.6)
        axes.plot(factor * g[few], factor * dg[few], ".", color=colour, markersize=size, alpha=alpha, rasterized=True)
        at = np.digitize(g, bins[1:-1])
        count, total = np.bincount(at, minlength=15), np.bincount(at, dg, 15)
        enough = count >= 5  # a mean of fewer steps is mostly noise
        centre = (bins[:-1] + bins[1:]) / 2
        axes.plot(
            factor * centre[enough], factor * (total[enough] / count[enough]), "o", color=colour, markersize=4,
            markeredgecolor="white", label=f"{name}, measured mean",
        )  # fmt: skip
        state = cell.init_state((n, len(grid)), generator=chance, dtype=torch.float64)
        state = cell.shift_conductance(state, grid - cell.conductance(state))
        pulse = Pulse(torch.full((n, len(grid)), sign, device=chance.device))
        after = cell.conductance(cell.pulse(state, pulse, generator=chance))
        moved = (after - grid).numpy()
        low, high = np.quantile(moved, (_BAND[0], _BAND[-1]), axis=0)
        axes.fill_between(factor * grid, factor * low, factor * high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(factor * grid, factor * moved.mean(0), color=colour, label=f"{name}, law: mean, 5 to 95 %")
    axes.axhline(0, color="0.5", linewidth=0.5)
    axes.set(xlabel=f"g before the pulse ({unit})", ylabel=f"step ({unit})")
    _legend(axes, "Steps")


def _draw_residuals(axes: "Axes", fit: Fit) -> None:
    """Histograms of the residuals in units of the law's spread, beside the Gaussian that the law assumes."""
    z, bins = fit.chosen.z, np.linspace(-4.5, 4.5, 46)
    for sign, name, colour in ((1, "SET", _SET), (-1, "RESET", _RESET)):
        chosen = z[np.isfinite(z) & (fit.used.steps.polarity == sign)]
        axes.hist(
            chosen, bins=bins.tolist(), density=True, histtype="step", color=colour, label=f"{name}, {len(chosen):,}"
        )
    axes.plot(
        bins, np.exp(-(bins**2) / 2) / (2 * np.pi) ** 0.5, color=_LAW, linestyle="--", label="Gaussian, as the law"
    )
    axes.set(xlabel="residual / spread", ylabel="density")
    _legend(axes, "Residuals of steps that end inside the window")


def _draw_cells(axes: "Axes", fit: Fit) -> None:
    """The factor by which the steps of each cell differ from the mean, with intervals, beside the fitted d2d."""
    law, order = fit.chosen, np.argsort(fit.chosen.factor)
    at = np.arange(len(order))
    axes.axhspan(
        1 - law.d2d.value,
        1 + law.d2d.value,
        color="#dd8452",
        alpha=0.2,
        linewidth=0,
        label=f"1 ± d2d, {law.d2d.value:.3f}",
    )
    axes.errorbar(
        at, law.factor[order], 1.96 * law.factor_error[order], fmt=".", color=_LAW, linewidth=0.8, label="95 %"
    )
    if len(order) <= 24:
        axes.set_xticks(at, [fit.trains.names[fit.used.working[index]] for index in order], fontsize=7, rotation=90)
    axes.set(xlabel="cell, from the smallest steps to the largest", ylabel="size of its steps / mean")
    _legend(axes, "Cells")

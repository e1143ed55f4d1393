"""Measurements that are no pulse trains beside what was fitted to them."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from ohmweave.base import DataError, generator
from ohmweave.fitting import (
    ConductionFit,
    Cycling,
    CyclingFit,
    NoiseFit,
    PartFit,
    RelaxationData,
    RetentionFit,
    Sweep,
    TimeSeries,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SET, _RESET, _LAW, _DATA = "#c44e52", "#4c72b0", "#dd8452", "0.25"
_QUARTILES = (0.25, 0.5, 0.75)
_PREFIXES = {1e-9: "n", 1e-6: "µ", 1e-3: "m", 1.0: ""}
_SIMULATED = 4000
_SHOWN = 40
"""Sweeps that are drawn; with more, none can be told from the others."""


def part_fit(part: PartFit) -> "Figure":
    """Data and fitted law of relaxation, time series, sweeps or cycling; the law's bands are simulated.

    Args:
        part: of `fit_cell(...).parts`; of pulse trains, `pulse_fit(part.result)` is the figure.

    Raises:
        DataError: the part has no fit, or is of pulse trains.
    """
    from matplotlib.figure import Figure

    data, result = part.data, part.result
    figure = Figure(figsize=(10, 4), layout="constrained")
    if isinstance(result, RetentionFit) and isinstance(data, RelaxationData):
        _draw_retention(figure, data, result)
    elif isinstance(result, NoiseFit) and isinstance(data, TimeSeries):
        _draw_noise(figure, data, result)
    elif isinstance(result, ConductionFit) and isinstance(data, Sweep):
        _draw_conduction(figure, part, data, result)
    elif isinstance(result, CyclingFit) and isinstance(data, Cycling):
        _draw_cycling(figure, data, result)
    else:
        raise DataError(f"`part` must be a fit of relaxation, a time series, sweeps or cycling, but is {part!r}")
    return figure


def _unit(size: float) -> tuple[float, str]:
    """Factor to a unit with a prefix that suits `size`, and the prefix."""
    best = max((one for one in _PREFIXES if one <= size), default=1e-9)
    return 1 / best, _PREFIXES[best]


def _draw_retention(figure: "Figure", data: RelaxationData, result: RetentionFit) -> None:
    """Change since the write over the written conductance, one panel an age: quartiles of data and law."""
    assert data.g_start is not None  # `fit_cell` sets it
    part, rests = result.part, data.time > 0
    start, change, age = data.g_start[rests], (data.g - data.g_start)[rests], data.time[rests]
    ages = np.array(part.ages)
    shown = ages[np.unique(np.linspace(0, len(ages) - 1, min(4, len(ages))).round().astype(int))]
    nearest = ages[np.abs(np.log(age)[:, None] - np.log(ages)).argmin(axis=1)]
    edges = np.unique(np.quantile(start, np.linspace(0, 1, 17)))
    (factor, unit), chance = _unit(float(np.median(start))), generator(0, "plot", "retention")
    for axes, one in zip(figure.subplots(1, len(shown), squeeze=False, sharey=True)[0], shown.tolist(), strict=True):
        g = torch.linspace(float(edges[0]), float(edges[-1]), 41, dtype=torch.float64, device=chance.device)
        mean, variance = part.moments(g, torch.full_like(g, one))
        shape = (_SIMULATED, len(g))
        walk = torch.empty(shape, dtype=g.dtype, device=g.device).normal_(generator=chance)
        far = torch.rand(shape, dtype=g.dtype, device=g.device, generator=chance) < part.tail_fraction
        moved = (mean + variance.sqrt() * walk * torch.where(far, part.tail_factor, 1.0)).cpu().numpy()
        low, middle, high = factor * np.quantile(moved, _QUARTILES, axis=0)
        axes.fill_between(
            factor * g.cpu().numpy(), low, high, color=_LAW, alpha=0.35, linewidth=0, label="law, quartiles"
        )
        axes.plot(factor * g.cpu().numpy(), middle, color=_LAW, label="law, median")
        _quartile_bars(axes, factor * start[nearest == one], factor * change[nearest == one], factor * edges)
        axes.set(xlabel=f"written g ({unit}S)", title=f"after {one:.3g} s")
        axes.axhline(0, color="0.5", linewidth=0.5)
    figure.axes[0].set_ylabel(f"change ({unit}S)")
    figure.axes[0].legend(fontsize=7)


def _quartile_bars(axes: "Axes", x: np.ndarray, y: np.ndarray, edges: np.ndarray) -> None:
    """Median and quartiles of measured values in groups of x."""
    group = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    found = [
        (float(np.median(x[group == k])), *np.quantile(y[group == k], _QUARTILES).tolist())
        for k in range(len(edges) - 1)
        if (group == k).sum() >= 10  # quartiles of fewer are mostly chance
    ]
    if not found:
        return
    centre, low, middle, high = np.array(found).T
    axes.errorbar(
        centre, middle, np.stack([middle - low, high - middle]), fmt="o", color=_DATA, markersize=3, linewidth=0.8,
        label="measured, median and quartiles",
    )  # fmt: skip


def _draw_noise(figure: "Figure", data: TimeSeries, result: NoiseFit) -> None:
    """The series, and how much averages of readings scatter on data that the fit has not seen."""
    series, averages = figure.subplots(1, 2)
    (factor, unit), shown = _unit(float(np.nanmedian(data.g[0]))), slice(None, 2000)
    for one in data.g[:8]:
        time = data.interval * np.arange(len(one[shown]))
        series.plot(time, factor * one[shown], linewidth=0.4)
    series.set(xlabel="time (s)", ylabel=f"g ({unit}S)", title=f"{len(data.g)} series, the first {time[-1]:.3g} s")
    n = np.array(list(result.averages))
    measured, law, white = np.array(list(result.averages.values())).T
    averages.loglog(n, measured, "o", color=_DATA, label="measured, kept back")
    averages.loglog(n, law, color=_LAW, label="law")
    averages.loglog(n, white, "--", color="0.6", label="white noise")
    averages.set(xlabel="readings in an average", ylabel="scatter / that of one reading")
    averages.set_title(f"Averages; slope of the spectrum {result.slope:.2f}")
    averages.legend(fontsize=7)


def _draw_conduction(figure: "Figure", part: PartFit, data: Sweep, result: ConductionFit) -> None:
    """Sweeps with their forms, and the quartiles of what is left over."""
    sweeps, residuals = figure.subplots(1, 2)
    kept = np.ones(len(data.v), dtype=bool) if part.thresholds is None else part.thresholds.before
    v, i = data.v[kept], data.i[kept]
    cells, index = np.unique(data.cell[kept], return_inverse=True)
    form = (
        v
        if result.part is None
        else result.part.current(torch.ones(len(v), dtype=torch.float64), torch.from_numpy(v)).numpy()
    )
    said = result.offset.value + result.g[index] * form
    factor, unit = _unit(float(np.abs(i).max()))
    order = np.argsort(result.g)
    for k in order[np.linspace(0, len(cells) - 1, min(_SHOWN, len(cells))).astype(int)].tolist():
        at = np.flatnonzero(index == k)
        at = at[np.argsort(v[at], kind="stable")]
        sweeps.plot(v[at], factor * said[at], color=_LAW, linewidth=0.6)
        sweeps.plot(v[at], factor * i[at], ".", color=_DATA, markersize=2)
    sweeps.set(xlabel="v (V)", ylabel=f"i ({unit}A)", title="Sweeps (points) and the fitted form (lines)")
    bins = np.unique(np.quantile(v, np.linspace(0, 1, 31)))
    _quartile_bars(residuals, v, factor * (i - said), bins)
    residuals.axhline(0, color=_LAW)
    residuals.set(
        xlabel="v (V)", ylabel=f"measured - fitted ({unit}A)", title=f"Off by {result.off:.1%} of the current"
    )


def _draw_cycling(figure: "Figure", data: Cycling, result: CyclingFit) -> None:
    """Distributions of both states, measured and simulated, and their quartiles over the cycles."""
    shares, cycles = figure.subplots(1, 2)
    factor, unit = _unit(result.after_set.quartiles[1])
    for name, g, law, colour in (
        ("SET", data.g_set, result.part.g_set, _SET),
        ("RESET", data.g_reset, result.part.g_reset, _RESET),
    ):
        share = (np.arange(len(g)) + 0.5) / len(g)
        shares.step(factor * np.sort(g), share, color=colour, linewidth=1.5, label=f"after {name}, measured")
        shares.plot(factor * np.array(law), np.linspace(0, 1, len(law)), "--", color="k", linewidth=0.8)
        numbers = np.unique(data.cycle)
        groups = np.array_split(numbers, min(20, len(numbers)))
        found = [
            (float(group.mean()), *np.quantile(g[np.isin(data.cycle, group)], _QUARTILES).tolist()) for group in groups
        ]
        at, low, middle, high = np.array(found).T
        cycles.fill_between(at, factor * low, factor * high, color=colour, alpha=0.25, linewidth=0)
        cycles.plot(at, factor * middle, "o-", markersize=3, color=colour, label=f"after {name}: median, quartiles")
        for level in np.quantile(np.array(law), _QUARTILES):
            cycles.axhline(factor * level, color="k", linestyle="--", linewidth=0.5)
    shares.set(xscale="log", xlabel=f"g ({unit}S)", ylabel="share of readings", title="Measured; dashed: law")
    cycles.set(
        yscale="log", xlabel="cycle", ylabel=f"g ({unit}S)", title="Over the cycles; dashed: quartiles of the law"
    )
    for axes in (shares, cycles):
        axes.legend(fontsize=7)

"""From conductances read some time after a write to a retention part that depends on level and age.

Cells are grouped by the conductance of their write and readings by the logarithm of their age. In each group the median
change is the shift, and the quartiles give the spread; what lies beyond a Gaussian of this spread gives the tails. The
fit is judged on cells that it has not seen: half of the cells are fitted, the other half compared.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ohmweave.base import DataError, ShapeError, check_integer, shown
from ohmweave.cells import LevelRelaxation
from ohmweave.fitting.trains import Floats, Ints, Mask

AGREES = 0.1
"""Ours: difference of medians and quartiles on unseen cells, as a fraction of the window, up to which a law agrees."""
_QUARTILE = 1.3489795
"""Distance of the quartiles of a Gaussian in standard deviations."""
_MIN_READINGS = 20
"""Smallest number of readings of a level and an age."""
_TAILS = np.geomspace(1.5, 12.0, 12)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RetentionFit:
    """A retention part and how well it describes cells that it has not seen.

    Attributes:
        part: fitted to all cells.
        n: `(levels, ages)`, readings.
        shift_error, sigma_error: `(levels, ages)`, S, standard errors of the tables of `part`.
        off_median, off_quartiles: the largest difference between the unseen half of the cells and a fit to the other
            half, over levels and ages, as a fraction of the window of written conductances.
        notes: what was left out or assumed.
    """

    part: LevelRelaxation
    n: Ints
    shift_error: Floats
    sigma_error: Floats
    off_median: float
    off_quartiles: float
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """True if medians and quartiles of unseen cells are within 10 % of the window."""
        return max(self.off_median, self.off_quartiles) <= AGREES

    def __repr__(self) -> str:
        """The part, and the sentence on unseen cells."""
        return (
            f"RetentionFit({self.part!r}; unseen cells differ by up to {self.off_median:.1%} of the window in median, "
            f"{self.off_quartiles:.1%} in quartiles)"
        )


def fit_retention(
    cell: torch.Tensor | Floats | Ints,
    age: torch.Tensor | Floats,
    g_written: torch.Tensor | Floats,
    g: torch.Tensor | Floats,
    *,
    levels: int = 8,
) -> RetentionFit:
    """Fit relaxation that depends on the written conductance and on the age.

    Args:
        cell: `(readings,)`, number of the cell, any numbers that tell cells apart.
        age: `(readings,)`, s since the write; readings of age 0 or less are the write itself and are left out.
        g_written: `(readings,)`, S, conductance just after the write.
        g: `(readings,)`, S, conductance at that age.
        levels: groups of written conductances, at most; fewer if a group would have less than 20 readings of an age.

    Raises:
        ShapeError: lengths differ.
        DataError: a value is not finite, there are too few readings, or the written conductances are not > 0 S.
        OutOfRangeError: `levels` is out of range.

    Valid for: cells at rest, read at a few ages each. Each write is taken for independent of the others.
    Source: ours; the tables are medians and quartiles.
    """
    check_integer("levels", levels, at_least=1)
    cells, ages, start, final = (
        _numbers(name, value) for name, value in (("cell", cell), ("age", age), ("g_written", g_written), ("g", g))
    )
    for name, value in (("age", ages), ("g_written", start), ("g", final)):
        if value.shape != cells.shape:
            raise ShapeError(f"`{name}` must have the shape of `cell`, {cells.shape}, but has {value.shape}")
    if not start.mean() > 0:
        raise DataError(f"`g_written` must be conductances > 0 S, but their mean is {start.mean():g} S")
    rests = ages > 0
    if not rests.any():
        raise DataError("`age` must be > 0 s for some readings, but is not for any")
    column, nodes = _ages(ages[rests])
    cells, start, change = cells[rests], start[rests], (final - start)[rests]
    enough = np.bincount(column) >= 2 * _MIN_READINGS
    if not enough.any():
        raise DataError(
            f"`g` must hold at least {2 * _MIN_READINGS} readings of one age, but holds {len(change)} of all"
        )
    kept = enough[column]
    column, nodes = (np.cumsum(enough) - 1)[column[kept]], nodes[enough]
    cells, start, change = cells[kept], start[kept], change[kept]

    known = np.unique(cells)
    unseen = np.isin(cells, known[1::2])
    n_levels = max(1, min(levels, int(np.bincount(column).min()) // (2 * _MIN_READINGS)))
    edges = np.quantile(start, np.arange(1, n_levels) / n_levels)
    _, row = np.unique(np.searchsorted(edges, start), return_inverse=True)
    part, count = _tables(row, column, start, change, nodes, ~unseen)
    medians, quartiles = _compared(part, row, column, start, change, unseen)
    window = float(np.ptp(start)) or float(start[0])
    part, count = _tables(row, column, start, change, nodes, np.ones(len(row), dtype=bool))
    sigma = np.array(part.sigma)
    return RetentionFit(
        part=part,
        n=count,
        # Of the median and of the distance of the quartiles of Gaussian readings.
        shift_error=1.2533 * sigma / np.sqrt(count),
        sigma_error=1.1664 * sigma / np.sqrt(count),
        off_median=medians / window,
        off_quartiles=quartiles / window,
        notes=_notes(int((~rests).sum()), int((~kept).sum())),
    )


def _numbers(name: str, values: torch.Tensor | Floats | Ints) -> Floats:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise ShapeError(f"`{name}` must be numbers of the shape (readings,), but is {shown(values)}")
    if not np.isfinite(array).all():
        raise DataError(f"`{name}` must be finite everywhere")
    return array.astype(np.float64)


def _ages(age: Floats) -> tuple[Ints, Floats]:
    """The group of each age, and the median age of each group.

    A new group begins where no age is within 0.3 decades, and wide groups are divided at every half decade.
    """
    decade = np.log10(age)
    order = np.argsort(decade)
    group = np.empty(len(age), dtype=np.int64)
    group[order] = np.cumsum(np.diff(decade[order], prepend=decade[order[0]]) > 0.3)
    first = np.array([decade[group == k].min() for k in range(int(group.max()) + 1)])
    fine = np.floor((decade - first[group]) / 0.5).astype(np.int64)
    _, group = np.unique(np.stack([group, fine]), axis=1, return_inverse=True)
    nodes = np.array([np.median(age[group == k]) for k in range(int(group.max()) + 1)])
    return group, nodes


def _tables(
    row: Ints, column: Ints, start: Floats, change: Floats, nodes: Floats, chosen: Mask
) -> tuple[LevelRelaxation, Ints]:
    """The part fitted to the chosen readings, and how many each entry has."""
    levels = int(row.max()) + 1
    shape = (levels, len(nodes))
    shift, sigma, count = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    for k in range(levels):
        for j in range(len(nodes)):
            of_entry = change[chosen & (row == k) & (column == j)]
            count[k, j] = len(of_entry)
            if len(of_entry):
                low, shift[k, j], high = np.quantile(of_entry, (0.25, 0.5, 0.75))
                sigma[k, j] = (high - low) / _QUARTILE
    sigma = np.maximum.accumulate(sigma, axis=1)  # a walk does not go back
    scatter = (change - shift[row, column]) / np.maximum(sigma[row, column], 1e-12)
    fraction, factor, shrink = _tails(scatter[chosen])
    levels_g = [float(np.median(start[row == k])) for k in range(levels)]
    part = LevelRelaxation(
        g=tuple(levels_g),
        ages=tuple(nodes.tolist()),
        shift=tuple(tuple(line) for line in shift.tolist()),
        sigma=tuple(tuple(line) for line in (shrink * sigma).tolist()),
        tail_fraction=fraction,
        tail_factor=factor,
    )
    return part, np.maximum(count, 1)


def _tails(z: Floats) -> tuple[float, float, float]:
    """Share and factor of the larger Gaussian in a mixture of two, and the smaller one's standard deviation.

    By expectation and maximisation from several starts, on residuals whose quartiles are those of N(0, 1).
    """
    best = (-np.inf, 0.0, 1.0, 1.0)
    z2 = np.minimum(z**2, 1e6)
    for factor in _TAILS[[0, 5, 9]].tolist():
        share, small, large = 0.1, 1.0, factor
        for _ in range(60):
            inner = (1 - share) * np.exp(-z2 / (2 * small**2)) / small
            outer = share * np.exp(-z2 / (2 * large**2)) / large + 1e-300
            weight = outer / (inner + outer)
            share = float(np.clip(weight.mean(), 1e-6, 0.5))
            small = float(np.sqrt(max(((1 - weight) * z2).sum() / max((1 - weight).sum(), 1e-9), 1e-4)))
            large = float(np.sqrt((weight * z2).sum() / max(weight.sum(), 1e-9)))
        value = float(np.log(inner + outer).mean())
        if value > best[0] and large > small:
            best = (value, share, float(min(large / small, 1e3)), small)
    return best[1:]


def _compared(
    part: LevelRelaxation, row: Ints, column: Ints, start: Floats, change: Floats, unseen: Mask
) -> tuple[float, float]:
    """The largest difference, S, of medians and of quartiles between unseen cells and the part, by simulation."""
    chance = torch.Generator("cpu").manual_seed(0)
    ages = np.array(part.ages)[column]
    median, quartiles = 0.0, 0.0
    mean, variance = part.moments(torch.from_numpy(start), torch.from_numpy(ages))
    larger = torch.rand(len(start), generator=chance, dtype=torch.float64, device="cpu") < part.tail_fraction
    walk = torch.randn(len(start), generator=chance, dtype=torch.float64, device="cpu") * variance.sqrt()
    simulated = (mean + walk * torch.where(larger, part.tail_factor, 1.0)).numpy()
    for k in range(len(part.g)):
        for j in range(len(part.ages)):
            entry = (row == k) & (column == j)
            if (entry & unseen).sum() < _MIN_READINGS:
                continue
            seen = np.quantile(change[entry & unseen], (0.25, 0.5, 0.75))
            said = np.quantile(simulated[entry], (0.25, 0.5, 0.75))
            off = np.abs(seen - said)
            median, quartiles = max(median, float(off[1])), max(quartiles, float(off[0]), float(off[2]))
    return median, quartiles


def _notes(n_writes: int, n_few: int) -> tuple[str, ...]:
    notes = []
    if n_writes:
        notes.append(f"left out: {n_writes} readings of age 0, the writes themselves")
    if n_few:
        notes.append(f"left out: {n_few} readings of ages with less than {2 * _MIN_READINGS}")
    return tuple(notes)

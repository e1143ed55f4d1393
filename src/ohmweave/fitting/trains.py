"""Pulse trains: what was read from cells after each programming pulse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base import DataError, ShapeError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Steps(NamedTuple):
    """What single pulses did; every field is `(steps,)`.

    Attributes:
        at: index of the reading after the pulse; the one before it is the reading before the pulse.
        cell: index of the cell.
        polarity: +1 SET, -1 RESET.
        g_before, g_after: S.
        fold: 0 to 4, which fifth of its cell's data the step belongs to.
    """

    at: Ints
    cell: Ints
    polarity: Ints
    g_before: Floats
    g_after: Floats
    fold: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PulseTrains:
    """Readings of cells, cell after cell, each cell's in their order.

    Args:
        names: of the cells, different from each other.
        cell: `(readings,)`, index into `names`, never falling.
        pulse: `(readings,)`, number of the reading in its cell, rising; where it rises by more than one, readings are
            missing and nothing is inferred about the pulses between.
        polarity: `(readings,)`, of the one pulse before the reading: +1 SET, -1 RESET, 0 none. A cell's first reading
            is where it starts, whatever its polarity.
        g: `(readings,)`, S.
        conditions: amplitudes and widths of the pulses, in SI units, where they are known.

    Raises:
        ShapeError: lengths differ.
        DataError: the order is another, a polarity is not -1, 0 or 1, or a conductance is not finite.
    """

    names: tuple[str, ...]
    cell: Ints
    pulse: Ints
    polarity: Ints
    g: Floats
    conditions: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("pulse", "polarity", "g"):
            if getattr(self, name).shape != self.cell.shape:
                shapes = f"{self.cell.shape}, but has {getattr(self, name).shape}"
                raise ShapeError(f"`{name}` must have the shape of `cell`, {shapes}")
        if not np.isin(self.polarity, (-1, 0, 1)).all():
            raise DataError("`polarity` must be -1, 0 or 1 everywhere")
        if not np.isfinite(self.g).all():
            raise DataError("`g` must be finite everywhere")
        same = np.diff(self.cell) == 0
        if (np.diff(self.cell) < 0).any() or (np.diff(self.pulse)[same] <= 0).any():
            raise DataError("readings must come cell after cell, and `pulse` must rise within each")

    def steps(self) -> Steps:
        """The pulses whose readings before and after are there.

        A cell of five cycles or more is split into fifths by cycles (one begins where SET pulses begin), any other by
        its pulses: those held out from a fit then leave some of each cell behind.
        """
        one_pulse = (np.diff(self.cell) == 0) & (np.diff(self.pulse) == 1) & (self.polarity[1:] != 0)
        at = 1 + np.flatnonzero(one_pulse)
        cycle = self._cycle()
        last_of_cell = np.searchsorted(self.cell, np.arange(len(self.names)), side="right") - 1
        cycles = cycle[last_of_cell][self.cell]
        order = np.arange(len(self.cell)) - np.searchsorted(self.cell, self.cell)
        fold = np.where(cycles >= 5, cycle, order) % 5
        return Steps(at, self.cell[at], self.polarity[at], self.g[at - 1], self.g[at], fold[at])

    def _cycle(self) -> Ints:
        """`(readings,)`, how often SET pulses have begun in the cell."""
        follows = np.concatenate([[False], np.diff(self.cell) == 0])
        begins = (self.polarity == 1) & ~(follows & (np.roll(self.polarity, 1) == 1))
        count: Ints = np.cumsum(begins)
        before: Ints = count[np.searchsorted(self.cell, self.cell)]
        return count - before


def trains_of(g: torch.Tensor | Floats, polarity: torch.Tensor | Ints) -> PulseTrains:
    """The trains of cells that all got the same pulses, as an array reads them.

    Args:
        g: `(n_pulses + 1, cells)`, S, before the first pulse and after each.
        polarity: `(n_pulses,)`, +1 SET, -1 RESET.

    Raises:
        ShapeError: `g` does not hold one reading more than there are pulses.
    """
    readings, sent = _array(g), np.concatenate([[0], _array(polarity)]).astype(np.int64)
    if readings.ndim != 2 or len(readings) != len(sent):
        raise ShapeError(f"`g` must have the shape ({len(sent)}, cells), but has {readings.shape}")
    n, cells = readings.shape
    return PulseTrains(
        names=tuple(f"{index:0{len(str(cells))}d}" for index in range(1, cells + 1)),
        cell=np.repeat(np.arange(cells), n),
        pulse=np.tile(np.arange(n), cells),
        polarity=np.tile(sent, cells),
        g=readings.T.flatten(),
    )


def _array(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)

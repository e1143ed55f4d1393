"""Pulse trains: conductances of cells after each programming pulse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base import DataError, OutOfRangeError, ShapeError, check_finite, shown
from ohmweave.base.text import counted
from ohmweave.base.units import format_quantity

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Steps(NamedTuple):
    """The changes of conductance by single pulses; every field is `(steps,)`.

    Attributes:
        at: index of the reading after the pulse; the one before it is the reading before the pulse.
        cell: index of the cell.
        polarity: +1 SET, -1 RESET.
        g_before, g_after: S.
        fold: 0 to 4, the fifth of its cell's data that the step belongs to, for cross-validation.
    """

    at: Ints
    cell: Ints
    polarity: Ints
    g_before: Floats
    g_after: Floats
    fold: Ints


def pulses_text(conditions: Mapping[str, float]) -> str:
    """Amplitudes and widths of both polarities: "SET 1.20 V for 50.0 ns, RESET 1.40 V"; "" if none is known.

    Args:
        conditions: `v_set`, `v_reset` (V), `width_set`, `width_reset` (s), as those of `PulseTrains`.
    """
    found = []
    for word in ("SET", "RESET"):
        v, width = (conditions.get(f"{name}_{word.lower()}") for name in ("v", "width"))
        texts = [format_quantity(v, "V")] if v else []
        texts += [f"for {format_quantity(width, 's')}"] if width else []
        found += [" ".join([word, *texts])] if texts else []
    return ", ".join(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PulseTrains:
    """Readings of cells, ordered by cell and within each cell by time.

    Args:
        names: of the cells, all different.
        cell: `(readings,)`, index into `names`, non-decreasing.
        pulse: `(readings,)`, number of the reading in its cell, increasing. If it increases by more than one, readings
            are missing, and the pulses between are not used.
        polarity: `(readings,)`, of the one pulse before the reading: +1 SET, -1 RESET, 0 none. That of a cell's first
            reading, its initial conductance, is ignored.
        g: `(readings,)`, S.
        conditions: amplitudes and widths of the pulses, in SI units, if known.

    Raises:
        ShapeError: lengths differ.
        DataError: readings are in another order, a polarity is not -1, 0 or 1, or a conductance is not finite.
    """

    names: tuple[str, ...]
    cell: Ints
    pulse: Ints
    polarity: Ints
    g: Floats
    conditions: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the arguments."""
        self._check_kinds()
        for name in ("pulse", "polarity", "g"):
            if getattr(self, name).shape != self.cell.shape:
                shapes = f"{self.cell.shape}, but has {getattr(self, name).shape}"
                raise ShapeError(f"`{name}` must have the shape of `cell`, {shapes}")
        if not np.isin(self.polarity, (-1, 0, 1)).all():
            raise DataError("`polarity` must be -1, 0 or 1 everywhere")
        if not np.isfinite(self.g).all():
            raise DataError("`g` must be finite everywhere")
        if len(self.cell) and not (self.cell.min() >= 0 and self.cell.max() < len(self.names)):
            raise DataError(f"`cell` must be indices of the {len(self.names)} `names`, but is not everywhere")
        if not isinstance(self.conditions, Mapping):
            raise DataError(f"`conditions` must be numbers by name, but is {shown(self.conditions)}")
        for name, value in self.conditions.items():
            check_finite(f"conditions[{name!r}]", value)
        same = np.diff(self.cell) == 0
        if (np.diff(self.cell) < 0).any() or (np.diff(self.pulse)[same] <= 0).any():
            raise DataError("readings must come cell after cell, and `pulse` must rise within each")

    def _check_kinds(self) -> None:
        """Raise where a field is of another kind."""
        for name in ("cell", "pulse", "polarity", "g"):
            value = getattr(self, name)
            if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.ndim != 1:
                raise ShapeError(f"`{name}` must be an array (readings,) of numbers, but is {shown(value)}")
        if not isinstance(self.names, tuple | list) or not all(isinstance(name, str) for name in self.names):
            raise DataError(f"`names` must be texts, but is {shown(self.names)}")

    def __repr__(self) -> str:
        """Numbers of cells and readings, and the range of conductances."""
        g = f", g from {self.g.min():.4g} to {self.g.max():.4g} S" if len(self.g) else ""
        pulses = pulses_text(self.conditions)
        size = f"{counted(len(self.names), 'cell')}, {len(self.g):,} readings"
        return f"PulseTrains({size}{g}{', ' if pulses else ''}{pulses})"

    def steps(self) -> Steps:
        """The pulses with a reading before and after.

        For cross-validation the data of each cell are divided into fifths: by cycles if it has at least five (a cycle
        begins with a SET pulse after other readings), else pulse by pulse. So every cell has data in each training set.
        """
        # A step needs two readings of the same cell with consecutive numbers, and a pulse between them.
        one_pulse = (np.diff(self.cell) == 0) & (np.diff(self.pulse) == 1) & (self.polarity[1:] != 0)
        at = 1 + np.flatnonzero(one_pulse)
        cycle = self._cycle()
        last_of_cell = np.searchsorted(self.cell, np.arange(len(self.names)), side="right") - 1
        cycles = cycle[last_of_cell][self.cell]
        order = np.arange(len(self.cell)) - np.searchsorted(self.cell, self.cell)
        fold = np.where(cycles >= 5, cycle, order) % 5
        return Steps(at, self.cell[at], self.polarity[at], self.g[at - 1], self.g[at], fold[at])

    def _cycle(self) -> Ints:
        """`(readings,)`, the number of SET trains that have begun in the cell."""
        follows = np.concatenate([[False], np.diff(self.cell) == 0])
        begins = (self.polarity == 1) & ~(follows & (np.roll(self.polarity, 1) == 1))
        count: Ints = np.cumsum(begins)
        before: Ints = count[np.searchsorted(self.cell, self.cell)]
        return count - before


def trains_of(g: torch.Tensor | Floats, polarity: torch.Tensor | Ints) -> PulseTrains:
    """The trains of cells that all received the same pulses, as an array reads them.

    Args:
        g: `(n_pulses + 1, cells)`, S, before the first pulse and after each.
        polarity: `(n_pulses,)`, +1 SET, -1 RESET.

    Raises:
        ShapeError: `g` does not hold one reading more than there are pulses.
    """
    readings, given = _array("g", g), _array("polarity", polarity)
    if given.ndim != 1 or not np.isin(given, (-1, 0, 1)).all():
        raise DataError("`polarity` must have the shape (n_pulses,) with -1, 0 or 1 everywhere")
    sent = np.concatenate([[0], given]).astype(np.int64)
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


def _array(name: str, values: torch.Tensor | Floats | Ints) -> Floats:
    """As float64; a tensor may be on any device."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().resolve_conj().numpy()
    if not isinstance(values, np.ndarray | list | tuple) or np.iscomplexobj(values):
        raise OutOfRangeError(f"`{name}` must be real numbers, but is {shown(values)}")
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise OutOfRangeError(f"`{name}` must be real numbers, but is {shown(values)}") from None

"""What every way of using the cells starts from: cells, chips, data and the software network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ohmweave.arrays import Activity
from ohmweave.cells import Cell
from ohmweave.data import Dataset
from ohmweave.evaluation.networks import Network
from ohmweave.evaluation.without import Step, step_of
from ohmweave.explore.training import Progress
from ohmweave.mapping import Chip
from ohmweave.nn import Deployed, OnChip, plan
from ohmweave.programming import WriteVerify

ROWS, COLS = 128, 128
_FINEST = 0.0025  # of the window: a write need not be better
_COARSEST = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The start of one run.

    Attributes:
        cell: of all chips.
        data: training, validation and test images.
        network: makes the model.
        software: trained in software; it is copied, not changed.
        n_chips: chips side by side.
        seed: of the chips.
        first: seed of initial weights and of the order of images, equal for all chips.
        epochs: of training in software and, at most, in situ.
        wait: s, between the last write and the test; it matters for cells with retention alone.
        progress: of the run.
        artifact: from a file name to its path in the results folder, for networks that are trained once.
        key: of the task, for the names of its checkpoints.
    """

    cell: Cell
    data: Dataset
    network: Network
    software: torch.nn.Module
    n_chips: int
    seed: int
    first: int
    epochs: int
    wait: float
    progress: Progress
    artifact: Callable[[str], Path]
    key: str

    @property
    def window(self) -> float:
        """S, g_max - g_min."""
        return self.cell.g_max - self.cell.g_min

    def step(self) -> Step:
        """The step of a pulse in the middle of the window."""
        return step_of(self.cell)

    def tolerance(self, factor: float) -> float:
        """S: `factor` times what one pulse and one read scatter by, from 0.25 % to 25 % of the window."""
        step = self.step()
        unit = float(step.rms**2 + step.read**2) ** 0.5
        return float(min(max(factor * unit, _FINEST * self.window), _COARSEST * self.window))

    def g_step(self) -> float:
        """S, mean step, as the rules are given it; at least 1e-6 of the window, for cells that do not move."""
        return max(self.step().mean, 1e-6 * self.window)

    def max_pulses(self) -> int:
        """Three times the pulses across the window at the mean step, from 100 to 5,000."""
        mean = self.step().mean
        return 100 if mean <= 0 else round(min(max(3 * self.window / mean, 100), 5_000))

    def change(self, threshold: float, tolerance: float) -> WriteVerify:
        """The write of small changes, from `threshold` S on.

        Four times the pulses that the threshold takes at the mean step, and ten: a cell that is stuck costs all of them
        at each step of the rule.
        """
        n = 10 + round(4 * threshold / self.g_step())
        return WriteVerify(tolerance=tolerance, max_pulses=min(n, self.max_pulses()))

    def chip(self, model: torch.nn.Module, layers: Mapping[str, OnChip], *, matrices: int = 1) -> Chip:
        """Chips with room for `model` on them, `matrices` times."""
        probe = Chip(self.cell, rows=ROWS, cols=COLS)
        n_arrays = matrices * plan(model, probe, layers=layers).n_arrays
        n_chips = None if self.n_chips == 1 else self.n_chips
        return Chip(self.cell, n_arrays=n_arrays, rows=ROWS, cols=COLS, n_chips=n_chips, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A network on chips, made by one of the ways.

    Attributes:
        net: the network.
        facts: counts and sizes of the writes, for the row.
        spent: pulses and reads of the making, on all chips together.
    """

    net: Deployed
    facts: Mapping[str, Any]
    spent: Activity

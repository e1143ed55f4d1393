"""The report of a write: pulses, reads and errors of each cell."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ohmweave.base.text import counted

MANY_FAILED = 0.25
"""Fraction of cells that do not converge above which `warn_if_many_failed` warns; cells at the idle level
of a pair, which are half of them, nearly always converge."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WriteReport:
    """Pulses, reads and errors of a write; all tensors have the shape of the `cells` that were written.

    Attributes:
        n_set, n_reset: int64, pulses sent to each cell.
        n_reads: int64, verify reads of each cell.
        converged: bool, whether the last verify read was inside the tolerance.
        error: S, last verified conductance minus target; NaN for a cell without a measurement.
    """

    n_set: torch.Tensor
    n_reset: torch.Tensor
    n_reads: torch.Tensor
    converged: torch.Tensor
    error: torch.Tensor

    @property
    def n_pulses(self) -> torch.Tensor:
        """Pulses of both polarities, int64, the shape of `cells`."""
        return self.n_set + self.n_reset

    @property
    def n_failed(self) -> int:
        """Cells that did not converge."""
        return int((~self.converged).sum())

    def __repr__(self) -> str:
        """Totals in one line."""
        n = self.converged.numel()
        pulses = float(self.n_pulses.double().mean()) if n else 0.0
        return f"WriteReport({counted(n, 'cell')}, {self.n_failed} not converged, {pulses:.3g} pulses a cell)"

    def summary(self) -> dict[str, float]:
        """Totals, means and spread as plain numbers: counts, pulses per cell, errors in S; all 0 without cells.

        Cells that were never read have no error, and are left out of its mean and spread.
        """
        none = self.converged.new_zeros(1)
        pulses = (self.n_pulses if self.n_pulses.numel() else none).double()
        known = self.error[~self.error.isnan()]
        error = (known if known.numel() else none).double()
        return {
            "n_cells": self.converged.numel(),
            "n_failed": self.n_failed,
            "n_set": int(self.n_set.sum()),
            "n_reset": int(self.n_reset.sum()),
            "n_reads": int(self.n_reads.sum()),
            "pulses_mean": float(pulses.mean()),
            "pulses_max": int(pulses.max()),
            "error_mean": float(error.mean()),
            "error_std": float(error.std(correction=0)),
        }


def warn_if_many_failed(reports: Mapping[str, WriteReport]) -> None:
    """Warn once if more than `MANY_FAILED` of all cells did not converge.

    Args:
        reports: by layer.
    """
    failed = {name: (report.n_failed, report.converged.numel()) for name, report in reports.items()}
    n_failed, n = (sum(counts) for counts in zip(*failed.values(), strict=True)) if failed else (0, 0)
    if n_failed > MANY_FAILED * n:
        worst = max(failed, key=lambda name: failed[name][0])
        warnings.warn(
            f"{n_failed} of {counted(n, 'cell')} ({n_failed / n:.0%}) did not converge, most of them in {worst!r}: see "
            "`net.reports`, and raise `tolerance` or `max_pulses` of the write",
            stacklevel=3,
        )

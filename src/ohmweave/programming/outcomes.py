"""Measured outcomes of writes, compared with those of a write scheme on simulated cells."""

from dataclasses import dataclass

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, ShapeError, check_integer, shown
from ohmweave.cells import Cell
from ohmweave.programming.write import Write

AGREES = 0.25
"""Ours: medians and quartiles of pulses that differ by no more than this share of the measured median, or by one pulse,
agree, if the shares of failed cells differ by no more than this. Where pulses were not counted, medians and quartiles
of the last errors agree if they differ by no more than this share of the measured interquartile range."""
_QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WriteOutcomes:
    """What writes of measured cells took; all tensors `(cells,)`.

    Args:
        g_target: S.
        n_pulses: pulses of both polarities until each cell was inside its band, or given up; attempts count as pulses.
            None: not counted, and `g_final` is needed.
        converged: bool, whether it was inside at the end; None: all were.
        g_start: S, before the first pulse; None: cells as fabricated.
        g_final: S, after the last pulse; None: not measured.

    Raises:
        ShapeError: lengths differ, or there is no cell.
        OutOfRangeError: a conductance or a count is negative or not finite, or neither pulses nor last conductances
            are given.
    """

    g_target: torch.Tensor
    n_pulses: torch.Tensor | None = None
    converged: torch.Tensor | None = None
    g_start: torch.Tensor | None = None
    g_final: torch.Tensor | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.n_pulses is None and self.g_final is None:
            raise OutOfRangeError("`n_pulses` or `g_final` must be given, but both are None")
        for name in ("g_target", "n_pulses", "converged", "g_start", "g_final"):
            value = getattr(self, name)
            if value is None and name != "g_target":
                continue
            if not isinstance(value, torch.Tensor) or value.ndim != 1 or not len(value):
                raise ShapeError(f"`{name}` must be a tensor (cells,) of one cell or more, but is {shown(value)}")
            if len(value) != len(self.g_target):
                raise ShapeError(f"`{name}` must have {len(self.g_target)} cells as `g_target`, but has {len(value)}")
            if not bool((torch.isfinite(value.double()) & (value.double() >= 0)).all()):
                raise OutOfRangeError(f"`{name}` must be finite and >= 0 everywhere, but is not")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCheck:
    """Measured and simulated writes, side by side.

    Attributes:
        pulses: lower quartile, median and upper quartile of the pulses a cell took, of measured cells; None where they
            were not counted.
        pulses_simulated: the same of simulated ones.
        failed, failed_simulated: share of the cells that were not inside their band at the end.
        error, error_simulated: S, quartiles of the last conductance less the target; None where it was not measured.
    """

    pulses: tuple[float, float, float] | None
    pulses_simulated: tuple[float, float, float]
    failed: float
    failed_simulated: float
    error: tuple[float, float, float] | None
    error_simulated: tuple[float, float, float] | None

    @property
    def agrees(self) -> bool:
        """True if writes agree.

        Median and quartiles of the pulses must differ by at most a quarter of the measured median, or by one pulse, and
        the shares of cells that failed by at most a quarter: without that, cells that all end at the largest number of
        pulses would agree with cells that all converge there. Without counts of pulses, median and quartiles of the
        last errors must differ by at most a quarter of their measured interquartile range.
        """
        if self.pulses is not None:
            most, measured, simulated = max(1.0, AGREES * self.pulses[1]), self.pulses, self.pulses_simulated
        else:
            assert self.error is not None  # `WriteOutcomes` has one of the two
            assert self.error_simulated is not None
            measured, simulated = self.error, self.error_simulated
            most = AGREES * (measured[2] - measured[0])
        alike = abs(self.failed - self.failed_simulated) <= AGREES
        return alike and all(abs(one - other) <= most for one, other in zip(measured, simulated, strict=True))

    def __str__(self) -> str:
        """In words."""
        said_low, said, said_high = self.pulses_simulated
        words = "the scheme describes these writes" if self.agrees else "the scheme does not describe these writes"
        took = "pulses were not counted"
        if self.pulses is not None:
            low, middle, high = self.pulses
            took = f"cells took {middle:g} pulses (median; quartiles {low:g} and {high:g})"
        parts = [
            f"{words}: {took}, simulated ones {said:g} ({said_low:g} and {said_high:g})",
            f"{self.failed:.1%} and {self.failed_simulated:.1%} did not reach their band",
        ]
        if self.error is not None and self.error_simulated is not None:
            first, second = (
                " to ".join(f"{1e6 * end:+.3g}" for end in (one[0], one[2]))
                for one in (self.error, self.error_simulated)
            )
            parts.append(f"half of the errors are from {first} uS, and from {second} uS")
        return "; ".join(parts)


def check_write(write: Write, cell: Cell, outcomes: WriteOutcomes, *, repeats: int = 10, seed: int = 0) -> WriteCheck:
    """Write simulated cells to the measured targets, from the measured starts, and compare.

    Args:
        write: the scheme, with the band, amplitudes and limit of the measurement.
        cell: fitted to the same kind of cells.
        outcomes: the measurement.
        repeats: simulated cells for each measured one.
        seed: of the simulation.

    Returns:
        Quartiles of both, and a sentence by `print`.

    Raises:
        OutOfRangeError: an argument is of another kind or out of range, or the scheme does not fit the cell.

    Valid for: cells that were written one by one, without a disturbance of others, on ideal wires.
    Source: ours.
    """
    if not isinstance(write, Write):
        raise OutOfRangeError(f"`write` must be a write scheme, such as WriteVerify, but is {shown(write)}")
    if not isinstance(cell, Cell) or not isinstance(outcomes, WriteOutcomes):
        raise OutOfRangeError(f"`cell` must be a Cell and `outcomes` WriteOutcomes, but are {shown((cell, outcomes))}")
    check_integer("repeats", repeats, at_least=1, at_most=1000)
    n = len(outcomes.g_target)
    target = outcomes.g_target.double().cpu().repeat(repeats)
    array = SimulatedArray(cell, rows=1, cols=n * repeats, seed=seed, dtype=torch.float64, device="cpu")
    if outcomes.g_start is not None:
        state = array.state_dict()
        start = outcomes.g_start.double().cpu().repeat(repeats)
        state["cells.switching.g"] = start.reshape(state["cells.switching.g"].shape)
        array.load_state_dict(state)
    report = write(array, torch.arange(n * repeats), target)
    measured = torch.ones(n, dtype=torch.bool) if outcomes.converged is None else outcomes.converged.bool().cpu()
    errors = None if outcomes.g_final is None else outcomes.g_final.double().cpu() - outcomes.g_target.double().cpu()
    return WriteCheck(
        pulses=None if outcomes.n_pulses is None else _quartiles(outcomes.n_pulses),
        pulses_simulated=_quartiles(report.n_pulses),
        failed=float((~measured).double().mean()),
        failed_simulated=float((~report.converged).double().mean()),
        error=None if errors is None else _quartiles(errors),
        error_simulated=None if errors is None else _quartiles(report.error),
    )


def _quartiles(values: torch.Tensor) -> tuple[float, float, float]:
    low, middle, high = torch.quantile(values.double().cpu(), torch.tensor(_QUARTILES, dtype=torch.float64)).tolist()
    return low, middle, high

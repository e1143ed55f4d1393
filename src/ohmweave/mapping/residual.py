"""Residual pairs: several pairs a weight, of which each later one holds what the earlier ones have missed.

With the gain r^k of pair k, a weight is

    w g_per_w = sum over k of  r^k (g_pos_k - g_neg_k).

The first pair is written with the whole weight and read out. Its write error, divided by r, is the target of the second
pair, and so on. Only the error of the last pair remains, at its gain: r^(n - 1) times that of a single pair.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.arrays import Array, Placement, read_cells
from ohmweave.base import (
    OutOfRangeError,
    check_fields,
    check_positive,
    integer,
    non_negative,
    positive,
    shown,
)
from ohmweave.mapping.differential import DifferentialPair
from ohmweave.mapping.weight_mapping import StagedMapping
from ohmweave.programming import Write, WriteReport, WriteStoppedError
from ohmweave.programming.stopped import WriteInterrupted

MANY_CLIPPED = 0.05
"""Fraction of the residuals of a pair that may be clipped without a warning, such as those of stuck cells; ours."""

N_SIGMA = 4.0
"""Standard deviations of a residual that a later pair must hold, in `split_error`; ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualPairs(StagedMapping):
    """The mapping between weights and pairs of which later ones hold the residual of the earlier ones.

    All pairs of a weight are on neighbouring columns, and the currents (the codes of an ADC) are multiplied with the
    gains and added as numbers. A residual beyond what a pair can hold is clipped: for a write within `tolerance`,
    `ratio` must be >= 2 tolerance / (g_high - g_low). A write in which more than `MANY_CLIPPED` of the residuals are
    clipped warns with the ratio that it needs.

    Args:
        pairs: of each weight, the first one included.
        ratio: gain of a pair over that of the pair before it, <= 1.
        g_low: S, the idle conductance; None is the cell's `g_min`.
        g_high: S, the conductance of the largest weight; None is the cell's `g_max`.
        t_settle: s, wait before each residual is measured, which passes for every cell of the array. A relaxation after
            that is not made up for.

    Raises:
        OutOfRangeError: an argument is out of range.

    Source: W. Song et al., Science 383, 903 (2024), where later arrays hold what the earlier ones miss at a smaller
        significance; one ratio for all pairs is ours.
    """

    pairs: Annotated[int, integer(at_least=1, at_most=64)]
    ratio: Annotated[float, positive(at_most=1.0)]
    g_low: Annotated[float, non_negative("S")] | None = None
    g_high: Annotated[float, positive("S")] | None = None
    t_settle: Annotated[float, non_negative("s")] = 0.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        self._pair()

    def _pair(self) -> DifferentialPair:
        """The first pair."""
        return DifferentialPair(g_low=self.g_low, g_high=self.g_high)

    @property
    def gains(self) -> tuple[float, ...]:
        """The gain of each pair, 1 for the first."""
        return tuple(self.ratio**k for k in range(self.pairs))

    @property
    def g_unit(self) -> float | None:
        """None: the scale depends on the weights."""
        return None

    @property
    def row_gain(self) -> tuple[float, ...]:
        """One row line an input."""
        return (1.0,)

    @property
    def col_gain(self) -> tuple[float, ...]:
        """Factors of the column lines of one output: g_pos and g_neg of each pair."""
        return tuple(sign * gain for gain in self.gains for sign in (1.0, -1.0))

    def window(self, array: Array) -> tuple[float, float]:
        """(lowest, highest) target, S."""
        return self._pair().window(array)

    def g_per_w(self, weight: torch.Tensor, array: Array) -> float:
        """S per unit weight: the largest weight has the whole window of the first pair."""
        return self._pair().g_per_w(weight, array)

    def quantise(self, weight: torch.Tensor, array: Array) -> torch.Tensor:
        """The weights that ideal conductances represent, `(..., out, in)`: those themselves."""
        return self._pair().quantise(weight, array)

    def to_conductance(
        self, weight: torch.Tensor, placement: Placement, *, g_per_w: float, array: Array
    ) -> torch.Tensor:
        """Targets `(..., row lines, column lines)` S: the weight in the first pair, all others at `g_low`."""
        low, high = self.window(array)
        w = weight.detach().clamp(-(high - low) / g_per_w, (high - low) / g_per_w).mT
        first = torch.stack([w, -w], dim=-1).clamp_min(0) * g_per_w  # (..., in, out, 2)
        return (low + torch.nn.functional.pad(first, (0, 2 * self.pairs - 2))).flatten(-2)

    def split(self, dg: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Changes of the cells, `(..., row lines, column lines)` S: half of `dg`, `(..., out, in)`, in the first pair.

        The residual pairs stay as they are.
        """
        half = torch.stack([dg.mT, -dg.mT], dim=-1) / 2
        return torch.nn.functional.pad(half, (0, 2 * self.pairs - 2)).flatten(-2)

    def staged(self, write: Write, placement: Placement) -> Write:
        """See `StagedMapping.staged`."""
        return _Residual(mapping=self, write=write, n_out=placement.n_out, named=placement.named)

    @property
    def error_gain(self) -> float:
        """See `StagedMapping.error_gain`: the errors of the two cells of the last pair."""
        return math.sqrt(2.0) * self.gains[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Residual:
    """A write that writes pair after pair, each with what the earlier ones have missed."""

    mapping: ResidualPairs
    write: Write
    n_out: int
    named: str

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write the pairs of `cells`, `(..., column lines)`, whose first pairs have the targets `g_target`, S."""
        lines = (self.n_out, self.mapping.pairs, 2)
        at, first = cells.unflatten(-1, lines), g_target.unflatten(-1, lines)[..., 0, :]
        low, high = self.mapping.window(array)
        wanted = first[..., 0] - first[..., 1]
        reports: list[WriteReport] = []
        for k, gain in enumerate(self.mapping.gains):
            target = first
            if k:
                left = (wanted - self._written(array, at, k)) / gain
                self._warn_of_clipped(left.abs() / (high - low), k)
                target = low + torch.stack([left, -left], dim=-1).clamp(0, high - low)
            with _joined(reports, at):
                reports.append(self.write(array, at[..., k, :], target))
        return _joint(reports, at)

    def _warn_of_clipped(self, left: torch.Tensor, k: int) -> None:
        """Warn if the pair `k` cannot hold many of the residuals `left`, any shape, in units of its window."""
        share = float((left > 1).double().mean())
        if not share > MANY_CLIPPED:
            return
        flat = left.flatten()
        needed = self.mapping.ratio * float(flat.kthvalue(math.ceil((1 - MANY_CLIPPED) * flat.numel())).values)
        remedy = (
            f"`ratio` must be at least {needed:.2g}"
            if needed <= 1
            else "write more closely, no `ratio` <= 1 holds them"
        )
        warnings.warn(
            f"{share:.0%} of the residuals of {self.named} are larger than pair {k + 1} of its `ResidualPairs` can "
            f"hold with `ratio` = {self.mapping.ratio:g}, and are clipped: {remedy}",
            stacklevel=2,
        )

    def _written(self, array: Array, at: torch.Tensor, n: int) -> torch.Tensor:
        """What the first `n` pairs hold, `(..., n_out)` S, by a readout after the wait."""
        if self.mapping.t_settle > 0:
            array.wait(self.mapping.t_settle)
        g = read_cells(array, at[..., :n, :])
        gains = g.new_tensor(self.mapping.gains[:n])
        return ((g[..., 0] - g[..., 1]) * gains).sum(-1)


@contextmanager
def _joined(reports: Sequence[WriteReport], at: torch.Tensor) -> Iterator[None]:
    """A write that stops in this block reports what was done with the earlier pairs as well."""
    try:
        yield
    except (WriteStoppedError, WriteInterrupted) as stopped:
        stopped.report = _joint([*reports, stopped.report], at)
        raise


def _joint(reports: Sequence[WriteReport], at: torch.Tensor) -> WriteReport:
    """One report of all pairs, of the shape of the cells; a pair that was not written has no pulse, and error NaN."""
    n_left = at.shape[-2] - len(reports)

    def joint(name: str, missing: float) -> torch.Tensor:
        parts = [getattr(report, name) for report in reports]
        parts += [torch.full_like(parts[0], missing)] * n_left
        return torch.stack(parts, dim=-2).flatten(-3)

    return WriteReport(
        n_set=joint("n_set", 0),
        n_reset=joint("n_reset", 0),
        n_reads=joint("n_reads", 0),
        converged=joint("converged", 0),
        error=joint("error", math.nan),
    )


def split_error(ratios: Sequence[float], *, sigma: float, window: float, residual: bool = False) -> float:
    """Root mean square error of a weight on several pairs, as a fraction of the largest weight that they hold.

    Pairs that are written independently carry a weight in equal parts of their windows. Their errors add:

        sqrt(2) sigma sqrt(sum r_k^2) / (window sum r_k),

    which is least for equal ratios, 1 / sqrt(n) of that of one pair (by the inequality of Cauchy and Schwarz). Residual
    pairs have the error of the last pair alone, for the largest weight of the first one:

        sqrt(2) sigma r_n / (window r_1).

    Args:
        ratios: gain of each pair, > 0; a common factor makes no difference.
        sigma: S, standard deviation of a cell's conductance around its target after a write, > 0.
        window: S, between the lowest and the highest target, > 0.
        residual: True for `ResidualPairs`.

    Raises:
        OutOfRangeError: an argument is out of range, or a residual pair cannot hold the error of the pair before it,
            with `N_SIGMA` standard deviations.

    Source: ours; errors of cells are independent and do not depend on the conductance.
    """
    sigma, window = check_positive("sigma", sigma, "S"), check_positive("window", window, "S")
    if isinstance(ratios, str) or not isinstance(ratios, Sequence) or not ratios:
        raise OutOfRangeError(f"`ratios` must have the gain of one pair or more, but is {shown(ratios)}")
    gains = [check_positive(f"ratios[{k}]", gain) for k, gain in enumerate(ratios)]
    of_pair = math.sqrt(2.0) * sigma / window
    if not residual:
        return of_pair * math.hypot(*gains) / math.fsum(gains)
    for k in range(1, len(gains)):
        if gains[k] < N_SIGMA * of_pair * gains[k - 1]:
            raise OutOfRangeError(
                f"`ratios[{k}]` must be at least {N_SIGMA * of_pair:.3g} of `ratios[{k - 1}]`, or the pair cannot hold "
                f"{N_SIGMA:g} standard deviations of the error before it, but is {gains[k] / gains[k - 1]:.3g} of it"
            )
    return of_pair * gains[-1] / gains[0]

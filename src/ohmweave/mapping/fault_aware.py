"""Weights on cells of which some do not respond: the other cells of a weight make up for them.

A cell that is stuck at s contributes its gain times s, whatever is written. The free cells of the same weight are given
targets with which the signed sum of all is again that of the weight, as far as the window allows. Of a differential
pair whose g_pos is stuck at s, for example, g_neg = s - w g_per_w, which is exact for weights from (s - g_high) to
(s - g_low), over g_per_w.
"""

from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.arrays import Array, CellMap, Placement
from ohmweave.base import OutOfRangeError, ShapeError, shown
from ohmweave.mapping.weight_mapping import StagedMapping, WeightMapping
from ohmweave.programming import Write, WriteInterrupted, WriteReport, WriteStoppedError


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAware(StagedMapping):
    """A mapping that takes the cells into account that do not respond, as a map of the chip says.

    Cells that are not usable get no pulse, and conduct what the map holds for them. The difference between that and
    their targets is shared equally by the usable cells of the same weight; a cell at an end of the window leaves the
    rest to the others. Of all targets within the window, these have the least error of each weight. Targets that were
    levels of the inner mapping become analogue ones where they make up for a cell.

    Args:
        mapping: of weights to conductances, whose cells are written all at once: not `ResidualPairs`, whose later
            pairs make up for stuck cells of earlier ones.
        cell_map: of the chip.

    Raises:
        TypeError: an argument is of another kind.
        OutOfRangeError: `mapping` is written in stages.

    Valid for: cells that keep the conductance that was measured. Source: ours.
    """

    mapping: WeightMapping
    cell_map: CellMap

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not isinstance(self.mapping, WeightMapping):
            raise TypeError(f"`mapping` must be a WeightMapping, but is {shown(self.mapping)}")
        if not isinstance(self.cell_map, CellMap):
            raise TypeError(f"`cell_map` must be a CellMap, but is {shown(self.cell_map)}")
        if isinstance(self.mapping, StagedMapping):
            raise OutOfRangeError(
                f"`mapping` must be written all at once, as DifferentialPair() is, but is {self.mapping!r}"
            )

    @property
    def row_gain(self) -> tuple[float, ...]:
        """That of the mapping."""
        return self.mapping.row_gain

    @property
    def col_gain(self) -> tuple[float, ...]:
        """That of the mapping."""
        return self.mapping.col_gain

    @property
    def g_unit(self) -> float | None:
        """That of the mapping."""
        return self.mapping.g_unit

    def window(self, array: Array) -> tuple[float, float]:
        """(lowest, highest) target, S, of usable cells."""
        return self.mapping.window(array)

    def g_per_w(self, weight: torch.Tensor, array: Array) -> float:
        """S per unit weight, as without faulty cells."""
        return self.mapping.g_per_w(weight, array)

    def quantise(self, weight: torch.Tensor, array: Array) -> torch.Tensor:
        """The weights that ideal conductances of working cells represent, `(..., out, in)`."""
        return self.mapping.quantise(weight, array)

    def to_conductance(
        self, weight: torch.Tensor, placement: Placement, *, g_per_w: float, array: Array
    ) -> torch.Tensor:
        """Targets `(*chips, row lines, column lines)` S of `weight` `(..., out, in)`.

        Those of cells that are not usable are what they conduct.

        Raises:
            ShapeError: the map is of another chip.
        """
        self._check(array)
        target = self.mapping.to_conductance(weight, placement, g_per_w=g_per_w, array=array)
        held = self._held(placement, target)
        g, gain = placement.by_weight(torch.where(held.isnan(), target, held)), placement.gain(target)
        free = placement.by_weight(held.isnan())
        wanted = placement.signed_matrix(target)
        low, high = self.window(array)
        affected = (~free).any(-1).any(-2)  # (..., n_in, n_out)
        for _ in range(gain.numel()):  # each round, the error becomes 0 or a further cell comes to an end of the window
            error = torch.where(affected, wanted - placement.sum_weights(g), 0.0)[..., :, None, :, None]
            upwards = error * gain > 0
            room = torch.where(upwards, high - g, g - low).clamp_min(0)
            moving = free & (room > 0) & (error != 0)
            share = (gain.abs() * moving).sum(dim=(-3, -1), keepdim=True)
            step = torch.minimum(error.abs() / share.clamp_min(torch.finfo(g.dtype).tiny), room)
            g = g + torch.where(moving, torch.where(upwards, step, -step), 0.0)
        return g.flatten(-2).flatten(-3, -2)

    def split(self, dg: torch.Tensor, placement: Placement) -> torch.Tensor:
        """Changes of the cells, `(*chips, row lines, column lines)` S, for changes `dg`, `(..., out, in)` S.

        Usable cells take over the shares of the others of their weight; a weight without any gets none.
        """
        each = self.mapping.split(dg, placement)
        held = self._held(placement, each)
        free, gain = placement.by_weight(held.isnan()).to(each.dtype), placement.gain(each).abs()
        shared = (gain * free).sum(dim=(-3, -1), keepdim=True)
        more = torch.where(shared > 0, gain.sum() / shared, 0.0) * free
        return each * more.flatten(-2).flatten(-3, -2)

    def staged(self, write: Write, placement: Placement) -> Write:
        """`write`, which leaves out the cells that are not usable; see `StagedMapping.staged`."""
        return _WithoutFaulty(mapping=self, write=write, placement=placement)

    @property
    def error_gain(self) -> float:
        """That of working cells: the standard deviation of a weight's error in S over that of a cell."""
        rows, cols = (torch.tensor(gain, dtype=torch.float64) for gain in (self.row_gain, self.col_gain))
        return float((rows[:, None] * cols).square().sum().sqrt())

    def _check(self, array: Array) -> None:
        shape = (*array.chip_shape, array.n_arrays, array.rows, array.cols)
        if tuple(self.cell_map.state.shape) != shape:
            raise ShapeError(
                f"`cell_map` must be of {shape} cells, as the array, but is of {tuple(self.cell_map.state.shape)}"
            )

    def _held(self, placement: Placement, like: torch.Tensor) -> torch.Tensor:
        """S, `(*chips, row lines, column lines)`: what cells that are not usable conduct; NaN for the others."""
        held: torch.Tensor = self.cell_map.held.flatten(-3)[..., placement.cells]
        return held.to(like.device, like.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithoutFaulty:
    """A write of the usable cells of a matrix."""

    mapping: FaultAware
    write: Write
    placement: Placement

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write `cells`, `(*chips, row lines, column lines)`; those that are left out have no pulse and error NaN."""
        usable = self.mapping._held(self.placement, g_target).isnan().expand(cells.shape)
        try:
            return _everywhere(self.write(array, cells[usable], g_target[usable]), usable)
        except (WriteStoppedError, WriteInterrupted) as stopped:
            stopped.report = _everywhere(stopped.report, usable)
            raise


def _everywhere(report: WriteReport, usable: torch.Tensor) -> WriteReport:
    """A report of the usable cells as one of all."""

    def spread(values: torch.Tensor, missing: Any) -> torch.Tensor:
        whole = torch.full(usable.shape, missing, dtype=values.dtype, device=values.device)
        whole[usable] = values
        return whole

    return WriteReport(
        n_set=spread(report.n_set, 0),
        n_reset=spread(report.n_reset, 0),
        n_reads=spread(report.n_reads, 0),
        converged=spread(report.converged, False),
        error=spread(report.error, torch.nan),
    )

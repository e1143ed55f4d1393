"""Readings of the difference between a single cell and the array, and the law of the array that each of them gives.

A single cell has a slope of 880 uS/V (Fig. 1b). Weights in the array move as if SET left 120 uS/V V - 42 uS. All
readings but the last put one resistance around cells of Fig. 1b: shared by the cells of a line, or one a cell.
What the controller sees is a fast read: 0.2 V on one of 128 rows, all transistors on, all columns at virtual ground.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ohmweave.arrays import Wires
from ohmweave.cells import wang2019
from ohmweave.cells.gate_curve import GateCurve
from ohmweave.cells.wang2019 import (
    DEVICE,
    G_STUCK,
    IN_ARRAY,
    R_SERIES,
    SERIES,
    STUCK,
    V_GATE_MAX,
    V_GATE_MIN,
    V_GATE_START,
)
from ohmweave.circuit import effective_conductance
from ohmweave.mapping import Chip
from ohmweave.papers.wang2019.system import COLS, G_PER_W, ROWS, ConvolutionalNetwork

V_GATES = tuple(round(1.0 + 0.1 * k, 1) for k in range(15))  # V, of Fig. 1b
TURN_ON = 3  # index of 1.3 V in V_GATES: below, the inferred law lies above Fig. 1b itself
FITTED = V_GATES[TURN_ON::2]  # V, where a resistance is fitted: every second voltage, to save solves
SWING = 0.4  # V, up for one cell of a pair and down for the other: how far training moves most of them
R_LOW, R_HIGH = 1e-2, 1e4  # Ohm, where a shared resistance is sought
GOLDEN = (math.sqrt(5) - 1) / 2
IDEAL = Wires(r_row=0.0, r_col=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A reading: what SET leaves, and the resistance between the cells and what a fast read sees.

    Attributes:
        title: for tables.
        gate: conductance after SET.
        wires: from a resistance (Ohm) to those shared by cells; None: ideal.
        in_series: True if the resistance is in series with each cell.
        n_chosen: numbers that were chosen so that the reading agrees with the array.
        chosen_by: from what they were found.
    """

    title: str
    gate: GateCurve = DEVICE
    wires: Callable[[float], Wires] | None = None
    in_series: bool = False
    n_chosen: int = 1
    chosen_by: str = "best fit to the law in use, 1.3-2.4 V"

    def around(self, r: float) -> tuple[Wires, float]:
        """Shared resistances, and the one in series with each cell (Ohm), for a resistance of `r` Ohm."""
        return (IDEAL if self.wires is None else self.wires(r)), (r if self.in_series else 0.0)


READINGS: Mapping[str, Reading] = {
    "device": Reading(title="the single device", n_chosen=0, chosen_by="nothing"),
    "segments": Reading(title="shared: row and column wires", wires=lambda r: Wires(r_row=r, r_col=r)),
    "rows": Reading(title="shared: row wires", wires=lambda r: Wires(r_row=r, r_col=0.0)),
    "columns": Reading(title="shared: column wires", wires=lambda r: Wires(r_row=0.0, r_col=r)),
    "drivers": Reading(title="shared: drivers of the rows", wires=lambda r: replace(IDEAL, r_driver=r)),
    "sense": Reading(title="shared: sense circuits of the columns", wires=lambda r: replace(IDEAL, r_sense=r)),
    "series": Reading(title="one series resistance a cell", in_series=True, chosen_by="150 uS at 1.6 V alone"),
    "series-curve": Reading(
        title="the same, noise as the array shows it", gate=SERIES, chosen_by="150 uS at 1.6 V alone"
    ),
    "in-array": Reading(
        title="the straight line in use",
        gate=IN_ARRAY,
        n_chosen=2,
        chosen_by="the range of the paper's weights, after trials",
    ),
}
"""By name. With "series" the programming noise is that of the cell behind its resistance, which reduces it; with
"series-curve" (`wang2019(gate="series")`) the array shows all of it."""


class FastRead:
    """Fast reads of an array on which the cells of the CNN were set, averaged over those that are not stuck.

    Cells that carry no weight were never set, and do not conduct (ours: the paper does not say).

    Args:
        random: draws which cells are stuck, and which of each pair goes up.
    """

    def __init__(self, random: torch.Generator) -> None:
        board = Chip(wang2019(), rows=ROWS, cols=COLS, seed=0)
        ConvolutionalNetwork(board)
        self.sign = torch.zeros(ROWS * COLS, dtype=torch.float64, device="cpu")
        for place in board.placed.values():
            up = torch.rand(place.n_in, place.n_out, generator=random, device="cpu") < 0.5
            row, col = (self.sign.new_tensor(gain).sign() for gain in (place.row_gain, place.col_gain))
            self.sign[place.cells] = torch.kron(up.double() * 2 - 1, row[:, None] * col)
        self.sign = self.sign.view(ROWS, COLS)
        self.used = self.sign != 0
        self.stuck = (torch.rand(ROWS, COLS, generator=random, device="cpu") < STUCK) & self.used
        self.responds = self.used & ~self.stuck

    def conductance(self, v_gate: torch.Tensor, reading: Reading, r: float) -> torch.Tensor:
        """Conductances (S) by fast reads, from gate voltages (V), both `(..., rows, cols)`.

        All other rows are at 0 V in a fast read, so the result is the effective conductance matrix of the array.
        """
        g = reading.gate.conductance(v_gate.double()).masked_fill(self.stuck, G_STUCK) * self.used
        wires, r_cell = reading.around(r)
        return effective_conductance(g, wires, r_cell=r_cell)

    def levels(self, v_gates: Sequence[float], reading: Reading, r: float) -> list[float]:
        """S: mean of the cells that respond, all cells set at the same gate voltage, one for each of `v_gates` (V)."""
        v_gate = self.sign.new_tensor(v_gates)[:, None, None].expand(-1, ROWS, COLS)
        return [float(g[self.responds].mean()) for g in self.conductance(v_gate, reading, r)]

    def pairs(self, low: float, high: float, reading: Reading, r: float) -> torch.Tensor:
        """S: of each cell that responds, its conductance at `high` V less that at `low` V.

        In each read one cell of each pair is set at `high`, the other at `low`, as weights set them.
        """
        first = low + (high - low) * self.sign.clamp_min(0)
        one_way, other_way = self.conductance(torch.stack([first, high + low - first]), reading, r)
        moved: torch.Tensor = ((one_way - other_way) * self.sign)[self.responds]
        return moved

    def miss(self, v_gates: Sequence[float], reading: Reading, r: float) -> float:
        """S: root mean square distance of the levels from the straight line in use."""
        return distance(v_gates, self.levels(v_gates, reading, r))

    def resistance(self, reading: Reading) -> float:
        """The resistance (Ohm) of the reading; 0 where it has none."""
        if reading.in_series:
            return R_SERIES
        return 0.0 if reading.wires is None else lowest_at(lambda r: self.miss(FITTED, reading, r))


def distance(v_gates: Sequence[float], levels: Sequence[float]) -> float:
    """S: root mean square distance of `levels` (S) at `v_gates` (V) from the straight line in use."""
    wanted = IN_ARRAY.conductance(torch.tensor(v_gates, dtype=torch.float64)).tolist()
    return math.sqrt(math.fsum((g - w) ** 2 for g, w in zip(levels, wanted, strict=True)) / len(wanted))


def slope(v_gates: Sequence[float], levels: Sequence[float]) -> float:
    """S/V: of the straight line through `levels` (S) at `v_gates` (V), by least squares."""
    v_mean = math.fsum(v_gates) / len(v_gates)
    return math.fsum((v - v_mean) * g for v, g in zip(v_gates, levels, strict=True)) / math.fsum(
        (v - v_mean) ** 2 for v in v_gates
    )


def lowest_at(quantity: Callable[[float], float], n_steps: int = 16) -> float:
    """The resistance (Ohm) at which a quantity with one minimum is lowest, by golden section on a log scale."""
    low, high = math.log(R_LOW), math.log(R_HIGH)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = quantity(math.exp(left)), quantity(math.exp(right))
    for _ in range(n_steps):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = quantity(math.exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = quantity(math.exp(right))
    return math.exp((low + high) / 2)


def law_of(read: FastRead, reading: Reading) -> dict[str, float | list[float]]:
    """What the array would show if `reading` were right.

    Returns:
        `r` (Ohm); `curve`, the levels (S) at `V_GATES`; `level` at 1.6 V (S); `miss` and `miss_all`, the distance (S)
        from the line in use from 1.3 V and from 1.0 V on; `slope` (S/V) from 1.3 V on, and `slope_of_fig_1b` over the
        span where the device's 880 uS/V were read off; `pair_slope` (S/V), of cells
        that move by 0.4 V as training moves them; `weight` and `weight_most`, the weight of a pair at the ends of
        the gate's range, mean and largest.
    """
    r = read.resistance(reading)
    curve = read.levels(V_GATES, reading, r)
    apart = read.pairs(V_GATE_START - SWING, V_GATE_START + SWING, reading, r)
    ends = read.pairs(V_GATE_MIN, V_GATE_MAX, reading, r)
    return {
        "r": r,
        "curve": curve,
        "level": curve[V_GATES.index(V_GATE_START)],
        "miss": distance(V_GATES[TURN_ON:], curve[TURN_ON:]),
        "miss_all": distance(V_GATES, curve),
        "slope": slope(V_GATES[TURN_ON:], curve[TURN_ON:]),
        "slope_of_fig_1b": (curve[V_GATES.index(2.2)] - curve[V_GATES.index(1.5)]) / 0.7,
        "pair_slope": float(apart.mean()) / (2 * SWING),
        "weight": float(ends.mean()) / G_PER_W,
        "weight_most": float(ends.max()) / G_PER_W,
    }

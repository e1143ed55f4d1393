"""The cell of Wang et al., Nat. Mach. Intell. 1, 434 (2019): Pt/TaOx/Ta, 1T1R, written by gate voltage."""

from typing import Literal

from ohmweave.base import OutOfRangeError
from ohmweave.cells.cell import Cell
from ohmweave.cells.gate_compliance import GateCompliance
from ohmweave.cells.gate_curve import GateCurve, LinearGate, TabulatedGate
from ohmweave.cells.stuck_cells import StuckCells

V_READ = 0.2  # V. Paper, Table 1.
V_GATE_MIN, V_GATE_START, V_GATE_MAX = 0.5, 1.6, 2.5  # V. Paper, Table 1; the start is the public code's.
NOISE = 10e-6  # S. Paper, text (the public scripts say 8 uS).
STUCK = 0.11  # Paper.
G_STUCK = 10e-6  # S. Fig. 1b shows a flat line at 10-20 uS; 10 uS is the model of Li et al. 2018 for the same chip.
D2D = 25e-6  # S. Width of the weights' core before training, read off the paper's histograms.

IN_ARRAY = LinearGate(slope=120e-6, offset=-42e-6)
"""Conductance after a SET in the array, wires and sneak paths included; inferred (ours) from the range of weights."""

AUTHORS_SIMULATOR = LinearGate(slope=200e-6 / 1.1)
"""The straight line through the origin of the public simulator."""

DEVICE = TabulatedGate(
    v_gate=(1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.1, 2.2, 2.3, 2.4),
    g=tuple(g * 1e-6 for g in (38, 45, 63, 97, 140, 205, 278, 358, 445, 534, 630, 728, 823, 900, 940)),
)
"""One cell measured alone. Fig. 1b, digitised, +-20 uS; the last two points are lower bounds, cut by the axis."""

R_SERIES = 1 / 150e-6 - 1 / 278e-6
"""Ohm, 3.07 kOhm in series with each cell: with it, a cell that the curve of Fig. 1b sets to 278 uS at 1.6 V shows the
150 uS of the law in the array. Ours, from that level alone; the paper names no such resistance."""

SERIES = TabulatedGate(v_gate=DEVICE.v_gate, g=tuple(g / (1 + R_SERIES * g) for g in DEVICE.g))
"""The curve of one cell behind `R_SERIES`: a law in the array with one assumed number instead of two."""

TABLE_1 = LinearGate(slope=1 / 1.5e4)
"""The linear model of the controller: the inverse of Table 1's 1.5e4 V/S."""

GATES: dict[str, GateCurve] = {
    "in-array": IN_ARRAY,
    "authors-simulator": AUTHORS_SIMULATOR,
    "device": DEVICE,
    "series": SERIES,
    "table-1": TABLE_1,
}


def wang2019(
    *,
    gate: Literal["in-array", "authors-simulator", "device", "series", "table-1"] | GateCurve = "in-array",
    noise: float = NOISE,
    noise_on: Literal["all", "written"] = "all",
    stuck: float = STUCK,
    d2d: float = D2D,
) -> Cell:
    """The cell of the in-situ trained array: compliance law, programming noise, and cells that don't respond.

    In the paper, inputs drive the rows of a 128 x 64 array and outputs are sensed on its columns: rows are rows and
    columns are columns here.

    Args:
        gate: conductance after a SET as a function of the gate voltage: a published variant by name, or a curve. The
            curve of the single device must not be combined with the paper's 1.5e4 V/S, which holds in the array.
            "series" is that curve behind `R_SERIES`, as the array shows it; `noise` is then that of the conductance
            behind the resistance. For noise of the cell itself, which the resistance reduces, take "device" on arrays
            with `access=Transistors(r_on=R_SERIES)`. `wang2019/array-law` compares these laws.
        noise: S, programming error of a pulse.
        noise_on: see `GateCompliance`; "all" is the authors' simulator, where every update lists the whole array
            and its programming error reaches all cells of it.
        stuck: fraction of cells stuck at 10 uS.
        d2d: S, spread of the first SET.

    Raises:
        OutOfRangeError: `gate` is unknown, or a number is out of range.
    """
    if isinstance(gate, str):
        if gate not in GATES:
            raise OutOfRangeError(f"`gate` must be one of {', '.join(GATES)}, or a curve, but is {gate!r}")
        gate = GATES[gate]
    law = GateCompliance(gate=gate, v_gate=V_GATE_START, v_gate_max=V_GATE_MAX, noise=noise, noise_on=noise_on, d2d=d2d)
    return Cell(law, faults=StuckCells(fraction=stuck, g_stuck=G_STUCK) if stuck else None)

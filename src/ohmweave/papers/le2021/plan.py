"""Facts of the two chips, with their sources, and the cells fitted to data that hold no outcome of a write.

Outcomes of writes and sweeps of single pulses are public: github.com/akashlevy/RRAM-RADAR-Tuning. The cells here are
fitted to sweeps and to cycling alone; the outcomes are what is predicted.
"""

import itertools
import math

from ohmweave.cells import Cell, GatedStates, TabulatedGate
from ohmweave.experiments import Assumption
from ohmweave.programming import GateLevel, GateWrite

PAPER = (
    "B. Q. Le et al., RADAR: a fast and energy-efficient programming technique for multiple bits-per-cell RRAM arrays, "
    "IEEE Trans. Electron Devices 68, 4397 (2021)"
)
BANDS = ((200e-6, 1e-3), (1 / 6010, 1 / 5770), (1 / 9310, 1 / 8510), (0.0, 1 / 80e3))
"""S: below 5 kOhm, 5.77 to 6.01 kOhm, 8.51 to 9.31 kOhm, above 80 kOhm. Columns 7 and 8 of the outcome files; the
upper end of the first band, 1 mS, is ours."""
N_CELLS = 32768
MAX_PULSES = 200
"""Largest number of pulses in the files of the incremental write."""
MAX_RESETS_FIXED = 10
"""RESETs after which the fixed-voltage write gives up a cell of the lowest level, in its files."""
V_STEP, V_START, V_MAX = 0.1, 2.0, 4.0
"""V: step of the word line in the coarse stage for 2 bits, from the names of the files; start and end of the sweeps."""

_V = (1.9, 1.95, 2.0, 2.04, 2.08, 2.12, 2.16, 2.2, 2.25, 2.3, 2.35, 2.4, 2.5, 2.6, 2.8, 3.0, 3.3, 3.6, 4.0)
_G = {
    1: (15.8, 18, 27.1, 39.1, 52.9, 74.5, 93.7, 108.3, 124.7, 134.3, 145.3, 153, 163.3, 170, 180.3, 188.4, 199.1, 205.6,
        208.4),
    2: (11.7, 17.2, 37, 63.1, 91.1, 115.8, 138, 154.6, 171.3, 184.5, 193, 201.4, 210.3, 213, 213, 213, 213, 213, 213),
}  # fmt: skip
"""uS after a RESET and a SET of 200 ns at each gate voltage: exptdata/sweeps/results/fppv1.csv and fppv2.csv, medians
over 0.05 V, never falling."""
_AT = (44.0, 73.8, 96.5, 119.4, 139.3, 153.4, 165.6, 172.5)
_SCATTER = (0.47, 0.275, 0.18, 0.131, 0.098, 0.081, 0.073, 0.066)
"""Standard deviation of ln g after a SET that aims at _AT uS, half of the distance of the quantiles 0.16 and 0.84:
exptdata/sweeps/data/set-sweep-wl-inner-5-31-20.csv, 50 cells of chip 1, 20 pulses each."""
OWN_SET = 0.5
"""Share of the cell in that variance, same file: about half at every voltage from 2.4 to 2.65 V."""
_RESET = (0.007, 0.789, 1.433, 2.082, 2.939, 3.935, 4.69, 5.59, 6.419, 7.407, 8.38, 9.836, 11.917, 16.626, 27.191,
          95.392, 151.521)  # fmt: skip
OWN_RESET = 0.308
"""uS, quantiles after a RESET, and the share of the cell: `fit_cycling` of ni-rram/100cyc.tsv, every fourth of 65."""

CHIPS = (1, 2)


def gate(chip: int) -> TabulatedGate:
    """Conductance after a SET, by gate voltage, of chip 1 or 2."""
    return TabulatedGate(v_gate=_V, g=tuple(g * 1e-6 for g in _G[chip]))


def cell(chip: int) -> Cell:
    """A cell of chip 1 or 2, fitted to sweeps and cycling."""
    law = GatedStates(
        gate=gate(chip),
        v_gate=V_MAX,
        v_gate_max=V_MAX,
        at=tuple(g * 1e-6 for g in _AT),
        scatter=_SCATTER,
        g_reset=tuple(g * 1e-6 for g in _RESET),
        own_set=OWN_SET,
        own_reset=OWN_RESET,
    )
    return Cell(law)


def targets() -> tuple[float, ...]:
    """A conductance inside each band, S."""
    return (250e-6, *((low + high) / 2 for low, high in BANDS[1:3]), 5e-6)


def _aimed(chip: int, band: tuple[float, float]) -> float:
    """V, at which the gate curve is in the geometric middle of a band, or its end for the highest band."""
    wanted = math.sqrt(band[0] * band[1]) * 1e6
    pairs = list(zip(_V, _G[chip], strict=True))
    for (v0, g0), (v1, g1) in itertools.pairwise(pairs):
        if g0 <= wanted < g1:
            return v0 + (v1 - v0) * (wanted - g0) / (g1 - g0)
    return V_MAX


def incremental() -> GateWrite:
    """The incremental write of all levels."""
    levels = tuple(GateLevel(low=low, high=high, v_gate=None if high < 20e-6 else V_MAX) for low, high in BANDS)
    return GateWrite(levels=levels, v_start=V_START, v_step=V_STEP, v_max=V_MAX, max_pulses=MAX_PULSES)


def fixed(chip: int) -> GateWrite:
    """The write with a fixed gate voltage for each level."""
    levels = tuple(
        GateLevel(low=band[0], high=band[1], v_gate=None if band[1] < 20e-6 else _aimed(chip, band)) for band in BANDS
    )
    return GateWrite(levels=levels, v_max=V_MAX, max_pulses=MAX_PULSES, max_resets=MAX_RESETS_FIXED)


ASSUMPTIONS = (
    Assumption(
        text="incremental write: the word line begins at 2.0 V and grows by 0.1 V; after a cell is above its band it "
        "gets a RESET and begins again. Fixed: the gate voltage at which the chip's own curve is in the middle of the "
        "band, a RESET before every further try",
        source="order of SETs and RESETs in the outcome files; the start is that of the sweeps; the rest is ours",
    ),
    Assumption(
        text="scatter of a SET by conductance from chip 1 for both chips; RESET from another array of the same kind of "
        "test chip (ni-rram, 100 cycles)",
        source="ours: no other data of single pulses are whole",
    ),
    Assumption(text="a quarter of the cells at each level; all after a RESET before", source="outcome files; ours"),
)

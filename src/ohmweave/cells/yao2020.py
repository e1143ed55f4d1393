"""The cell of Yao et al., Nature 577, 641 (2020): TiN/TaOx/HfOx/TiN, 1T1R, window 2-20 uS."""

from typing import Literal

from ohmweave.base import OutOfRangeError
from ohmweave.cells.cell import Cell
from ohmweave.cells.pulse_table import PulseTable
from ohmweave.cells.read_noise import ReadNoise
from ohmweave.cells.relaxation import Relaxation
from ohmweave.cells.stuck_cells import StuckCells

G_MIN = 2e-6  # S. Paper, Fig. 1c: 32 levels from 2 to 20 uS.
G_MAX = 20e-6
V_READ = 0.2  # V. Paper, Methods.
T_PULSE = 50e-9  # s, SET and RESET. Paper, Methods.
SIGMA_WRITTEN = 0.54e-6  # S: 108 nA at 0.2 V. Paper: error of a written cell, independent of its state.
G_FRESH = (20e-6, 24e-6)  # S. Paper: write tests start above 20 uS; how far above is ours.
YIELD = 0.9999  # Paper.
TOLERANCE = 0.5e-6  # S: +-100 nA at 0.2 V, for the eight weight levels. Paper, Extended Data Fig. 8.

# S, mean step and spread of one identical pulse in ten bins of 1.8 uS, from low to high conductance. Same group,
# same window, a later chip (public data of Zhang et al., Science 381, 1205 (2023)): that it is the cell of the
# 2020 paper is an assumption. The tabulated spread over sqrt(2) is the standard deviation before the cut at 1.
_RESET_MEAN = (-0.0386, -0.936, -0.781, -0.957, -1.748, -1.799, -2.765, -3.311, -4.710, -6.259)
_RESET_TABLE = (3.417, 4.664, 3.985, 4.494, 5.326, 5.058, 5.829, 6.134, 7.157, 8.150)
_SET_MEAN = (1.138, 0.874, 0.828, 0.751, 0.606, 0.523, 0.472, 0.376, 0.227, 0.272)
_SET_TABLE = (3.126, 3.205, 3.450, 3.575, 3.859, 3.800, 3.954, 3.775, 3.735, 2.616)


def _micro(values: tuple[float, ...], factor: float = 1.0) -> tuple[float, ...]:
    return tuple(value * factor * 1e-6 for value in values)


def pulse_table() -> PulseTable:
    """The response to identical 50 ns pulses alone: no relaxation, every cell works."""
    return PulseTable(
        g_min=G_MIN,
        g_max=G_MAX,
        set_mean=_micro(_SET_MEAN),
        set_spread=_micro(_SET_TABLE, 0.5**0.5),
        reset_mean=_micro(_RESET_MEAN),
        reset_spread=_micro(_RESET_TABLE, 0.5**0.5),
        g_fresh=G_FRESH,
    )


def yao2020(*, read_noise: float = 0.0, variant: Literal["printed", "tails"] = "printed", drift: bool = False) -> Cell:
    """The cell of the fully hardware memristor CNN.

    In the paper, inputs drive 16 bit lines and outputs are sensed on 128 source lines: an array is 16 rows x 128
    columns here.

    Pulse table, then relaxation after the last pulse, then 0.01 % stuck cells (the printed yield of 99.99 %; that
    their conductances are spread evenly over the window is ours). The relaxation is calibrated so that a cell that
    write-verify leaves evenly spread over its +-0.5 uS band (standard deviation 0.29 uS) ends with the printed error
    of 0.54 uS: sqrt(0.54^2 - 0.29^2) = 0.456 uS. No accuracy was used to choose it.

    Args:
        read_noise: fraction of the reading. The paper prints none; 0.01 is the usual advice for RRAM.
        variant: "printed" is the printed error model alone. "tails" adds what the paper's error maps suggest but
            no number states: 1 % of cells miss by up to several levels after a write (sigma 5 uS, ours).
        drift: add the slow part: 0.10 uS a decade from 1 min on for all cells and 2.8 uS a decade for 2 % tail
            cells (ours, after the paper's statement that tail cells cause the loss within 2 h and that level means
            stay apart for 30 days; the size of neither is printed).

    Raises:
        OutOfRangeError: `read_noise` is negative, or `variant` is unknown.
    """
    if variant not in ("printed", "tails"):
        raise OutOfRangeError(f"`variant` must be 'printed' or 'tails', but is {variant!r}")
    sigma_band = TOLERANCE / 3**0.5
    sigma_fast = (SIGMA_WRITTEN**2 - sigma_band**2) ** 0.5
    retention = [Relaxation(sigma_fast=sigma_fast, sigma_slow=0.10e-6 if drift else 0.0)]
    if variant == "tails":
        retention.append(Relaxation(sigma_fast=5e-6, fraction=0.01))
    if drift:
        retention.append(Relaxation(sigma_slow=2.8e-6, fraction=0.02))
    return Cell(
        pulse_table(),
        retention=tuple(retention),
        faults=StuckCells(fraction=1 - YIELD, g_stuck=(G_MIN, G_MAX)),
        read_noise=ReadNoise(fraction=read_noise) if read_noise else None,
    )

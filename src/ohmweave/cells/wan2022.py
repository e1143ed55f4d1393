"""The cell of NeuRRAM: Wan et al., Nature 608, 504 (2022). HfOx, 1T1R, window 1-40 uS.

The relaxation is IBM's fit to the paper's Extended Data Fig. 3d (public aihwkit, `ReRamWan2022NoiseModel`): a
polynomial of fourth order in g / 40 uS for the standard deviation at 1 s, 1 d and 2 d. The mean does not shift. The
response to one pulse is not printed; that here is ours.
"""

from typing import Literal

from ohmweave.base import OutOfRangeError
from ohmweave.cells.affine_step import AffineStep
from ohmweave.cells.cell import Cell
from ohmweave.cells.level_relaxation import LevelRelaxation
from ohmweave.cells.spread import Spread
from ohmweave.cells.voltage import VoltageDependence

G_MIN, G_MAX = 1e-6, 40e-6
"""S, the window. Paper, Methods."""
AGES = (1.0, 86400.0, 2 * 86400.0)
"""s, ages of the three fits."""
SIGMA = (
    (0.348, 16.030, -43.853, 45.393, -16.815),
    (0.701, 22.086, -50.773, 47.095, -16.458),
    (0.782, 20.274, -43.507, 37.062, -11.934),
)
"""uS, coefficients of (g / 40 uS)^0 to ^4 at each age."""
N_LEVELS = 40

_STEPS = {"fine": (2e-6, 1e-6), "middle": (4e-6, 2e-6), "coarse": (8e-6, 4e-6)}
"""S, mean and standard deviation of a step at the nominal amplitude, from the end of the window it leaves (ours)."""
V_SET, V_RESET, V0 = 1.8, 2.1, 0.2
"""V, nominal amplitudes, and the increase that makes a step e times as large (ours): a write that begins at 1.2 and
1.5 V then moves a cell after a few pulses, and does so well below the 3.3 V at which the authors' writes end."""
D2D = 0.3
"""Spread of the steps between cells (ours)."""


def relaxation() -> LevelRelaxation:
    """The three polynomials as a table over conductance and age; a spread never falls with the age."""
    levels = tuple(G_MIN + (G_MAX - G_MIN) * k / (N_LEVELS - 1) for k in range(N_LEVELS))
    rows = []
    for g in levels:
        row: list[float] = []
        for coefficients in SIGMA:
            sigma = 1e-6 * sum(c * (g / G_MAX) ** k for k, c in enumerate(coefficients))
            row.append(max([sigma, *row]))
        rows.append(tuple(row))
    return LevelRelaxation(g=levels, ages=AGES, shift=((0.0,) * len(AGES),) * N_LEVELS, sigma=tuple(rows))


def wan2022(*, response: Literal["fine", "middle", "coarse"] = "middle") -> Cell:
    """The cell of NeuRRAM: voltage-dependent steps, then relaxation.

    A weight is two cells of one column, on neighbouring rows that are driven with opposite voltages.

    Args:
        response: size of a step at the nominal amplitude, 2, 4 or 8 uS at the end of the window that it leaves and a
            quarter of it at the other, with half of it as its standard deviation. The paper does not print it.

    Raises:
        OutOfRangeError: `response` is another word.
    """
    if not isinstance(response, str) or response not in _STEPS:
        raise OutOfRangeError(f"`response` must be 'fine', 'middle' or 'coarse', but is {response!r}")
    step, sigma = _STEPS[response]
    return Cell(
        AffineStep(
            g_min=G_MIN,
            g_max=G_MAX,
            set_step=(step, step / 4),
            reset_step=(-step / 4, -step),
            sigma=sigma,
            g_fresh=G_MIN,
        ),
        spread=Spread(d2d=D2D),
        voltage=VoltageDependence(v_set=V_SET, v_reset=V_RESET, v0=V0),
        retention=relaxation(),
    )

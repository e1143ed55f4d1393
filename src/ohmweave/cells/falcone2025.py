"""The CMO/HfOx cell of Falcone et al., arXiv:2502.04524 (2025): analogue filamentary ReRAM, window 9 to 88 uS.

The numbers are the authors' fits as IBM's public aihwkit holds them (`ReRamCMONoiseModel`, with the statistics of the
paper): the relaxation after a write has, at the age t in seconds, the mean m = -0.0890 uS ln t and the standard
deviation s = 0.412 uS + 0.0420 uS ln t, both independent of the conductance.
"""

import math
from itertools import pairwise

from ohmweave.cells.affine_step import AffineStep
from ohmweave.cells.cell import Cell
from ohmweave.cells.level_relaxation import LevelRelaxation

G_MIN, G_MAX = 9e-6, 88.2e-6
"""S, the window."""
SHIFT_PER_E = -0.08900206e-6
"""S, mean change of conductance in a factor e of time."""
SIGMA_1S, SIGMA_PER_E = 0.41183342e-6, 0.04201137e-6
"""S, standard deviation of the change 1 s after the write, and its growth in a factor e of time."""
BAND_SHARES = (0.002, 0.02)
"""Half widths of the two acceptance ranges of program-and-verify, of the target."""
T_LAST = 10 * 365.25 * 86400.0
"""s, ten years, to which the authors extrapolate."""


def relaxation() -> LevelRelaxation:
    """The printed laws as a table over the age, from 1 s to 10 years.

    Before 1 s, where the laws have no numbers, spread and mean grow from 0 with log(1 + t / 1 s) (ours).
    """
    decades = (1.0, *(10.0**k for k in range(1, 9)), T_LAST)
    shift = tuple(SHIFT_PER_E * math.log(age) for age in decades)
    sigma = tuple(SIGMA_1S + SIGMA_PER_E * math.log(age) for age in decades)
    assert all(b > a for a, b in pairwise(sigma))
    return LevelRelaxation(g=(G_MIN,), ages=decades, shift=(shift,), sigma=(sigma,))


def falcone2025() -> Cell:
    """The CMO/HfOx cell: steps of either polarity, then relaxation. No read noise, which the authors give elsewhere.

    The sources give no geometry of arrays: as everywhere here, inputs are rows and outputs are columns.

    The pulse response of a write is ours: normal steps of 0.5 uS with a spread of 0.5 uS either way, fine enough for
    program-and-verify to reach every target. It decides the number of pulses, on which nothing here is judged, and not
    the error of a written cell, which the band of the verify decides.
    """
    step = 0.5e-6
    switching = AffineStep(
        g_min=G_MIN, g_max=G_MAX, set_step=(step, step), reset_step=(-step, -step), sigma=step, g_fresh=G_MIN
    )
    return Cell(switching, retention=relaxation())

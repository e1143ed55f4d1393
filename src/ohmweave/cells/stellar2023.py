"""The cells of Zhang et al., Science 381, 1205 (2023) (STELLAR): window 2-20 uS in ten bins of 1.8 uS.

Facts of the authors' public code: mean steps by bin for five levels of non-linearity and nine combinations of SET
and RESET size, and the measured cycle-to-cycle noise, about ten times the mean step. Fresh cells are in the
middle of the window, as in that code.
"""

from ohmweave.base import OutOfRangeError, check_non_negative
from ohmweave.cells.cell import Cell
from ohmweave.cells.pulse_table import PulseTable

G_MIN = 2e-6  # S.
G_MAX = 20e-6
N_BINS = 10
LINEAR_STEP = 49.59e-9  # S, level 1: 363 pulses across the window.

# nS, mean SET step by bin from low to high g. RESET runs the mirror image, from high to low, except for level 2, whose
# RESET table is printed on its own.
_SET = {
    1: (49.59,) * N_BINS,
    2: (114, 87.4, 82.8, 75.1, 60.6, 52.3, 47.1, 37.6, 25, 30),
    3: (300, 200, 150, 120, 90, 80, 50, 40, 22, 15),
    4: (400, 300, 250, 170, 140, 120, 80, 50, 20, 11),
    5: (550, 450, 400, 350, 280, 200, 100, 50, 22, 9),
}
_RESET_2 = (-30, -25, -37.6, -47.1, -52.3, -60.6, -75.1, -82.8, -87.4, -114)
_ASYMMETRY = tuple((up, down) for up in (60, 45, 36) for down in (-60, -45, -36))  # nS, all nine combinations.

# uS, tabulated spread; the code divides it by these factors, and then by sqrt(2).
_RESET_NOISE = (3.417, 4.664, 3.985, 4.494, 5.326, 5.058, 5.829, 6.134, 7.157, 8.150)
_SET_NOISE = (3.126, 3.205, 3.450, 3.575, 3.859, 3.800, 3.954, 3.775, 3.735, 2.616)
_RESET_DIVISOR, _SET_DIVISOR = 9.0, 5.94


def stellar2023(*, level: int = 1, linear_asymmetry: int | None = None, noise: float = 0.0) -> Cell:
    """The cell of the STELLAR chip, by non-linearity or by the asymmetry of linear steps.

    The authors' code gives no geometry of arrays: as everywhere here, inputs are rows and outputs are columns.

    Args:
        level: of non-linearity, 1 (linear) to 5 (worst).
        linear_asymmetry: None, or a linear cell whose SET and RESET differ, combination 1 to 9: SET 60, 45, 36 nS,
            RESET likewise within each. The order of the nine is ours: the source names the values and that all
            combinations occur. `level` must then be 1.
        noise: 0 for the mean steps alone, as the released run; 1 for the measured noise c: N(0, c^2 / 2) cut at one
            standard deviation.

    Raises:
        OutOfRangeError: there is no such level or combination, or both are given.
    """
    if level not in _SET:
        raise OutOfRangeError(f"`level` must be from 1 to 5, but is {level!r}")
    if linear_asymmetry is None:
        up = _SET[level]
        down = _RESET_2 if level == 2 else tuple(-step for step in reversed(up))
        return Cell(_table(up, down, noise))
    if linear_asymmetry not in range(1, len(_ASYMMETRY) + 1):
        raise OutOfRangeError(
            f"`linear_asymmetry` must be a combination from 1 to {len(_ASYMMETRY)}, but is {linear_asymmetry!r}"
        )
    if level != 1:
        raise OutOfRangeError(f"`level` must be 1 with a `linear_asymmetry`, but is {level!r}")
    set_step, reset_step = _ASYMMETRY[linear_asymmetry - 1]
    return Cell(_table((set_step,) * N_BINS, (reset_step,) * N_BINS, noise))


def _table(up: tuple[float, ...], down: tuple[float, ...], noise: float) -> PulseTable:
    check_non_negative("noise", noise)
    to_sigma = noise * 1e-6 * 0.5**0.5
    return PulseTable(
        g_min=G_MIN,
        g_max=G_MAX,
        set_mean=tuple(step * 1e-9 for step in up),
        reset_mean=tuple(step * 1e-9 for step in down),
        set_spread=tuple(c / _SET_DIVISOR * to_sigma for c in _SET_NOISE),
        reset_spread=tuple(c / _RESET_DIVISOR * to_sigma for c in _RESET_NOISE),
        g_fresh=((G_MIN + G_MAX) / 2,) * 2,
    )

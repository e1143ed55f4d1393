"""The cells on which rules are compared, and the step of a pulse that the rules are given."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ohmweave.cells import Cell, Spread, aggregate, linear_steps, soft_bounds, stellar2023, wang2019

G_MIN, G_MAX = 2e-6, 20e-6  # S.
MIDDLE = 11e-6  # S, conductance of fresh cells.
LEVELS = 1_000
ASYMMETRY = 0.9
STEP = (G_MAX - G_MIN) / (LEVELS - 1)

_LINEAR = replace(aggregate(linear_steps(g_min=G_MIN, g_max=G_MAX, levels=LEVELS)), g_fresh=MIDDLE)
_SOFT = replace(
    aggregate(soft_bounds(g_min=G_MIN, g_max=G_MAX, levels=LEVELS, asymmetry=ASYMMETRY, c2c=1.0)), g_fresh=MIDDLE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCell:
    """A cell of the comparison.

    Attributes:
        cell: every cell of the chip.
        g_step: S, mean size of a pulse's step in the middle of the conductance window, which rules are given. 0 where a
            gate voltage, not the number of pulses, sets the conductance.
    """

    cell: Cell
    g_step: float


CELLS: Mapping[str, ComparedCell] = {
    "linear": ComparedCell(cell=Cell(_LINEAR), g_step=STEP),
    "varied": ComparedCell(
        cell=Cell(replace(_LINEAR, sigma=STEP), spread=Spread(d2d=0.3, trains="aggregate")), g_step=STEP
    ),
    "soft bounds": ComparedCell(cell=Cell(_SOFT), g_step=(1 - ASYMMETRY / 2) * STEP),
    "stellar level 3": ComparedCell(cell=stellar2023(level=3), g_step=85e-9),
    "wang2019": ComparedCell(cell=wang2019(stuck=0.0), g_step=0.0),
}
"""All but the last have the conductance window 2-20 uS. "varied": each step has a noise as large as the mean step, and
steps differ by 30 % between cells. "soft bounds" has the same noise of a step."""

"""How well simulated trains of a fitted cell agree with the measured ones.

Cells of the fitted law get the measured pulses, from the measured first readings, and are read with the fitted noise.
At each pulse the median over the cells (and the quartiles, of four cells or more) is compared with that of the
simulated cells. Simulated benches of as many cells show how far medians of the law itself scatter. A law that misses
the form of the steps takes the misses for scatter, and then its benches scatter as much as the data are off; so the
residuals of steps that follow one another are compared too, which are independent if the law is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ohmweave.base import generator
from ohmweave.cells import Cell, Pulse
from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.trains import Floats, Ints, PulseTrains
from ohmweave.fitting.usable import Usable

DESCRIBES = 0.06
"""Ours: up to this difference of the medians, as a fraction of the window, a law describes the data; beyond, it does if
the medians of 1 of 20 simulated benches are as far off and the residuals of neighbouring steps are not alike."""
ALIKE = 0.15
"""Ours: correlation of the residuals of neighbouring steps from which they are alike, if it is also three standard
errors from 0."""
_BENCHES = 40
"""Simulated benches."""
_LONGEST, _KINDS, _CELLS = 1000, 6, 25
"""Readings of a train, different sequences of pulses, and cells of a sequence that are compared, at most."""
_QUARTILES = (0.25, 0.5, 0.75)
_SHARE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The largest difference between measured and simulated trains, as fractions of the window.

    Attributes:
        median: of the medians over cells, at the pulse where it is largest.
        quartiles: the same of the lower and the upper quartile; None with fewer than four cells.
        expected: 19 of 20 simulated benches of the law are nearer to the law than this in their medians.
        correlation: of the residuals of steps that follow one another.
        describes: False where the medians differ by more than `DESCRIBES` and either by more than expected or with
            residuals that are alike.
    """

    median: float
    quartiles: float | None
    expected: float
    correlation: float
    describes: bool

    @property
    def advice(self) -> str:
        """What to do next where no law describes the data; empty where one does."""
        if self.describes:
            return ""
        alike = (
            "steps that follow each other err alike, so they depend on something besides the present conductance: the "
            "number of the pulse, the time between pulses, heating, or the cycle; fit early and late cycles apart"
            if self.correlation > ALIKE
            else "the scatter of the steps does not explain the difference, so the mean steps have another form"
        )
        return (
            f"what to do: look at the figure to see where the trains part from the law. Here {alike}. Give --g-min and "
            "--g-max if you know the window, and check the polarity column and the order of the lines. The cell file "
            f"holds the nearest law: use it for steps and spreads, not for trains that must be right within "
            f"{self.median:.0%} of the window"
        )

    def __str__(self) -> str:
        """One sentence for a report."""
        said = f"simulated trains of this law differ from yours by up to {self.median:.1%} of the window in median"
        if self.quartiles is not None:
            said += f", by {self.quartiles:.1%} in quartiles"
        said += f"; benches of the law itself scatter by {self.expected:.1%}"
        if self.correlation > ALIKE:
            said += f"; residuals of neighbouring steps are alike (correlation {self.correlation:.2f})"
        return said if self.describes else f"no law here describes these data: {said}"


def agreement(trains: PulseTrains, used: Usable, law: FittedLaw) -> Agreement:
    """Compare a fitted cell with the trains that it was fitted to.

    Args:
        trains: the data.
        used: the working cells and the window.
        law: the fitted law; faults of its cell are ignored.
    """
    cell = replace(law.cell, faults=None)
    window = used.g_max - used.g_min
    medians, quartiles, expected = [], [], np.zeros(_BENCHES)
    for at in _alike(trains, used.working):
        measured = trains.g[at]
        simulated = _simulated(cell, trains, at)  # (readings, benches, cells)
        low, middle, high = np.quantile(simulated.reshape(len(measured), -1), _QUARTILES, axis=1)
        seen = np.quantile(measured, _QUARTILES, axis=1)
        medians.append(float(np.abs(seen[1] - middle).max() / window))
        if measured.shape[1] >= 4:
            quartiles.append(float(max(np.abs(seen[0] - low).max(), np.abs(seen[2] - high).max()) / window))
        of_benches = np.abs(np.median(simulated, axis=2) - middle[:, None]).max(axis=0) / window
        expected = np.maximum(expected, of_benches)
    median, limit = max(medians), float(np.quantile(expected, _SHARE))
    correlation, n = neighbours(law.z, used)
    alike = correlation > max(ALIKE, 3 / max(n, 1) ** 0.5)
    return Agreement(
        median=median,
        quartiles=max(quartiles) if quartiles else None,
        expected=limit,
        correlation=correlation,
        describes=median <= DESCRIBES or (median <= limit and not alike),
    )


def neighbours(z: Floats, used: Usable) -> tuple[float, int]:
    """Correlation of the residuals `z`, `(steps,)`, of neighbouring steps of one polarity, and the number of pairs."""
    steps = used.steps
    after = np.flatnonzero((np.diff(steps.at) == 1) & (np.diff(steps.polarity) == 0)) + 1
    pairs = np.stack([z[after - 1], z[after]])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    n = pairs.shape[1]
    return (float(np.mean(pairs[0] * pairs[1]) / np.mean(pairs**2)) if n > 1 else 0.0), n


def _alike(trains: PulseTrains, working: Ints) -> list[Ints]:
    """Readings, `(readings, cells)`, of the cells that got the same pulses; the largest groups first."""
    groups: dict[bytes, list[Ints]] = {}
    for index in working.tolist():
        at = np.flatnonzero(trains.cell == index)[:_LONGEST]
        gaps = np.diff(trains.pulse[at], prepend=trains.pulse[at[0]])
        key = np.stack([trains.polarity[at], gaps])[:, 1:].tobytes()
        groups.setdefault(key, []).append(at)
    largest = sorted(groups.values(), key=len, reverse=True)[:_KINDS]
    return [np.stack(group[:_CELLS], axis=1) for group in largest]


def _simulated(cell: Cell, trains: PulseTrains, at: Ints) -> Floats:
    """Readings of simulated cells, `(readings, benches, cells)`, S. After a gap they go on from the measured value."""
    chance = generator(0, "goodness")
    shape: Sequence[int] = (_BENCHES, at.shape[1])
    state = cell.init_state(shape, generator=chance, dtype=torch.float64)
    gaps = np.diff(trains.pulse[at[:, 0]], prepend=0)
    readings = []
    for t, row in enumerate(at):
        sign = int(trains.polarity[row[0]])
        measured = torch.from_numpy(trains.g[row]).to(chance.device).expand(shape)
        if t == 0 or gaps[t] != 1:
            state = cell.shift_conductance(state, measured - cell.conductance(state))
            readings.append(measured)
            continue
        if sign:
            polarity = torch.full(shape, sign, device=chance.device)
            state = cell.pulse(state, Pulse(polarity), generator=chance)
        g, sigma = cell.conductance(state), cell.read_noise_sigma(state)
        readings.append(g if sigma is None else g + sigma * torch.empty_like(g).normal_(generator=chance))
    result: Floats = torch.stack(readings).cpu().numpy()
    return result

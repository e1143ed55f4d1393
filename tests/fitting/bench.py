"""A bench whose cells are known: what `ohmweave.fitting` must find again."""

from collections.abc import Sequence
from typing import Any

import torch

from ohmweave.base import generator
from ohmweave.cells import Cell, Pulse, SwitchingLaw
from ohmweave.fitting import PulseTrains, trains_of


def measured(
    law: Cell | SwitchingLaw[Any], *, cells: int, pulses: Sequence[int], seed: int, g_start: float
) -> PulseTrains:
    """Send the same pulses to all cells, from the same start, and read after each."""
    chance, cell = generator(seed, "bench"), Cell.of(law)
    state = cell.init_state((cells,), generator=chance, dtype=torch.float64)
    state = cell.shift_conductance(state, g_start - cell.conductance(state))
    readings = [cell.conductance(state)]
    for polarity in pulses:
        state = cell.pulse(state, Pulse(torch.full((cells,), polarity)), generator=chance)
        readings.append(cell.conductance(state))
    return trains_of(torch.stack(readings), torch.tensor(pulses))


def cycles(n: int, up: int, down: int) -> list[int]:
    """SET and RESET trains in turn."""
    return ([1] * up + [-1] * down) * n

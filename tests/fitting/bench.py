"""A bench whose cells are known: what `ohmweave.fitting` must find again."""

from collections.abc import Sequence
from typing import Any

import torch

from ohmweave.base import generator
from ohmweave.cells import Device, Pulse
from ohmweave.fitting import PulseTrains, trains_of


def measured(law: Device[Any], *, cells: int, pulses: Sequence[int], seed: int, g_start: float) -> PulseTrains:
    """Send the same pulses to all cells, from the same start, and read after each."""
    chance = generator(seed, "bench")
    state = law.init_state((cells,), generator=chance, dtype=torch.float64)
    state = law.shift_conductance(state, g_start - law.conductance(state))
    readings = [law.conductance(state)]
    for polarity in pulses:
        state = law.pulse(state, Pulse(torch.full((cells,), polarity)), generator=chance)
        readings.append(law.conductance(state))
    return trains_of(torch.stack(readings), torch.tensor(pulses))


def cycles(n: int, up: int, down: int) -> list[int]:
    """SET and RESET trains in turn."""
    return ([1] * up + [-1] * down) * n

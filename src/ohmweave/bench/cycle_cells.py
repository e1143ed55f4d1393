"""Pulse trains in both directions with a readout after each pulse: what `ohmweave fit` needs of a board."""

import torch

from ohmweave.arrays import Array, count_pulses
from ohmweave.base import check_integer, check_tensor
from ohmweave.cells import RESET, SET, Pulse


def cycle_cells(array: Array, cells: torch.Tensor, *, n_pulses: int = 50, cycles: int = 2) -> torch.Tensor:
    """Move cells up and down by nominal pulses, and read them after each.

    With a log around the array, `save_pulse_trains` makes a table of it that `ohmweave fit` reads. A log of a write
    alone often cannot be fitted: cells that start at their lowest conductance get SET pulses only.

    Args:
        array: any array; put limits and a log around it.
        cells: any shape, int64 addresses, each at most once.
        n_pulses: in each direction; enough to cross the window.
        cycles: number of times up and down.

    Returns:
        `(2 * n_pulses * cycles + 1, *cells.shape)` S: the readouts, the first one before any pulse.

    Raises:
        OutOfRangeError: an argument is out of range; nothing was sent.
    """
    at = check_tensor("cells", cells, dtype=torch.int64).reshape(-1)
    n_cells = (array.n_chips or 1) * array.n_arrays * array.rows * array.cols
    count_pulses(at, Pulse(torch.full_like(at, SET)), n_cells=n_cells)  # refuses before anything is read
    n_pulses = check_integer("n_pulses", n_pulses, at_least=1, at_most=10**6)
    cycles = check_integer("cycles", cycles, at_least=1, at_most=10**6)
    found = [array.readout(at)]
    for _ in range(cycles):
        for sign in (SET, RESET):
            pulse = Pulse(torch.full_like(at, sign))
            for _ in range(n_pulses):
                array.pulse(at, pulse)
                found.append(array.readout(at))
    return torch.stack(found).view(len(found), *cells.shape)

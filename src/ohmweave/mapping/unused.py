"""RESET of the cells that hold no weight: fresh cells conduct as they were made, and load the wires."""

import torch

from ohmweave.arrays import CoupledCells, read_cells
from ohmweave.base import OutOfRangeError, check_integer
from ohmweave.cells import RESET, Pulse
from ohmweave.mapping.chip import Chip

_BURST = 10
_SETTLED = 0.005
"""Fraction of the window: a burst that lowers the mean readout by less has reached the bottom (ours)."""


def reset_unused(chip: Chip, *, max_pulses: int = 200) -> int:
    """RESET all usable cells that hold no matrix, until their mean readout falls no further.

    Fresh cells conduct as they were made. With wires they draw current from every line that they are on, so that a
    study of wires finds their state and not the design. Reset a new chip before networks are deployed on it: nothing is
    placed then, and all cells are at the bottom of their window when the write begins.

    Args:
        chip: simulated or real.
        max_pulses: to each cell, from 10 to 100,000; pulses are sent in bursts of ten with a readout after each.

    Returns:
        The pulses sent to each cell.

    Raises:
        OutOfRangeError: `max_pulses` is out of range, or matrices are placed on an array whose pulses disturb other
            cells.
        TypeError: `chip` is no chip.

    Source: ours. Yao et al., Nature 577, 641 (2020) do not say in which state unused cells are.
    """
    if not isinstance(chip, Chip):
        raise TypeError(f"`chip` must be a Chip, but is {chip!r}")
    check_integer("max_pulses", max_pulses, at_least=_BURST, at_most=100_000)
    array = chip.array
    if chip.placed and isinstance(array, CoupledCells) and array.pulses_couple:
        raise OutOfRangeError(
            "`chip` must be without matrices where pulses disturb other cells: reset it before networks are deployed"
        )
    cells = _unused(chip)
    if not cells.numel():
        return 0
    before = float(read_cells(array, cells).double().mean())
    sent = 0
    while sent + _BURST <= max_pulses:
        array.pulse(cells, Pulse(torch.full_like(cells, RESET), n=torch.full_like(cells, _BURST)))
        sent += _BURST
        now = float(read_cells(array, cells).double().mean())
        if before - now < _SETTLED * (array.g_max - array.g_min):
            break
        before = now
    chip.history.all_changed()
    return sent


def _unused(chip: Chip) -> torch.Tensor:
    """Addresses `(k,)` of the usable cells of all chips that hold no matrix."""
    array = chip.array
    free = array.usable.clone().flatten().to(array.device)
    for placement in chip.placed.values():
        free[placement.cells.flatten().to(array.device)] = False
    of_one = free.nonzero()[:, 0]
    n_chips = chip.chip_shape[0] if chip.chip_shape else 1
    first = torch.arange(n_chips, dtype=torch.int64, device=array.device) * chip.n_cells
    return (first[:, None] + of_one).flatten()

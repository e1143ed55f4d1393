"""Programming pulses, elementwise over cells."""

from typing import NamedTuple

import torch

from ohmweave.base import ShapeError

SET = 1
RESET = -1


class Pulse(NamedTuple):
    """A train of identical programming pulses on each of many cells; every field has the shape of the cells.

    Attributes:
        polarity: +1 for SET (raises g), -1 for RESET (lowers g), 0 for no pulse. Any real dtype.
        n: number of pulses, whole and >= 0; None: one.
        v_gate: V, gate voltage of the cell's transistor; None: the nominal value of the law.
        v: V, amplitude across the cell, > 0 for both polarities; None: the nominal value of the law.
        width: s; None: the nominal value of the law.
    """

    polarity: torch.Tensor
    n: torch.Tensor | None = None
    v_gate: torch.Tensor | None = None
    v: torch.Tensor | None = None
    width: torch.Tensor | None = None


def pulse_count(pulse: Pulse) -> torch.Tensor:
    """The number of pulses of each cell, int64, in the shape of the cells: `n`, but 0 where the polarity is 0."""
    if pulse.n is not None and pulse.n.shape != pulse.polarity.shape:
        raise ShapeError(
            f"`pulse.n` must have the shape of `pulse.polarity`, {tuple(pulse.polarity.shape)}, but has "
            f"{tuple(pulse.n.shape)}"
        )
    selected = pulse.polarity != 0
    return selected.long() if pulse.n is None else torch.where(selected, pulse.n.long(), 0)

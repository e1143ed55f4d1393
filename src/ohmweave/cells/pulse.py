"""Programming pulses, elementwise over cells."""

from typing import NamedTuple

import torch

SET = 1
RESET = -1


class Pulse(NamedTuple):
    """One programming event on each of many cells; every field is elementwise over the cells and has their shape.

    Attributes:
        polarity: +1 for SET (raises g), -1 for RESET (lowers g), 0 for no pulse. Any real dtype.
        n: how many identical pulses follow one another; None is one.
        v_gate: V, gate voltage of the cell's transistor; None is the law's own value.
        v: V, amplitude across the cell, > 0 for both polarities; None is the law's own value.
        width: s; None is the law's own value.
    """

    polarity: torch.Tensor
    n: torch.Tensor | None = None
    v_gate: torch.Tensor | None = None
    v: torch.Tensor | None = None
    width: torch.Tensor | None = None


def pulse_count(pulse: Pulse) -> torch.Tensor:
    """How many pulses each cell gets, an int64 tensor of the cells' shape: `n` where the polarity is not zero."""
    selected = pulse.polarity != 0
    return selected.long() if pulse.n is None else torch.where(selected, pulse.n.long(), 0)

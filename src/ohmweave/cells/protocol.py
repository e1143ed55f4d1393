"""What a device law is: pure functions of one cell's state, elementwise over any shape."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch

SET = 1
RESET = -1


class Pulse(NamedTuple):
    """One programming event on each of many cells; every field is elementwise over the cells.

    Attributes:
        polarity: +1 for SET (raises g), -1 for RESET (lowers g), 0 for no pulse. Any real dtype.
        n: how many identical pulses follow one another; None is one.
        v_gate: V, gate voltage of the cell's transistor; None is the law's own standard.
        v: V, amplitude across the cell; None is the law's own standard.
        width: s, of each pulse; None is the law's own standard.
    """

    polarity: torch.Tensor
    n: torch.Tensor | None = None
    v_gate: torch.Tensor | None = None
    v: torch.Tensor | None = None
    width: torch.Tensor | None = None


S = TypeVar("S", bound=tuple[Any, ...])


class Device(Protocol[S]):
    """The law of one cell. State is a named tuple of tensors (nested where laws are wrapped) in SI units."""

    @property
    def g_min(self) -> float:
        """S, the lowest conductance that pulses can reach."""
        ...

    @property
    def g_max(self) -> float:
        """S, the highest conductance that pulses can reach."""
        ...

    def init_state(self, shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> S:
        """A fresh state: as fabricated and formed, before any programming."""
        ...

    def conductance(self, state: S) -> torch.Tensor:
        """S, the low-field conductance right now, without read noise."""
        ...

    def current(self, state: S, v: torch.Tensor) -> torch.Tensor:
        """A, at `v` V across the cell, without read noise."""
        ...

    def read_noise(self, state: S) -> torch.Tensor | None:
        """S, standard deviation of the conductance seen by one read; None where reads are exact."""
        ...

    def pulse(self, state: S, pulse: Pulse, *, generator: torch.Generator) -> S:
        """The state after `pulse`. Cells with polarity 0 keep their state."""
        ...

    def relax(self, state: S, duration: float, *, generator: torch.Generator) -> S:
        """The state `duration` s later, without pulses."""
        ...

    def shift_conductance(self, state: S, dg: torch.Tensor) -> S:
        """The state with its conductance moved by `dg` S: how wrappers that know time act on a law that does not."""
        ...


def pulse_count(pulse: Pulse) -> torch.Tensor:
    """How many pulses each cell gets, as an integer tensor: `n` where the polarity is not zero."""
    selected = pulse.polarity != 0
    return selected.long() if pulse.n is None else torch.where(selected, pulse.n.long(), 0)


def chain(law: Device[Any]) -> list[Any]:
    """A law and all that it wraps, outermost first."""
    found: list[Any] = [law]
    while (inner := getattr(found[-1], "law", None)) is not None:
        found.append(inner)
    return found

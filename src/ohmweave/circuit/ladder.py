r"""One wire with cells along it: a resistor ladder.

The cells sit at the nodes 0, 1, ..., n - 1, counted from the near end. The near end is held at a voltage through
`r_near` and one segment; the far end is open, or (`two_ended`) held at the same voltage through the same
resistances. A current :math:`i_k` drawn at node k lowers the voltage at node j by :math:`R_{jk} i_k` with

.. math::
    R_{jk} = x_{\min(j, k)} \quad\text{(far end open)}, \qquad
    R_{jk} = x_{\min(j, k)} - x_j x_k / R_T \quad\text{(two ends)},

where :math:`x_j = r_{near} + (j + 1)\, r_{segment}` is the resistance between the near end and node j, which both
currents share up to the nearer node, and :math:`R_T` is the resistance from end to end. No source: elementary ladder.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

# Up to this length one dense product with R is faster than the blocked one; beyond, blocks of this many nodes are.
_DENSE_LENGTH = 192
_BLOCK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A wire with `length` cells, all resistances in Ohm and >= 0; see the module's text.

    A two-ended line needs `r_segment` > 0: without it, it is a one-ended line of half the `r_near`.
    """

    length: int
    r_segment: float
    r_near: float
    two_ended: bool = False

    @property
    def r_total(self) -> float:
        """Resistance from end to end of a two-ended line, Ohm."""
        return 2 * self.r_near + (self.length + 1) * self.r_segment

    @property
    def far_conductance(self) -> float:
        """Conductance from the last node to the far end, S; zero if that end is open."""
        return 1 / (self.r_near + self.r_segment) if self.two_ended else 0.0

    def resistance_to_near_end(self, like: torch.Tensor) -> torch.Tensor:
        """`(length,)`, Ohm: x_j of the module's text."""
        return self.r_near + self.r_segment * torch.arange(1, self.length + 1, dtype=like.dtype, device=like.device)

    def resistance_matrix(self, like: torch.Tensor) -> torch.Tensor:
        """`(length, length)`, Ohm: R_jk of the module's text."""
        x = self.resistance_to_near_end(like)
        r = torch.minimum(x[:, None], x)
        return r - x[:, None] * (x / self.r_total) if self.two_ended else r


def padded_length(length: int) -> int:
    """The length that `voltage_drop` wants: long lines are cut into whole blocks."""
    return length if length <= _DENSE_LENGTH else math.ceil(length / _BLOCK) * _BLOCK


def voltage_drop(line: Line, dim: int, like: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The map from cell currents to the voltage drops that they cause along one wire direction.

    Args:
        line: The wire.
        dim: -1 if the line runs along the last dimension of the currents, -2 for the one before.
        like: A tensor whose dtype and device the map works in.

    Returns:
        A function of currents (A), `padded_length(line.length)` long in `dim`, to drops (V) of the same shape.
        The currents behind the real length must be zero.

    Cost: long lines are cut into blocks. Inside one, min(j, k) is a small dense matrix; a block further out acts only
    by its total current, one nearer in only by its moment, so that two short cumulative sums join the blocks.
    """
    n = padded_length(line.length)
    block = n if n <= _DENSE_LENGTH else _BLOCK
    if block == n:
        dense = line.resistance_matrix(like)
        return lambda current: current @ dense if dim == -1 else dense @ current

    if line.r_segment == 0:
        return lambda current: (line.r_near * current.sum(dim, keepdim=True)).expand_as(current)

    along = (1,) * (-1 - dim)  # trailing dimensions of length one, for tensors indexed by the line's nodes
    count = torch.arange(1, block + 1, dtype=like.dtype, device=like.device)
    shared = line.r_segment * torch.minimum(count[:, None], count)
    count = count.view(-1, *along)
    offset = torch.arange(0, n, block, dtype=like.dtype, device=like.device).view(-1, *along)
    near_in_segments = line.r_near / line.r_segment
    steps = torch.arange(1, n + 1, dtype=like.dtype, device=like.device).view(-1, *along)
    from_near = line.r_near + line.r_segment * steps

    def drop(current: torch.Tensor) -> torch.Tensor:
        blocks = current.unflatten(dim, (n // block, block))
        inner = blocks @ shared if dim == -1 else shared @ blocks
        # min(0, k) + 1 = 1 and min(block - 1, k) + 1 = k + 1: the outer lines are r_segment times the block's total
        # and moment.
        total, moment = inner.select(dim, 0), inner.select(dim, -1)
        moment = moment + offset * total
        nearer = moment.cumsum(dim) - moment
        everything = total.sum(dim, keepdim=True)
        further = everything - total.cumsum(dim)
        base = nearer + offset * (total + further) + near_in_segments * everything
        inner += base.unsqueeze(dim)
        inner.addcmul_(further.unsqueeze(dim), count)
        drops: torch.Tensor = inner.flatten(dim - 1, dim)
        if line.two_ended:
            drops = drops - from_near * ((from_near / line.r_total) * current).sum(dim, keepdim=True)
        return drops

    return drop

r"""One wire with cells along it: a resistor ladder.

The cells sit at the nodes 0, 1, ..., n - 1, counted from the near end. The near end is held at a voltage through
`r_near` and one segment; the far end is open, or (`two_ended`) held at the same voltage through the same
resistances. A current :math:`i_k` drawn at node k lowers the voltage at node j by :math:`R_{jk} i_k` with

.. math::
    R_{jk} = x_{\min(j, k)} \quad\text{(far end open)}, \qquad
    R_{jk} = x_{\min(j, k)} - x_j x_k / R_T \quad\text{(two ends)},

where :math:`x_j = r_{near} + (j + 1)\, r_{segment}` is the resistance between the near end and node j, and :math:`R_T`
the resistance from end to end. The currents of nodes j and k share the resistance up to the nearer of the two.
No source: elementary ladder.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

# Up to _DENSE_LENGTH nodes one dense product with R is faster; longer lines are cut into blocks of _BLOCK nodes.
_DENSE_LENGTH = 192
_BLOCK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A wire with cells along it; see the module's text.

    Attributes:
        length: number of cells.
        r_segment: Ohm, >= 0, between neighbouring cells.
        r_near: Ohm, >= 0, from the source to the first segment.
        two_ended: True if the far end is held too. This needs `r_segment` > 0: without segments, a line held at both
            ends is a one-ended line with half the `r_near`.
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
        """`(length,)`, Ohm: x_j of the module's text, with the dtype and device of `like`."""
        return self.r_near + self.r_segment * torch.arange(1, self.length + 1, dtype=like.dtype, device=like.device)

    def resistance_matrix(self, like: torch.Tensor) -> torch.Tensor:
        """`(length, length)`, Ohm: R_jk of the module's text, with the dtype and device of `like`."""
        x = self.resistance_to_near_end(like)
        r = torch.minimum(x[:, None], x)
        return r - x[:, None] * (x / self.r_total) if self.two_ended else r


def padded_length(length: int) -> int:
    """The length to which currents must be padded for `voltage_drop`: whole blocks for long lines."""
    return length if length <= _DENSE_LENGTH else math.ceil(length / _BLOCK) * _BLOCK


def voltage_drop(line: Line, dim: int, like: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The map from cell currents to the voltage drops that they cause along one wire direction: R i.

    Args:
        line: The wire.
        dim: -1 if the line runs along the last dimension of the currents, -2 for the one before.
        like: A tensor with the dtype and device of the currents.

    Returns:
        A function from currents (A), `padded_length(line.length)` long in `dim`, to drops (V) of the same shape.
        The currents beyond `line.length` must be zero.

    Cost: O(length) for long lines, which are cut into blocks. Within a block, min(j, k) is a small dense matrix. At a
    node, a block further out counts with its total current and a block nearer in with its first moment, so the blocks
    are joined by two short cumulative sums.
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
        # min(0, k) + 1 = 1 and min(block - 1, k) + 1 = k + 1: the first and last entry of `inner` are r_segment times
        # the block's total current and first moment.
        total, moment = inner.select(dim, 0), inner.select(dim, -1)
        moment = moment + offset * total  # about the near end of the line, not of the block
        nearer = moment.cumsum(dim) - moment
        everything = total.sum(dim, keepdim=True)
        further = everything - total.cumsum(dim)
        base = nearer + offset * (total + further) + near_in_segments * everything
        inner += base.unsqueeze(dim)
        inner.addcmul_(further.unsqueeze(dim), count)
        drops: torch.Tensor = inner.flatten(dim - 1, dim)
        if line.two_ended:
            # The rank-one term x_j x_k / R_T of a line held at both ends.
            drops = drops - from_near * ((from_near / line.r_total) * current).sum(dim, keepdim=True)
        return drops

    return drop

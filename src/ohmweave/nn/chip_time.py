"""Where time, batch and chips are in the tensors of a sequence layer: to `(chips * batch, time, ...)` and back.

Layers on a chip take `(chips * batch, ...)`. Torch's sequence layers take `(time, batch, in)`, `(batch, time, in)` or,
without a batch, `(time, in)`. In a network on several chips the chips are merged with the batch, or, where the input of
the network itself begins with the time, with the time: `(chips * time, batch, in)`.
"""

from dataclasses import dataclass

import torch

from ohmweave.base import ShapeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Order of the dimensions of one call.

    Attributes:
        batch_first: `(batch, time, in)`; False is `(time, batch, in)`.
        batched: False is `(time, in)`.
        n_chips: chips that are merged into the time; None if they are merged into the batch.
    """

    batch_first: bool
    batched: bool
    n_chips: int | None = None

    def sequence(self, x: torch.Tensor, name: str = "x") -> torch.Tensor:
        """`x` as `(chips * batch, time, in)`.

        Raises:
            ShapeError: its number of dimensions, or of numbers in the first one, does not fit.
        """
        if x.dim() != 2 + self.batched:
            raise ShapeError(f"`{name}` must have {2 + self.batched} dimensions, but has {tuple(x.shape)}")
        if self.n_chips is not None:
            if x.shape[0] % self.n_chips:
                raise ShapeError(f"`{name}` must have {self.n_chips} chips * time first, but has {tuple(x.shape)}")
            apart = x.unflatten(0, (self.n_chips, x.shape[0] // self.n_chips))
            merged: torch.Tensor = apart.transpose(1, 2).flatten(0, 1) if self.batched else apart
            return merged
        if not self.batched:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)

    def sequence_back(self, y: torch.Tensor) -> torch.Tensor:
        """Inverse of `sequence`."""
        if self.n_chips is not None:
            if not self.batched:
                return y.flatten(0, 1)
            back: torch.Tensor = y.unflatten(0, (self.n_chips, y.shape[0] // self.n_chips))
            return back.transpose(1, 2).flatten(0, 1)
        if not self.batched:
            return y.squeeze(0)
        return y if self.batch_first else y.transpose(0, 1)

    def state(self, h: torch.Tensor, n_layers: int) -> torch.Tensor:
        """A recurrent state as `(layers, chips * batch, hidden)`.

        Args:
            h: `(layers, batch, hidden)`, without the batch dimension if there is none; with chips merged into the time
                the same for all chips, or `(chips * layers, batch, hidden)`.
            n_layers: layers times directions.

        Raises:
            ShapeError: `h` has another shape.
        """
        h = h if self.batched else h.unsqueeze(1)
        n = self.n_chips
        if h.dim() != 3 or h.shape[0] not in (n_layers, (n or 1) * n_layers):
            raise ShapeError(f"the state must have {n_layers} layers as its first dimension, but has {tuple(h.shape)}")
        if n is None:
            return h
        per_chip = h.expand(n, *h.shape) if h.shape[0] == n_layers else h.unflatten(0, (n, n_layers))
        return per_chip.transpose(0, 1).flatten(1, 2)

    def state_back(self, h: torch.Tensor) -> torch.Tensor:
        """Inverse of `state`; with chips merged into the time the result is `(chips * layers, batch, hidden)`."""
        if self.n_chips is not None:
            h = h.unflatten(1, (self.n_chips, h.shape[1] // self.n_chips)).transpose(0, 1).flatten(0, 1)
        return h if self.batched else h.squeeze(1)

"""Forward, backward and numbers of pulses of a batch, in two ways: compiled whole, or with torch's own operations."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base import OutOfRangeError
from ohmweave.nn import ArrayWeight
from ohmweave.optim.compiled_network import learn
from ohmweave.optim.counted import CountLaw
from ohmweave.optim.feed_forward import NotCompiledError, chain_of, mean_of
from ohmweave.optim.planned_cells import PlannedCells


class Laws:
    """The laws of all layers as compiled loops take them; floating-point numbers have the dtype of the cells.

    Args:
        laws: of the layers.
        number: the dtype's type.
    """

    def __init__(self, laws: list[CountLaw], number: Any) -> None:
        self.laws = laws
        self.kinds = np.array([law.kind for law in laws], np.int64)
        self.per_grad = np.array([law.per_grad for law in laws], number)
        self.limits = np.array([law.limit for law in laws], np.int64)
        self.least = np.array([law.least for law in laws], number)
        memories = [law.memory.reshape(-1) for law in laws if law.memory is not None]
        self.memory: NDArray[Any] = torch.cat(memories).numpy() if memories else np.empty(0, number)
        self.clipped = np.array([bool(memories)] * len(laws))  # looked at once, whatever is in there
        self.is_random = any(law.is_random for law in laws)

    def restore(self) -> None:
        """Write the memories back to the rule."""
        first = 0
        for law in self.laws:
            if law.memory is not None:
                part = self.memory[first : first + law.memory.numel()]
                law.memory.copy_(torch.from_numpy(part).view(law.memory.shape))
                first += law.memory.numel()


class Pass(ABC):
    """Forward, backward and numbers of pulses of a batch.

    Attributes:
        weights: of the layers on the chip, in the order of the layers.
        out_first: as in `PlannedCells`.
        reads_out: `(layers,)`, True if the backward pass needs the weight, which is read out again if it is stale.
    """

    weights: list[ArrayWeight]
    out_first: bool
    reads_out: NDArray[np.bool_]

    @abstractmethod
    def place(self, cells: PlannedCells, targets: list[int], owns: list[int]) -> None:
        """Say where the weights are among those of `cells`, once, before `run`.

        Args:
            cells: of the layers' matrices, and others of the rule.
            targets: the number of the matrix that gets the pulses of each layer.
            owns: the number of each layer's own matrix.
        """

    @abstractmethod
    def run(
        self, x: torch.Tensor, labels: torch.Tensor, cells: PlannedCells, laws: Laws, keys: NDArray[np.uint64]
    ) -> float | None:
        """Count the pulses of a batch into `cells`, and its reads and readouts.

        Args:
            x: `(batch, ...)`.
            labels: `(batch,)`.
            cells: as in `place`.
            laws: of the layers.
            keys: of random numbers, `(layers,)`.

        Returns:
            The loss; None if the step must be left to the loop. Nothing but `cells` and `laws.clipped` is changed then.
        """


class ChainPass(Pass):
    """One compiled call, for a chain of linear layers; see `compiled_network`.

    Args:
        net: as in `train_epoch`, likewise the others.
        x: see `net`.
        labels: see `net`.
        loss: see `net`.

    Raises:
        NotCompiledError: the network, the loss or the samples are of another kind.
    """

    def __init__(self, net: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor, loss: Any) -> None:
        chain = chain_of(net)
        self._mean, self.weights, self.out_first = mean_of(loss), chain.weights, False
        n_in, n_out = chain.n_in, chain.n_out
        if x.shape[1:].numel() != n_in or (x.dim() != 2 and not chain.flattens):
            raise NotCompiledError(f"`x` must have {n_in} numbers a sample")
        if int(labels.max()) >= n_out:
            raise OutOfRangeError(f"`labels` must be from 0 to {n_out - 1}, but are up to {int(labels.max())}")
        self._sizes = chain.sizes
        # The first layer and those with a transposed read need no readout.
        self.reads_out = (np.arange(len(chain.sizes)) > 0) & (chain.sizes[:, 5] == 0)

    def place(self, cells: PlannedCells, targets: list[int], owns: list[int]) -> None:
        """As in `Pass`."""
        sizes, places = self._sizes, cells.places
        sizes[:, 2], sizes[:, 9] = places[owns, 2], places[targets, 2]
        sizes[:, 7], sizes[:, 8] = owns, targets
        self._owns = owns

    def run(
        self, x: torch.Tensor, labels: torch.Tensor, cells: PlannedCells, laws: Laws, keys: NDArray[np.uint64]
    ) -> float | None:
        """As in `Pass`."""
        loss = learn(
            np.ascontiguousarray(x.reshape(len(x), -1).numpy()),
            labels.numpy(),
            self._mean,
            self._sizes,
            cells.signed,
            cells.g_per_w[self._owns],
            laws.kinds,
            laws.per_grad,
            laws.limits,
            laws.least,
            keys,
            laws.memory,
            laws.clipped,
            cells.index,
            cells.count,
            cells.n_found,
            cells.stale,
            cells.books,
        )
        return None if cells.n_found[0] < 0 else float(loss)

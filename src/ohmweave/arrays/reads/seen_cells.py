"""The cells as reads see them: effective conductances behind wires, signed matrices, and the noise of both."""

import torch

from ohmweave.arrays.bank import CellBank, PlacementCache
from ohmweave.arrays.placement import Placement
from ohmweave.arrays.reads.shared_noise import SharedNoise
from ohmweave.arrays.reads.signed_matrix import SignedMatrix
from ohmweave.arrays.writes.wiring import Wiring


class SeenCells:
    """What reads of linear cells multiply voltages with, kept for each placement until cells change.

    Args:
        bank: the cells.
        wiring: wires around the cells, or None.
    """

    def __init__(self, bank: CellBank, wiring: Wiring | None) -> None:
        self._bank, self._wiring = bank, wiring
        self._shared: tuple[PlacementCache[SharedNoise], ...] = (PlacementCache(), PlacementCache())  # transposed last
        self._signed: PlacementCache[SignedMatrix] = PlacementCache()

    @property
    def share(self) -> bool:
        """True if noisy cells share a resistance, so that the noise of one depends on the currents of others."""
        return self._wiring is not None and self._wiring.shared and self._bank.cell.read_noise is not None

    def at(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Effective conductance of `cells`, any shape, S, and its standard deviation, S, or None.

        Behind shared resistances, the standard deviation is that of a read with one row driven at a time.
        """
        g, sigma = self._bank.conductance_at(cells)
        if self._wiring is None:
            return g, sigma
        if sigma is not None:
            shared = self._wiring.shared
            sigma = self._wiring.effective_noise(cells) if shared else self._wiring.alone_noise(cells, g, sigma)
        return self.effective(cells)[0], None if sigma is None else sigma.to(g.dtype)

    def effective(self, cells: torch.Tensor) -> tuple[torch.Tensor, None]:
        """As `at`, with None for the standard deviation."""
        g = self._bank.conductance_of(cells) if self._wiring is None else self._wiring.effective(cells)
        return g.to(self._bank.dtype), None

    def alone(
        self, cells: torch.Tensor, g: torch.Tensor, sigma: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `at`, of each of the `cells`, `(k,)`, selected alone: its `g` and `sigma`, S, in series with its path."""
        if self._wiring is None:
            return g, sigma
        return self._wiring.alone(cells, g), None if sigma is None else self._wiring.alone_noise(cells, g, sigma)

    def signed_matrix(self, placement: Placement) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The signed matrix of a read, `(*chips, n_in, n_out)` S, and the variance of its noise, S^2, or None.

        Behind shared resistances, the variance is that with one input driven at a time.
        """
        g, variance = self.unshared(placement)
        if (shared := self.shared_noise(placement)) is not None:
            variance = shared.diagonal.view(g.shape)
        return g, variance

    def unshared(self, placement: Placement) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `signed_matrix`, without the variance where cells share resistances."""
        at = self.effective if self.share else self.at
        return self.kept(placement).at(self._bank.version, placement, at, self._changed_since, self._plain)

    def kept(self, placement: Placement) -> SignedMatrix:
        """The signed matrix with what is kept of it."""
        return self._signed.get(placement, (), lambda: SignedMatrix(self._bank.cells(placement)))

    def shared_noise(self, placement: Placement, transposed: bool = False) -> SharedNoise | None:
        """The noise of a placement's reads behind shared resistances; None without them, and for exact reads."""
        wiring = self._wiring
        if wiring is None or not self.share:
            return None
        return self._shared[transposed].get(
            placement,
            (self._bank.version,),
            lambda: SharedNoise(self._bank, wiring, placement, transposed=transposed),
        )

    @property
    def _plain(self) -> torch.Tensor | None:
        """Conductances of all cells on a CPU, if exact reads see these; see `SignedMatrix`."""
        cell = self._bank.cell
        if self._wiring is not None or cell.faults is not None or cell.read_noise is not None:
            return None
        g: torch.Tensor = self._bank.state.switching.g
        return g if g.device.type == "cpu" else None

    def _changed_since(self, version: int, reach: tuple[int, int]) -> torch.Tensor | None:
        """As `CellBank.changed_since`; None with wires, where a cell changes the effective conductance of others."""
        return self._bank.changed_since(version, reach=reach) if self._wiring is None else None

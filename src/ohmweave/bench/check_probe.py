"""The sacrificial cells of a conformance check: measured with their noise, and pulsed within a budget."""

from dataclasses import dataclass, field, replace

import torch

from ohmweave.arrays import Array, Placement
from ohmweave.base import OhmweaveError, generator
from ohmweave.cells import Pulse

REPEATS = 4
"""Readouts that a measurement averages."""


class BudgetError(OhmweaveError):
    """A check needs more pulses than are left."""


@dataclass(slots=True, kw_only=True)
class _Spent:
    """What the probe has used."""

    pulses: int = 0
    sigma: float | None = None


@dataclass(slots=True)
class Probe:
    """Operations on the sacrificial cells.

    Args:
        array: that is checked.
        place: the matrix on its sacrificial cells.
        max_pulses: the budget.
        n_pulses: pulses of a train.
        tolerance: fraction of the largest current.
    """

    array: Array
    place: Placement
    max_pulses: int = field(kw_only=True)
    n_pulses: int = field(kw_only=True)
    tolerance: float = field(kw_only=True)
    durations: dict[str, float] = field(default_factory=dict, kw_only=True)
    spent: _Spent = field(default_factory=_Spent, kw_only=True)

    def at(self, place: Placement) -> "Probe":
        """The same probe with another matrix on the same cells."""
        return replace(self, place=place)

    @property
    def cells(self) -> torch.Tensor:
        """`(*chips, 2, 4)` int64."""
        return self.array.cells(self.place)

    @property
    def n_cells(self) -> int:
        """Cells of all chips."""
        array = self.array
        return (array.n_chips or 1) * array.n_arrays * array.rows * array.cols

    @property
    def n_sent(self) -> int:
        """Pulses so far."""
        return self.spent.pulses

    @property
    def sigma(self) -> float:
        """S, standard deviation of the mean of a measurement, from readouts that are repeated once."""
        if self.spent.sigma is None:
            g = torch.stack([self.array.readout(self.cells).double() for _ in range(2 * REPEATS)])
            self.spent.sigma = float(g.std(dim=0).nan_to_num().max()) / REPEATS**0.5
        return self.spent.sigma

    @property
    def allowed_current(self) -> float:
        """A, that a read may differ from the product with the readouts."""
        v_read = self.array.v_read
        pairs = self.measured().abs().sum(-2).unflatten(-1, (2, 2)).sum(-1)  # whatever their sign
        return float((self.tolerance * float(pairs.max()) + 8 * self.sigma * REPEATS**0.5 * 2) * v_read)

    def volts(self, n: int, n_lines: int | None = None) -> torch.Tensor:
        """`(*chips, n, n_lines)` V within the read voltage, > 0 and all different; two lines without a number."""
        array, lines = self.array, 2 if n_lines is None else n_lines
        x = torch.rand(
            (*array.chip_shape, n, lines), generator=generator(0, "check"), dtype=torch.float64, device="cpu"
        )
        return ((0.25 + 0.75 * x) * array.v_read).to(array.device, array.dtype)

    def measured(self) -> torch.Tensor:
        """`(*chips, 2, 4)` S, means of several readouts."""
        return torch.stack([self.array.readout(self.cells) for _ in range(REPEATS)]).double().mean(0).cpu()

    def neighbours(self) -> torch.Tensor:
        """S, of up to 64 other cells on the same rows and columns of the first chip."""
        array, tile = self.array, self.place.tiles[0]
        own, cols = set(self.place.cells.flatten().tolist()), array.cols
        first = tile.array * array.rows * cols
        on_rows = [first + (tile.row + line) * cols + col for line in range(2) for col in range(cols)]
        on_cols = [first + row * cols + tile.col + col for row in range(array.rows) for col in range(4)]
        usable = array.usable.flatten().tolist()
        at = [cell for cell in dict.fromkeys(on_rows + on_cols) if cell not in own and usable[cell]][:64]
        cells = torch.tensor(at, dtype=torch.int64, device=self.array.device)
        return torch.stack([array.readout(cells) for _ in range(REPEATS)]).double().mean(0) if at else cells.double()

    def budget(self, n: int) -> None:
        """Take `n` pulses from the budget.

        Raises:
            BudgetError: fewer are left; nothing is taken.
        """
        if self.spent.pulses + n > self.max_pulses:
            raise BudgetError(f"it needs {n} pulses, but only {self.max_pulses - self.spent.pulses} are left")
        self.spent.pulses += n

    def send(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Send pulses from the budget."""
        n = torch.ones_like(cells) if pulse.n is None else pulse.n
        self.budget(int((n * (pulse.polarity != 0)).sum()))
        self.array.pulse(cells, pulse)

    def train(self, sign: int, n: int) -> None:
        """Send `n` pulses to each cell."""
        at = self.cells.reshape(-1)
        self.send(at, Pulse(torch.full_like(at, sign), n=torch.full_like(at, n)))

    def spread_out(self) -> None:
        """RESET all cells, then SET each another number of times: lines that are taken for each other then show."""
        at = self.cells.reshape(-1)
        self.train(-1, self.n_pulses)
        # The differences of columns are 5 and -2, then 3 and 7: no two lines or outputs can be exchanged unseen.
        n = torch.tensor([6, 1, 2, 4, 5, 2, 7, 0], device=at.device).repeat(len(at) // 8) * self.n_pulses // 4
        self.send(at, Pulse(torch.ones_like(at), n=n))

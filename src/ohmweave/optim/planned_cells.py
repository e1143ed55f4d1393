"""The cells of some matrices of one array, by weight, for compiled steps. Needs Numba (`ohmweave[fast]`).

The plan is made once. A step then counts pulses by weight, draws their noise with the array's own generator, and sends
them in one compiled pass, which keeps the signed weights up to date. The cells are those of the array itself; signed
weights and counts are copies, which `pause` writes to the books and to the history of the chip.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays import CompiledCells
from ohmweave.arrays.table_pulses import StepTables
from ohmweave.cells.stuck_cells import StuckCells
from ohmweave.mapping import Matrix
from ohmweave.optim.compiled_send import numbers, send, transfer
from ohmweave.optim.counted import Transfer
from ohmweave.optim.feed_forward import NotCompiledError

Numbers = NDArray[Any]


class PlannedCells:
    """The cells of some matrices of one array, by weight.

    Args:
        matrices: on one chip, with one mapping.
        out_first: True to keep weights in the order (chips, out, in) and in their own units, False in the order
            (chips, in, out) and in S.

    Raises:
        NotCompiledError: the cells have no compiled form; the message says why.

    Attributes:
        places: `(matrices, 4)`: inputs, outputs, the first weight among those of all matrices, tiles.
        index: `(weights,)`, from each matrix's first weight on the numbers of those with pulses in this step.
        count: `(weights,)`, likewise the numbers of pulses, positive where the weight must rise.
        n_found: `(matrices,)`, how many these are.
        signed: `(weights,)`, the present weights; see `out_first`.
        stale: `(matrices,)`, True if pulses were sent since the last readout.
        books: `(4,)`, reads, weights read out, SET and RESET pulses since `resume`.
        sent: `(matrices,)`, True if pulses were sent since `resume`.
    """

    def __init__(self, matrices: Sequence[Matrix], *, out_first: bool) -> None:
        self.matrices, self.out_first = list(matrices), out_first
        self._array = _array_of(self.matrices)
        self._tables = _tables_of(self._array)
        self.n_chips = self._array.bank.n_sets
        self.dtype = self._array.bank.dtype
        self.number: Any = torch.empty(0, dtype=self.dtype, device="cpu").numpy().dtype.type
        placement = self.matrices[0].placement
        self._gains = np.array(placement.row_gain, self.number), np.array(placement.col_gain, self.number)
        self._sides = _sides_of(self.matrices[0])
        self._by_weight = np.concatenate([_cells_by_weight(matrix) for matrix in self.matrices])
        self.places = _places_of(self.matrices, self.n_chips)
        n = len(self.matrices)
        self.index: NDArray[np.int64] = np.empty(len(self._by_weight), np.int64)
        self.count = np.empty_like(self.index)
        self.n_found: NDArray[np.int64] = np.zeros(n, np.int64)
        self._n_numbers = np.zeros_like(self.n_found)
        self.signed: Numbers = np.empty(len(self._by_weight), self.number)
        self.stale: NDArray[np.bool_] = np.zeros(n, np.bool_)
        self.sent, self.books = np.zeros_like(self.stale), np.zeros(4, np.int64)
        self._z = torch.empty(0, dtype=self.dtype, device="cpu")
        self._touch: Numbers = np.zeros(1, self.number)
        self._nothing: Numbers = np.empty(0, self.number)

    def part(self, at: int) -> slice:
        """The weights of matrix `at` among those of all."""
        n_in, n_out, first = self.places[at, :3].tolist()
        return slice(first, first + self.n_chips * n_in * n_out)

    def resume(self) -> None:
        """Take copies of everything that other code may have changed since `pause`."""
        self._per_w = np.array([matrix.g_per_w for matrix in self.matrices], self.number)
        self._w_per_g = 1 / self._per_w if self.out_first else np.ones_like(self._per_w)
        for at, matrix in enumerate(self.matrices):
            signed = self._array.signed_matrix(matrix.placement)  # (*chips, in, out)
            part = self.signed[self.part(at)]
            ordered = signed.mT if self.out_first else signed
            part[:] = ordered.reshape(-1).numpy()
            part *= self._w_per_g[at]
        bank = self._array.bank
        state = bank.state
        self._g: Numbers = state.switching.g.numpy()
        self._factor = self._nothing if state.factor is None else state.factor.numpy()
        self._seen, self._stuck = self._g, np.zeros(0, np.bool_)
        if state.faults is not None:
            self._seen, self._stuck = bank.cell.conductance(state).numpy(), state.faults.stuck.numpy()
        self.books[:], self.sent[:] = 0, False

    @property
    def g_per_w(self) -> Numbers:
        """`(matrices,)`, S per unit weight."""
        return self._per_w

    def send(self, first: int, last: int, only: int | None) -> None:
        """Draw the noise of the pulses that were counted for matrices `first` to `last`, and send them.

        Args:
            first: number of the first matrix.
            last: one after the last one.
            only: SET or RESET; None for both.
        """
        tables, random = self._tables, self._array.bank.pulse_noise
        self.sent[first:last] |= self.n_found[first:last] > 0
        z = self._z[:0]
        if tables.noisy:
            width = self._sides.shape[1] * (2 if only is None else 1)
            numbers(self.places, first, last, width, tables.summed, self.count, self.n_found, self._n_numbers)
            of_each = self._n_numbers[first:last].tolist()
            at, total = 0, sum(of_each)
            if total > len(self._z):
                self._z = torch.empty(2 * total, dtype=self.dtype, device="cpu")
            for n in of_each:  # one call for each matrix, as in `Array.pulse`
                if n:
                    self._z[at : at + n].normal_(generator=random)
                at += n
            z = self._z[: max(total, 1)]
        send(
            self.places,
            first,
            last,
            only or 0,
            self.out_first,
            self.index,
            self.count,
            self.n_found,
            self._by_weight,
            self._sides,
            *self._gains,
            self._g,
            self._seen,
            self._stuck,
            self._factor,
            z.numpy(),
            self._w_per_g,
            self.signed,
            self.stale,
            self.books,
            self._touch,
            *tables.law,
            tables.summed,
        )

    def transfer(self, fast: int, slow: int, what: Transfer) -> None:
        """Read columns of matrix `fast` and send the pulses of what they add up to to matrix `slow`."""
        number = self.number
        self.n_found[slow] = transfer(
            self.places[fast],
            self.places[slow],
            self.n_chips,
            self.out_first,
            self.signed,
            number(1 if self.out_first else 1 / what.matrix.g_per_w),
            what.first,
            what.n_read,
            number(what.lr),
            number(what.step),
            what.limit,
            what.reference.view(-1).numpy(),
            what.filtered.view(-1).numpy(),
            self.index,
            self.count,
        )
        self.books[0] += self.n_chips * what.n_read * self.places[fast, 3]
        self.send(slow, slow + 1, what.polarity)

    def pause(self) -> None:
        """Write the counts to the books, and mark what has changed."""
        n_reads, n_readouts, n_set, n_reset = self.books.tolist()
        chip = self.matrices[0].chip
        chip.history.before_pulses()
        self._array.bank.mark_all_changed()
        chip.array.books.add_totals(
            n_reads=n_reads, n_readouts=n_readouts * self._by_weight.shape[1], n_set=n_set, n_reset=n_reset
        )
        for matrix, sent in zip(self.matrices, self.sent, strict=True):
            if sent:
                chip.history.after_pulses(matrix.name)


def _array_of(matrices: Sequence[Matrix]) -> CompiledCells:
    """The array, if it has nothing but cells that acts on reads and pulses, and all matrices are alike."""
    if len({id(matrix.chip) for matrix in matrices}) > 1:
        raise NotCompiledError("the layers must be on one chip alone")
    gains = {(matrix.placement.row_gain, matrix.placement.col_gain) for matrix in matrices}
    if len(gains) > 1:
        raise NotCompiledError("the layers have different mappings")
    array = matrices[0].chip.array
    if not isinstance(array, CompiledCells) or array.bank.device.type != "cpu":
        raise NotCompiledError("the array is not simulated on the CPU")
    if array.not_compiled:
        raise NotCompiledError(f"the array has {', '.join(array.not_compiled)}")
    if array.books.metered:
        raise NotCompiledError("a bill is open")
    return array


def _tables_of(array: CompiledCells) -> StepTables:
    """The steps of the cells, if nothing but stuck cells acts on them besides."""
    cell = array.bank.cell
    for name, part in (("read_noise", cell.read_noise), ("conduction", cell.conduction)):
        if part is not None:
            raise NotCompiledError(f"the cells have {name}")
    if cell.faults is not None and type(cell.faults) is not StuckCells:
        raise NotCompiledError(f"the cells have {type(cell.faults).__name__}")
    if cell.processes:  # pulses set their ages back
        raise NotCompiledError(f"the cells have {type(cell.processes[0]).__name__}")
    tables = StepTables.of(cell, array.bank.dtype)
    if tables is None:
        raise NotCompiledError(f"the steps of {type(cell.switching).__name__} cells are no tables, or they age")
    return tables


def _places_of(matrices: Sequence[Matrix], n_chips: int) -> NDArray[np.int64]:
    """See `PlannedCells.places`."""
    places, first = np.zeros((len(matrices), 4), np.int64), 0
    for at, matrix in enumerate(matrices):
        n_out, n_in = matrix.shape
        places[at] = n_in, n_out, first, len(matrix.placement.tiles)
        first += n_chips * n_in * n_out
    return places


def _cells_by_weight(matrix: Matrix) -> NDArray[np.int32]:
    """`(chips * out * in, H * C)`: the cells of each weight."""
    by_weight = matrix.placement.by_weight(matrix.cells).movedim(-2, -4)  # (*chips, out, in, H, C)
    cells: NDArray[np.int32] = by_weight.flatten(-2).flatten(0, -2).to(torch.int32).numpy()
    return cells


def _sides_of(matrix: Matrix) -> NDArray[np.int64]:
    """`(2, H * C / 2)`: which of a weight's H * C cells count positively, and which negatively."""
    gain = matrix.placement.gain(torch.empty(0, device="cpu")).flatten()
    sides = [torch.nonzero(part).flatten() for part in (gain > 0, gain < 0)]
    if len(sides[0]) != len(sides[1]):
        raise NotCompiledError("the mapping has not as many positive as negative cells")
    both: NDArray[np.int64] = torch.stack(sides).numpy()
    return both

"""The matrix kept over sparse pulses against the same cells folded anew."""

import pytest
import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close


def noisy_chip(n_chips: int | None) -> Chip:
    law = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=50), read_noise=ReadNoise(floor=1e-7))
    return Chip(law, n_arrays=3, rows=24, cols=20, n_chips=n_chips, seed=3, dtype=torch.float64)


def folded_anew(array: SimulatedArray, matrix: Matrix) -> tuple[torch.Tensor, torch.Tensor]:
    """One weight after the other, from the whole state."""
    array.bank.mark_all_changed()
    g, variance = array._reader.seen.signed_matrix(matrix.placement)
    assert variance is not None
    return g.clone(), variance.clone()


@pytest.mark.parametrize("n_chips", [None, 3])
@pytest.mark.parametrize(
    "mapping", [DifferentialPair(), DifferentialPair(lines="rows"), DifferentialPair(copies=(2, 3))], ids=str
)
def test_sparse_pulses_leave_the_matrix_that_folding_anew_gives(n_chips, mapping):
    chip = noisy_chip(n_chips)
    first = Matrix(chip, "first", (2, 9), mapping=mapping)
    other = Matrix(chip, "other", (1, 3), mapping=mapping)
    chance = generator(5, "pulses")
    for matrix in (first, other):
        matrix.program(torch.randn(matrix.shape, generator=chance, dtype=torch.float64), BlindWrite(g_step=3.7e-7))
    array = chip.array
    for _ in range(6):
        # Cells of both matrices and of neither, with a read after some of the pulses only.
        everywhere = torch.randperm((array.n_chips or 1) * chip.n_cells, generator=chance)[:25]
        cells = torch.cat([everywhere, first.cells.flatten()[:2], other.cells.flatten()[-1:]]).unique()
        polarity = torch.randint(-1, 2, cells.shape, generator=chance)
        array.pulse(cells, Pulse(polarity))
        if float(torch.rand((), generator=chance)) < 0.5:
            array._reader.seen.signed_matrix(first.placement)
    for matrix in (first, other):
        g, variance = (part.clone() for part in array._reader.seen.signed_matrix(matrix.placement))
        g_anew, variance_anew = folded_anew(array, matrix)
        # The sum over copies may be taken in another order: rounding of one sum, nothing that grows with pulses.
        assert_close(g, g_anew, rtol=1e-14, scale=float(g_anew.abs().max()))
        assert_close(variance, variance_anew, rtol=1e-14, scale=float(variance_anew.abs().max()))


def test_a_sparse_pulse_shows_in_the_next_read():
    chip = Chip(LinearStep(g_min=2e-6, g_max=20e-6, levels=10), rows=40, cols=40, dtype=torch.float64)
    matrix = Matrix(chip, "w", (10, 30), mapping=DifferentialPair())
    v = torch.eye(30, dtype=torch.float64) * 0.1
    assert float(chip.array.read(v, matrix.placement).abs().max()) == 0
    chip.array.pulse(matrix.cells[7, 4:6], Pulse(torch.tensor([1, 1]), n=torch.tensor([3, 1])))
    i_col = chip.array.read(v, matrix.placement)
    assert i_col.count_nonzero() == 1
    assert_close(i_col[7, 2], 0.1 * 2 * 18e-6 / 9, rtol=1e-12)  # three steps up on g_pos, one on g_neg


def test_many_pulses_fold_anew():
    chip = noisy_chip(None)
    matrix = Matrix(chip, "w", (3, 5), mapping=DifferentialPair())
    chip.array._reader.seen.signed_matrix(matrix.placement)
    cells = matrix.cells.flatten()
    chip.array.pulse(cells, Pulse(torch.ones(cells.shape)))
    g, _ = chip.array._reader.seen.signed_matrix(matrix.placement)
    assert torch.equal(g, folded_anew(chip.array, matrix)[0])

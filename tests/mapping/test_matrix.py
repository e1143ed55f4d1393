"""A signed matrix on a chip: written, read, read backwards and moved, against dense products and loops."""

from typing import Any

import pytest
import torch

from ohmweave.arrays import DAC
from ohmweave.base import ChipFullError, OutOfRangeError, ShapeError, generator
from ohmweave.cells import Cell, LinearStep, ReadNoise, StuckCells
from ohmweave.cost import ledger
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, InputScaling, Matrix, PerSampleScaling
from ohmweave.programming import BlindWrite, WriteVerify
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
EXACT = BlindWrite(g_step=FINE.g_step)
MAPPINGS = [
    DifferentialPair(),
    DifferentialPair(lines="rows"),
    DifferentialPair(copies=(2, 1)),
    DifferentialPair(lines="rows", copies=(2, 3)),
]


def chip(n_chips: int | None = None, **changes: Any) -> Chip:
    return Chip(FINE, **({"n_arrays": 6, "rows": 11, "cols": 13, "n_chips": n_chips, "dtype": torch.float64} | changes))


def weights(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator(len(shape)))


@pytest.mark.parametrize("mapping", MAPPINGS, ids=str)
@pytest.mark.parametrize("n_chips", [None, 2])
def test_products_both_ways(mapping: DifferentialPair, n_chips: int | None) -> None:
    chips = () if n_chips is None else (n_chips,)
    matrix = Matrix(chip(n_chips), "w", (3, 5), mapping=mapping)
    weight = weights(*chips, 3, 5)
    report = matrix.program(weight, EXACT)
    assert report.converged.all()
    assert report.error.shape == (*chips, *matrix.placement.cells.shape)
    assert_close(matrix.readout(), weight, rtol=1e-6, scale=1.0)
    x, y = weights(*chips, 4, 5), weights(*chips, 4, 3)
    assert_close(matrix.matmul(x), x @ weight.mT, rtol=1e-6, scale=5.0)
    assert_close(matrix.matmul_transposed(y), y @ weight, rtol=1e-6, scale=5.0)
    zero = torch.zeros_like(x)
    assert torch.equal(matrix.matmul(zero), torch.zeros(*chips, 4, 3, dtype=torch.float64))


def test_one_weight_for_all_chips() -> None:
    matrix = Matrix(chip(3), "w", (3, 5), mapping=DifferentialPair())
    matrix.program(weights(3, 5), EXACT)
    assert_close(matrix.readout(), weights(3, 5).expand(3, 3, 5), rtol=1e-6, scale=1.0)


def test_reads_that_cannot_tell_the_scale_are_not_scaled() -> None:
    """Noise included: the same draws, with and without the scale, give the same numbers."""
    noisy = Cell(FINE, read_noise=ReadNoise(fraction=0.05, floor=1e-7))
    x = weights(5, 7)
    x[2] = 0
    results = []
    for make in (PerSampleScaling, _Counted):
        matrix = Matrix(Chip(noisy, rows=20, cols=20, dtype=torch.float64), "w", (3, 7), mapping=DifferentialPair())
        matrix.scaling = make()
        matrix.program(weights(3, 7), EXACT)
        results.append(matrix.matmul(x))
    assert matrix.scaling.n_calls == 1  # type: ignore[attr-defined]
    assert_close(results[0], results[1], rtol=1e-9, scale=1.0)


class _Counted(InputScaling):
    """Says nothing about being proportional, so it is asked."""

    n_calls = 0

    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        self.n_calls += 1
        return PerSampleScaling().to_voltage(x, v_read)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_bill_knows_the_volts_of_numbers(fixed: bool) -> None:
    """Counted the same whether the voltages were worked out or not."""
    scaling = FixedScaling(3.0) if fixed else PerSampleScaling()
    matrix = Matrix(chip(), "w", (3, 7), mapping=DifferentialPair(), scaling=scaling)
    matrix.program(weights(3, 7), EXACT)
    asked = _Asked(scaling)
    usages, results = [], []
    for rule in (scaling, asked):
        matrix.scaling = rule
        with ledger(matrix) as bill:
            results.append(matrix.matmul(weights(5, 7)))
            usages.append(bill.usage["inference", "w"])
    assert asked.n_calls == 1
    assert_close(results[0], results[1], rtol=1e-9, scale=1.0)
    assert usages[0].n_active == usages[1].n_active > 0
    assert_close(usages[0].v2g, usages[1].v2g, rtol=1e-9)


class _Asked:
    """A rule behind a wrapper that only gives voltages."""

    def __init__(self, rule: FixedScaling | PerSampleScaling) -> None:
        self.rule, self.n_calls = rule, 0

    def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
        self.n_calls += 1
        return self.rule.to_voltage(x, v_read)


def test_a_scaling_that_cuts_is_asked() -> None:
    """Cutting is no matter of scale."""

    class Cut(_Counted):
        def to_voltage(self, x: torch.Tensor, v_read: float) -> tuple[torch.Tensor, torch.Tensor | float]:
            return x.clamp(-1, 1) * v_read, v_read

    matrix = Matrix(chip(), "w", (1, 2), mapping=DifferentialPair(), scaling=Cut())
    matrix.program(torch.tensor([[1.0, -0.5]], dtype=torch.float64), EXACT)
    assert_close(matrix.matmul(torch.tensor([[5.0, 1.0]], dtype=torch.float64)), [[0.5]], rtol=1e-6)


def test_a_fixed_scale_meets_the_converter() -> None:
    one = chip(dac=DAC(bits=3, v_max=0.2))
    matrix = Matrix(one, "w", (1, 2), mapping=DifferentialPair(), scaling=FixedScaling(7.0))
    matrix.program(torch.tensor([[1.0, -0.5]], dtype=torch.float64), EXACT)
    x = torch.tensor([[3.3, 1.6], [20.0, 0.4]], dtype=torch.float64)  # driven as 3, 2 and, cut, 7, 0
    assert_close(matrix.matmul(x), [[3.0 - 1.0], [7.0]], rtol=1e-6)


def test_conductances_are_those_of_the_lines() -> None:
    matrix = Matrix(chip(), "w", (1, 2), mapping=DifferentialPair())
    matrix.program(torch.tensor([[1.0, -0.5]], dtype=torch.float64), EXACT)
    assert_close(matrix.conductance(), [[20e-6, 2e-6], [2e-6, 11e-6]], rtol=1e-6)


def test_a_scale_before_anything_is_written() -> None:
    assert Matrix(chip(), "w", (1, 2), mapping=DifferentialPair(g_unit=3e-6)).g_per_w == 3e-6


@pytest.mark.parametrize("mapping", MAPPINGS, ids=str)
def test_a_shift_moves_the_chosen_pairs_by_halves(mapping: DifferentialPair) -> None:
    """Cell by cell: half the step with the cell's sign, kept in the window, and no other cell touched."""
    matrix = Matrix(chip(2), "w", (3, 5), mapping=mapping)
    matrix.program(weights(2, 3, 5), EXACT)
    before = matrix.conductance()
    everything = torch.arange(2 * matrix.chip.n_cells)
    all_before = matrix.chip.array.readout(everything)
    dg = weights(2, 3, 5) * 6e-6
    selected = dg.abs() > 4e-6
    report = matrix.shift(dg, selected, EXACT)
    after = matrix.conductance()
    rows, cols = len(mapping.row_gain), len(mapping.col_gain)
    n_written = 0
    for at in torch.cartesian_prod(*(torch.arange(n) for n in before.shape)).tolist():
        k, line_in, line_out = at
        o, i = line_out // cols, line_in // rows
        expected = float(before[k, line_in, line_out])
        if selected[k, o, i]:
            sign = 1 if mapping.row_gain[line_in % rows] * mapping.col_gain[line_out % cols] > 0 else -1
            expected = min(max(expected + sign * float(dg[k, o, i]) / 2, 2e-6), 20e-6)
            n_written += 1
        assert_close(after[k, line_in, line_out], expected, rtol=1e-5)
    assert report.converged.shape == (n_written,)
    others = torch.ones(everything.shape, dtype=torch.bool)
    others[matrix.cells.flatten()] = False
    assert torch.equal(matrix.chip.array.readout(everything)[others], all_before[others])


def test_a_shift_of_nothing_sends_nothing() -> None:
    matrix = Matrix(chip(), "w", (3, 5), mapping=DifferentialPair())
    report = matrix.shift(weights(3, 5), torch.zeros(3, 5, dtype=torch.bool), WriteVerify(tolerance=1e-7))
    assert report.converged.numel() == 0
    assert matrix.chip.array.books.activity.n_set + matrix.chip.array.books.activity.n_reset == 0


def test_stuck_cells_show_in_the_readout_and_the_bill() -> None:
    stuck = Chip(
        Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=1000), faults=StuckCells(fraction=0.2, g_stuck=20e-6)),
        rows=20,
        cols=20,
        dtype=torch.float64,
    )
    matrix = Matrix(stuck, "w", (8, 9), mapping=DifferentialPair())
    weight = weights(8, 9)
    report = matrix.program(weight, WriteVerify(tolerance=2e-8, max_pulses=1100))
    assert 0 < report.n_failed < 60
    error = (matrix.readout() - weight).abs()
    hit = (~report.converged).mT.unflatten(0, (8, 2)).any(1)
    assert float(error[~hit].max()) < 2 * 2e-8 / matrix.g_per_w
    assert float(error[hit].min()) > 2e-8 / matrix.g_per_w


def test_bad_calls() -> None:
    one = chip()
    matrix = Matrix(one, "w", (3, 5), mapping=DifferentialPair())
    with pytest.raises(ShapeError, match=r"`weight` must have the shape \(..., 3, 5\), but has \(5, 3\)"):
        matrix.program(torch.zeros(5, 3), EXACT)
    with pytest.raises(ShapeError, match="`x` must have the shape"):
        matrix.matmul(torch.zeros(4, 3, dtype=torch.float64))
    with pytest.raises(ChipFullError, match="no room for 'huge'"):
        Matrix(one, "huge", (50, 50), mapping=DifferentialPair())


def test_a_weight_that_is_not_finite_changes_nothing() -> None:
    matrix = Matrix(chip(2), "w", (3, 5), mapping=DifferentialPair())
    matrix.program(weights(3, 5), EXACT)
    before, scale = matrix.chip.array.books.activity.copy(), matrix.g_per_w
    for bad in (float("nan"), float("inf")):
        weight = 2 * weights(3, 5)
        weight[0, 0] = bad
        with pytest.raises(OutOfRangeError, match="`weight` of 'w' must be finite, but 1 entries"):
            matrix.program(weight, EXACT)
    with pytest.raises(ShapeError, match="with chips"):
        matrix.program(weights(3, 3, 5), EXACT)
    assert (matrix.chip.array.books.activity, matrix.g_per_w) == (before, scale)


def test_stamps_tell_what_may_have_changed() -> None:
    one = chip()
    first, other = (Matrix(one, name, (3, 5), mapping=DifferentialPair()) for name in "ab")
    stamps = first.stamp(), other.stamp()
    first.program(weights(3, 5), EXACT)
    assert first.stamp() != stamps[0]
    assert other.stamp() == stamps[1]
    stamps = first.stamp(), other.stamp()
    first.shift(weights(3, 5) * 1e-6, weights(3, 5) > 0, EXACT)
    first.conductance()
    assert other.stamp() == stamps[1] != (stamps[1][0] + 1, 0)
    assert first.stamp() != stamps[0]
    for change in (
        lambda: one.wait(1.0),
        lambda: first.program(weights(3, 5), BlindWrite(g_step=1e-6, t_settle=1.0)),
        lambda: one.array.wait(1.0),
        lambda: one.load_state_dict(one.state_dict()),
    ):
        stamps = first.stamp(), other.stamp()
        change()
        assert first.stamp() != stamps[0]
        assert other.stamp() != stamps[1]


def test_pulses_in_a_passive_array_concern_all_matrices() -> None:
    from ohmweave.arrays import CoupledCells, Passive
    from ohmweave.cells import VoltageDependence

    bare = chip().array
    assert isinstance(bare, CoupledCells)
    assert not bare.pulses_couple
    felt = Cell(FINE, voltage=VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.2, v_threshold=0.6))
    passive = Chip(felt, rows=8, cols=8, access=Passive(v_set=1.0, v_reset=1.0), readout="read")
    assert isinstance(passive.array, CoupledCells)
    assert passive.array.pulses_couple

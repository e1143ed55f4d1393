"""The simulated array against loops over tiles and cells, and its books against counting by hand."""

from itertools import product
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from safetensors.torch import load, save

from ohmweave.arrays import DAC, Activity, Placement, SimulatedArray, Tile, cells_of
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, Relaxation, StuckCells, yao2020
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=181)
ROWS, COLS = 7, 9
# Two inputs of two lines (+V and -V) by two outputs of three lines, in three tiles on two arrays.
TILES = (
    Tile(array=1, row=2, col=1, rows=3, cols=6, row_line=0, col_line=0),
    Tile(array=0, row=6, col=0, rows=1, cols=4, row_line=3, col_line=0),
    Tile(array=0, row=0, col=7, rows=1, cols=2, row_line=3, col_line=4),
)
PLACED = Placement(
    tiles=TILES,
    cells=cells_of(TILES, rows=ROWS, cols=COLS),
    row_gain=(1.0, -1.0),
    col_gain=(0.5, -0.5, 0.25),
)


def bank(cell: Cell = LINEAR, **changes: Any) -> SimulatedArray:
    """Two arrays whose cells all stand at different conductances."""
    options = {"n_arrays": 2, "rows": ROWS, "cols": COLS, "seed": 3, "dtype": torch.float64}
    array = SimulatedArray(cell, **(options | changes))
    n = (array.n_chips or 1) * 2 * ROWS * COLS
    array.pulse(torch.arange(n), Pulse(torch.ones(n), n=torch.randperm(n, generator=generator(1)) % 150))
    return array


def cell(g: torch.Tensor, chip: int, array: int, row: int, col: int) -> float:
    """One conductance, from the flat readout of all."""
    return float(g[((chip * 2 + array) * ROWS + row) * COLS + col])


def currents(array: SimulatedArray, v: torch.Tensor, chip: int) -> list[list[float]]:
    """Rows driven and columns sensed, tile by tile and cell by cell, as on a bench."""
    g = array.readout(torch.arange((array.n_chips or 1) * 2 * ROWS * COLS))
    out = [[0.0] * PLACED.n_out for _ in v]
    for batch, tile in product(range(len(v)), TILES):
        for row, col in product(range(tile.rows), range(tile.cols)):
            line_in, line_out = tile.row_line + row, tile.col_line + col
            v_line = PLACED.row_gain[line_in % 2] * float(v[batch, line_in // 2])
            i_line = v_line * cell(g, chip, tile.array, tile.row + row, tile.col + col)
            out[batch][line_out // 3] += PLACED.col_gain[line_out % 3] * i_line
    return out


@pytest.mark.parametrize("n_chips", [None, 3])
def test_a_read_is_the_loop_over_tiles_and_cells(n_chips: int | None) -> None:
    chips = () if n_chips is None else (n_chips,)
    array = bank(n_chips=chips[0] if chips else None)
    v = torch.rand(*chips, 4, 2, dtype=torch.float64, generator=generator(2)) * 0.2 - 0.1
    out = array.read(v, PLACED)
    for chip in range(n_chips or 1):
        at = (chip,) if chips else ()
        assert_close(out[at], currents(array, v[at], chip), rtol=1e-12, scale=1e-6)


def test_a_transposed_read_is_the_transposed_matrix() -> None:
    array = bank(n_chips=2)
    eye_in = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    forward = array.read(eye_in * 0.1, PLACED)
    backward = array.read_transposed(eye_in * 0.1, PLACED)
    assert_close(backward, forward.mT, rtol=1e-12)
    assert float((forward - forward.mT).abs().max()) > 1e-7  # the matrix is not symmetric


def test_one_row_one_column_pins_directions_and_signs() -> None:
    """One cell differs: input 1 (its -V line), output 0 (its second line): i[0] changes, and by which sign."""
    array = SimulatedArray(LINEAR, n_arrays=2, rows=ROWS, cols=COLS, dtype=torch.float64)
    before = array.read(torch.tensor([[0.0, 0.2]], dtype=torch.float64), PLACED)
    at = PLACED.cells[3, 1]  # line 3: input 1, -V; line 1: output 0, gain -0.5
    assert int(at) == 6 * COLS + 1  # array 0, last row, second column
    array.pulse(at[None], Pulse(torch.tensor([1]), n=torch.tensor([100])))
    change = array.read(torch.tensor([[0.0, 0.2]], dtype=torch.float64), PLACED) - before
    assert_close(change, [[0.2 * 100 * LINEAR.g_step * -1.0 * -0.5, 0.0]], rtol=1e-9)
    transposed = array.read_transposed(torch.tensor([[0.2, 0.0]], dtype=torch.float64), PLACED)
    assert_close(transposed[0, 1] - transposed[0, 0], 0.2 * 100 * LINEAR.g_step * 0.5, rtol=1e-9)


def test_read_noise_has_the_variance_of_all_cells_together() -> None:
    n = 20_000
    array = bank(Cell(LINEAR, read_noise=ReadNoise(fraction=0.05, floor=1e-7)))
    v = torch.tensor([[0.2, -0.1]], dtype=torch.float64)
    reads = array.read(v.expand(n, 2), PLACED)
    truth = array.cell.conductance(array.bank.state)
    expected = [0.0, 0.0]
    for line_in, line_out in product(range(4), range(6)):
        g = float(truth[PLACED.cells[line_in, line_out]])
        size = float(v[0, line_in // 2]) * PLACED.col_gain[line_out % 3] * (0.05 * g + 1e-7)
        expected[line_out // 3] += size**2
    assert_close(reads.var(0), expected, rtol=5 * (2 / n) ** 0.5)
    back = array.read_transposed(v.expand(n, 2), PLACED)
    sigma_back = back.std(0)
    assert float((back.mean(0) - _exact_back(truth, v)).abs().max()) < 5 * float(sigma_back.max()) / n**0.5
    readouts = torch.stack([array.readout(PLACED.cells) for _ in range(4_000)])
    sigma = 0.05 * truth[PLACED.cells] + 1e-7
    assert_close(readouts.std(0), sigma, rtol=5 / 8_000**0.5)


def _exact_back(truth: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    out = torch.zeros(2, dtype=torch.float64)
    for line_in, line_out in product(range(4), range(6)):
        gain = PLACED.row_gain[line_in % 2] * PLACED.col_gain[line_out % 3]
        out[line_in // 2] += gain * v[0, line_out // 3] * truth[PLACED.cells[line_in, line_out]]
    return out


def test_rows_are_driven_through_the_converter() -> None:
    array = bank(dac=DAC(bits=3, v_max=0.2))
    v = torch.tensor([[0.031, 0.16], [0.01, 0.5]], dtype=torch.float64)
    driven = torch.tensor([[0.2 / 7, 0.2 * 6 / 7], [0.0, 0.2]], dtype=torch.float64)
    assert_close(array.read(v, PLACED), currents(array, driven, 0), rtol=1e-12, scale=1e-6)


def test_pulses_reach_the_listed_cells_alone() -> None:
    array = bank(yao2020(), n_chips=2)
    everything = torch.arange(2 * 2 * ROWS * COLS)
    before = array.readout(everything)
    listed = torch.tensor([200, 3, 77])
    array.pulse(listed, Pulse(torch.tensor([-1, -1, 0])))
    changed = (array.readout(everything) != before).nonzero().flatten().tolist()
    assert changed == [3, 200]


@given(st.data())
def test_books_equal_counting_by_hand(data: st.DataObject) -> None:
    array = SimulatedArray(LINEAR, n_arrays=2, rows=ROWS, cols=COLS, n_chips=2)
    hand = Activity()
    for action in data.draw(st.lists(st.sampled_from(["read", "back", "readout", "pulse", "wait"]), max_size=6)):
        k = data.draw(st.integers(0, 5))
        if action == "read":
            array.read(torch.zeros(2, k, 2), PLACED)
            hand.n_reads += 2 * k * 3  # chips x vectors x tiles
        elif action == "back":
            array.read_transposed(torch.zeros(2, k, 2), PLACED)
            hand.n_reads += 2 * k * 3
        elif action == "readout":
            array.readout(torch.arange(k))
            hand.n_readouts += k
        elif action == "wait":
            array.wait(0.5 * k)
            hand.duration += 0.5 * k
        else:
            polarity = [data.draw(st.sampled_from([-1, 0, 1])) for _ in range(k)]
            n = [data.draw(st.integers(0, 4)) for _ in range(k)] if data.draw(st.booleans()) else None
            pulse = Pulse(torch.tensor(polarity), n=None if n is None else torch.tensor(n))
            array.pulse(torch.arange(k), pulse)
            for sign, times in zip(polarity, n or [1] * k, strict=True):
                hand.n_set += times if sign > 0 else 0
                hand.n_reset += times if sign < 0 else 0
    assert array.books.activity == hand


def test_differences_of_the_books() -> None:
    array = bank()
    before = array.books.activity.copy()
    array.wait(2.0)
    array.readout(torch.arange(4))
    assert array.books.activity - before == Activity(n_readouts=4, duration=2.0)
    assert before.duration == 0.0


RICH = Cell(
    LINEAR,
    retention=Relaxation(sigma_fast=1e-7, sigma_slow=1e-7, fraction=0.5),
    faults=StuckCells(fraction=0.1, g_stuck=(1e-6, 2e-6)),
    read_noise=ReadNoise(fraction=0.01),
)


def scenario(array: SimulatedArray) -> list[torch.Tensor]:
    cells = torch.arange(0, 200, 3)
    out = []
    for k in range(3):
        array.pulse(cells + k, Pulse(torch.where(cells % 2 == 0, 1, -1)))
        array.wait(10.0)
        out += [array.readout(cells), array.read(torch.full((2, 2, 2), 0.1, dtype=torch.float64), PLACED)]
    return out


@pytest.mark.parametrize("device", [RICH, yao2020(variant="tails", drift=True, read_noise=0.02)], ids=["rich", "yao"])
def test_a_saved_array_goes_on_bit_for_bit(device: Cell) -> None:
    array = bank(device, n_chips=2)
    scenario(array)
    stored = load(save(array.state_dict()))
    books = array.books.activity.copy()
    first = scenario(array)
    twin = bank(device, n_chips=2, seed=99)
    twin.read(torch.zeros(2, 1, 2, dtype=torch.float64), PLACED)  # something folded, which must be forgotten
    twin.load_state_dict(stored)
    assert twin.books.activity == books
    assert all(torch.equal(one, other) for one, other in zip(first, scenario(twin), strict=True))
    assert twin.books.activity == array.books.activity
    array.load_state_dict(stored)
    assert all(torch.equal(one, other) for one, other in zip(first, scenario(array), strict=True))


def test_a_stored_state_does_not_change_with_the_array() -> None:
    array = bank()
    stored = array.state_dict()
    copy = {name: leaf.clone() for name, leaf in stored.items()}
    scenario_cells = torch.arange(5)
    array.pulse(scenario_cells, Pulse(torch.ones(5)))
    array.wait(1.0)
    assert all(torch.equal(stored[name], copy[name]) for name in copy)


def test_a_state_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"`cells\.switching\.g` must have the shape"):
        bank().load_state_dict(bank(n_chips=2).state_dict())


def test_same_seed_same_bits_and_chips_differ() -> None:
    one, same, other = (bank(RICH, n_chips=2, seed=seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(scenario(one), scenario(same), strict=True))
    assert not torch.equal(scenario(one)[0], scenario(other)[0])
    g = one.readout(torch.arange(2 * 2 * ROWS * COLS)).view(2, -1)
    assert not torch.equal(g[0], g[1])


def test_noise_of_reads_does_not_shift_pulses() -> None:
    """Random streams are apart: reading more changes no cell's future."""
    quiet, busy = bank(yao2020(read_noise=0.01)), bank(yao2020(read_noise=0.01))
    for _ in range(5):
        busy.readout(torch.arange(30))
    for array in (quiet, busy):
        array.pulse(torch.arange(30), Pulse(torch.full((30,), -1)))
        array.wait(1.0)
    assert torch.equal(quiet.cell.conductance(quiet.bank.state), busy.cell.conductance(busy.bank.state))


def test_chips_are_one_tensor_of_independent_chips() -> None:
    """Cell c of chip k is entry k * cells + c; a pulse there changes the read of that chip alone."""
    array = SimulatedArray(LINEAR, n_arrays=2, rows=ROWS, cols=COLS, n_chips=3, dtype=torch.float64)
    assert array.n_chips == 3
    cells = array.cells(PLACED)
    assert cells.shape == (3, 4, 6)
    assert torch.equal(cells[2] - cells[0], torch.full((4, 6), 2 * 2 * ROWS * COLS))
    array.pulse(cells[1, 0, 0][None], Pulse(torch.tensor([1]), n=torch.tensor([10])))
    out = array.read(torch.full((3, 1, 2), 0.1, dtype=torch.float64), PLACED)
    assert_close(out[1, 0, 0] - out[0, 0, 0], 0.1 * 0.5 * 10 * LINEAR.g_step, rtol=1e-9)
    assert torch.equal(out[0], out[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 0}, "`rows` must be an integer >= 1"),
        ({"cols": -3}, "`cols` must be an integer >= 1"),
        ({"n_arrays": 1.5}, "`n_arrays` must be an integer >= 1"),
        ({"n_chips": 0}, "`n_chips` must be an integer >= 1"),
        ({"v_read": 0.0}, "`v_read` must be > 0 V"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        SimulatedArray(LINEAR, **({"rows": 2, "cols": 2} | changes))


def test_bad_calls() -> None:
    array = bank()
    with pytest.raises(ShapeError, match=r"`v_row` must have the shape \(any, 2\)"):
        array.read(torch.zeros(4, 3, dtype=torch.float64), PLACED)
    with pytest.raises(ShapeError, match="`v_col` must have the shape"):
        array.read_transposed(torch.zeros(4, 3, dtype=torch.float64), PLACED)
    with pytest.raises(ShapeError, match="`v_row` must have the shape"):
        bank(n_chips=2).read(torch.zeros(3, 1, 2, dtype=torch.float64), PLACED)
    with pytest.raises(ShapeError, match=r"`pulse\.polarity` must have the shape"):
        array.pulse(torch.arange(3), Pulse(torch.ones(2)))
    with pytest.raises(OutOfRangeError, match="`duration` must be >= 0 s"):
        array.wait(-1.0)


def test_cells_pulsed_again_are_not_mistaken_for_what_they_were() -> None:
    """What was gathered for the last pulse serves the next one, unless cells changed otherwise in between."""
    law = LinearStep(g_min=2e-6, g_max=20e-6, levels=101)
    up = Pulse(torch.ones(3, dtype=torch.int64))

    def after(*between: str) -> torch.Tensor:
        array = SimulatedArray(law, rows=2, cols=3, dtype=torch.float64)
        cells, others = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3])
        fresh = array.state_dict()
        array.pulse(cells, up)
        for step in between:
            if step == "others":
                array.pulse(others, up)
            elif step == "load":
                array.load_state_dict(fresh)
            elif step == "in place":
                cells += 1
        array.pulse(cells, up)
        return ((array.readout(torch.arange(6)) - law.g_min) / law.g_step).round()

    assert after().tolist() == [2, 2, 2, 0, 0, 0]
    assert after("others").tolist() == [2, 3, 3, 1, 0, 0]
    assert after("load").tolist() == [1, 1, 1, 0, 0, 0]
    assert after("in place").tolist() == [1, 2, 2, 1, 0, 0]

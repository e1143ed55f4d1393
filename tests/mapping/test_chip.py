"""Room on a chip: tiles, names, and what is left when something does not fit."""

import contextlib
import gc
import re
import weakref
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.arrays import ADC, Activity, Placement
from ohmweave.base import ChipFullError, OutOfRangeError
from ohmweave.cells import LinearStep, Pulse
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, Matrix
from ohmweave.programming import BlindWrite, WriteVerify
from ohmweave.testing import BareArray
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6)


def chip(**changes: Any) -> Chip:
    return Chip(LINEAR, **({"n_arrays": 3, "rows": 6, "cols": 8} | changes))


def where(placement: Placement) -> list[tuple[int, int, int, int, int]]:
    return [(tile.array, tile.row, tile.col, tile.rows, tile.cols) for tile in placement.tiles]


def test_small_matrices_stand_side_by_side() -> None:
    one = chip()
    assert where(one.place("a", (4, 3))) == [(0, 0, 0, 4, 3)]
    assert where(one.place("b", (4, 5))) == [(0, 0, 3, 4, 5)]
    assert where(one.place("c", (2, 3))) == [(0, 4, 0, 2, 3)]
    assert where(one.place("d", (6, 1))) == [(1, 0, 0, 6, 1)]
    assert (one.n_taken, one.n_cells) == (12 + 20 + 6 + 6, 3 * 48)


def test_a_large_matrix_is_cut_into_tiles() -> None:
    placement = chip().place("a", (7, 9))
    assert where(placement) == [(0, 0, 0, 6, 8), (1, 0, 0, 6, 1), (2, 0, 0, 1, 8), (1, 0, 1, 1, 1)]
    assert [(tile.row_line, tile.col_line) for tile in placement.tiles] == [(0, 0), (0, 8), (6, 0), (6, 8)]
    assert placement.cells.shape == (7, 9)


def test_tiles_do_not_part_an_output_or_an_input() -> None:
    """8 columns hold two outputs of three lines; 6 rows one input of four lines."""
    one = chip(n_arrays=8)
    assert [tile.cols for tile in one.place("outputs", (2, 5), col_gain=(1.0, -1.0, 0.5)).tiles] == [6, 6, 3]
    assert [tile.rows for tile in one.place("inputs", (2, 5), row_gain=(1.0, -1.0, 1.0, -1.0)).tiles] == [4, 4]


def test_rows_of_a_tile_can_be_set() -> None:
    assert [tile.rows for tile in chip().place("slices", (10, 2), tile_rows=3).tiles] == [3, 3, 3, 1]
    assert [tile.rows for tile in chip().place("slices", (10, 2), tile_rows=50).tiles] == [6, 4]


def test_arrays_are_used_in_the_order_given() -> None:
    one = chip()
    assert where(one.place("a", (6, 8), arrays=(2, 0))) == [(2, 0, 0, 6, 8)]
    assert where(one.place("b", (12, 8), arrays=(1, 0))) == [(1, 0, 0, 6, 8), (0, 0, 0, 6, 8)]


def test_a_floor_plan_by_hand() -> None:
    placement = chip().place("a", (8, 2), corners=[(1, 0, 5), (0, 3, 2)])
    assert where(placement) == [(1, 0, 5, 6, 2), (0, 3, 2, 2, 2)]
    assert int(placement.cells[7, 1]) == 4 * 8 + 3


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"arrays": (1,)},
        {"corners": [(0, 0, 0), (0, 0, 0), (1, 0, 0)]},
        {"corners": [(0, 0, 0), (1, 0, 1), (2, 0, 0)]},
    ],
)
def test_what_does_not_fit_leaves_nothing_taken(how: dict[str, Any]) -> None:
    one = chip()
    one.place("here", (6, 1), arrays=(2,))
    with pytest.raises(ChipFullError, match=r"no room for 'big': its tile of 6 x 8 .* 6 of 144 cells .*\['here'\]"):
        one.place("big", (18, 8), **how)
    assert (one.n_taken, sorted(one.placed)) == (6, ["here"])
    one.place("t_settle", (6, 7), arrays=(2,))
    one.place("others", (12, 8))
    assert one.n_taken == one.n_cells


@pytest.mark.parametrize(("shape", "lines"), [((18, 8), 1), ((25, 4), 2), ((7, 20), 2), ((60, 60), 1)])
@pytest.mark.parametrize("taken", [None, (2, 3), (6, 8)])
def test_the_error_of_a_full_chip_says_with_how_many_arrays_the_matrix_fits(
    shape: tuple[int, int], lines: int, taken: tuple[int, int] | None
) -> None:
    """The number is enough, and one array fewer is not."""

    def place(n_arrays: int) -> None:
        one = chip(n_arrays=n_arrays)
        if taken is not None:
            one.place("here", taken, arrays=(0,))
        one.place("big", shape, col_gain=(1.0, -1.0)[:lines])

    with pytest.raises(ChipFullError) as full:
        place(1)
    (found,) = re.findall(r"[Mm]ake the chip with `n_arrays=(\d+)`", str(full.value))
    n_arrays = int(found)
    if "or more" in str(full.value):  # more cells than the chip has: a lower bound
        with pytest.raises(ChipFullError):
            place(n_arrays - 1)
        with contextlib.suppress(ChipFullError):
            place(n_arrays)
            return
        with pytest.raises(ChipFullError, match="n_arrays") as full:
            place(n_arrays)
        n_arrays = int(re.findall(r"[Mm]ake the chip with `n_arrays=(\d+)`", str(full.value))[0])
    place(n_arrays)
    with pytest.raises(ChipFullError):
        place(n_arrays - 1)


def test_the_error_of_a_full_chip_names_the_argument_that_makes_room() -> None:
    one = chip()
    one.place("here", (6, 1), arrays=(2,))
    with pytest.raises(ChipFullError, match=r"\. Make the chip with `n_arrays=4`: 1 further array of 6 x 8"):
        one.place("big", (18, 8))
    with pytest.raises(ChipFullError, match=r"\. Let `arrays` list others, or make the chip with `n_arrays=5`"):
        one.place("big", (18, 8), arrays=(1,))
    with pytest.raises(ChipFullError, match=r"\. Give another corner, or leave `corners` out"):
        one.place("big", (1, 1), corners=[(2, 0, 0)])
    with pytest.raises(ChipFullError, match=r"Make the chip with `n_arrays=21` or more, or with larger arrays"):
        one.place("big", (1000, 1))


def test_removed_cells_are_free_and_as_they_were() -> None:
    one = chip(n_arrays=1, dtype=torch.float64)
    first = one.place("a", (6, 8))
    before = one.array.readout(one.array.cells(first))
    one.remove("a")
    assert (one.n_taken, one.placed) == (0, {})
    assert torch.equal(one.array.readout(one.array.cells(one.place("b", (6, 8)))), before)
    with pytest.raises(OutOfRangeError, match="must be placed"):
        one.remove("a")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5), st.sampled_from([1, 2, 4])), max_size=6))
def test_no_two_matrices_share_a_cell(sizes: list[tuple[int, int, int]]) -> None:
    one, taken = chip(), set[int]()
    for number, (n_in, n_out, lines) in enumerate(sizes):
        try:
            placement = one.place(f"m{number}", (n_in, n_out), col_gain=(1.0, -1.0, 0.5, -0.5)[:lines])
        except ChipFullError:
            assert one.n_taken == len(taken)
            continue
        cells = placement.cells.flatten().tolist()
        assert len(cells) == n_in * n_out * lines
        assert len(set(cells)) == len(cells)
        assert not taken & set(cells)
        assert max(cells) < one.n_cells
        for tile in placement.tiles:
            corner = placement.cells[tile.row_line, tile.col_line]
            assert int(corner) == (tile.array * 6 + tile.row) * 8 + tile.col
        taken |= set(cells)
    assert one.n_taken == len(taken)


def test_chips_and_time() -> None:
    assert chip().chip_shape == ()
    many = chip(n_chips=4)
    assert many.chip_shape == (4,)
    many.wait(3.0)
    assert many.array.books.activity.duration == 3.0


def test_state_goes_on() -> None:
    one, other = chip(seed=1), chip(seed=2)
    one.wait(2.0)
    other.load_state_dict(one.state_dict())
    assert other.array.books.activity == Activity(duration=2.0)


def test_any_array_will_do() -> None:
    bench = BareArray(rows=4, cols=4)
    one = Chip(array=bench)
    assert one.array is bench
    assert (one.n_cells, one.chip_shape, one.device) == (16, (), torch.device("cpu"))


def test_the_state_of_an_array_that_cannot_be_saved() -> None:
    one = Chip(array=BareArray(rows=4, cols=4))
    with pytest.raises(TypeError, match=r"`state_dict` needs an array whose state can be saved.*BareArray has no"):
        one.state_dict()
    with pytest.raises(TypeError, match="`load_state_dict` needs an array whose state can be saved"):
        one.load_state_dict({})


def test_nothing_is_placed_on_unusable_cells() -> None:
    usable = torch.ones(2, 6, 8, dtype=torch.bool)
    usable[0, 2] = False  # a dead row
    usable[1, :, 0] = False  # a dead column
    one = Chip(array=BareArray(n_arrays=2, rows=6, cols=8, usable=usable))
    for index, shape in enumerate([(2, 8), (3, 8), (6, 7)]):
        place = one.place(str(index), shape)
        assert bool(usable.flatten()[place.cells].all())
    with pytest.raises(ChipFullError, match=r"82 of 96 cells are taken by .*, 14 are unusable"):
        one.place("more", (1, 1))
    with pytest.raises(ChipFullError, match=r"not at \(0, 2, 0\)"):
        one.place("there", (1, 1), corners=[(0, 2, 0)])
    one.remove("2")
    assert one.place("again", (6, 7)).tiles[0].col == 1


def test_precision_and_read_voltage_reach_the_array() -> None:
    one = chip(dtype=torch.float64, v_read=0.1)
    assert one.array.v_read == 0.1
    assert one.array.readout(torch.arange(2)).dtype == torch.float64
    assert_close([one.array.g_min, one.array.g_max], [2e-6, 20e-6], rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Chip(), "exactly one of `cell` and `array`"),
        (lambda: Chip(LINEAR, array=BareArray(rows=2, cols=2)), "exactly one of `cell` and `array`"),
        (lambda: chip(n_chips=0), "`n_chips` must be an integer >= 1"),
        (lambda: chip(rows=0), "`rows` must be an integer >= 1"),
        (lambda: chip().place("a", (2, 2), arrays=(3,)), "`arrays` must be from 0 to 2, but has 3"),
        (
            lambda: chip().place("a", (2, 2), corners=[(-1, 0, 0)]),
            r"`corners\[0\]\[0\]` must be an integer >= 0, but is -1",
        ),
        (lambda: chip().place("a", (7, 2), corners=[(0, 0, 0)]), "`corners` must be 2, one for each tile, but are 1"),
        (lambda: chip().place("a", (7, 2), tile_rows=0), "`tile_rows` must be an integer >= 1"),
        (lambda: chip().place("a", (0, 2)), r"`shape\[0\]` must be an integer >= 1"),
        (lambda: chip(cols=3).place("a", (2, 2), col_gain=(1.0, -1.0, 1.0, -1.0)), "`col_gain` must have at most 3"),
    ],
)
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        call()


def test_one_name_one_placement() -> None:
    one = chip()
    one.place("a", (2, 2))
    with pytest.raises(OutOfRangeError, match="`name` must be new on this chip, but 'a' is placed already"):
        one.place("a", (2, 2))


def used(name: str, on: Chip) -> Matrix:
    matrix = Matrix(on, name, (2, 3), mapping=DifferentialPair())
    matrix.program(torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.0, -1.0]]), WriteVerify(tolerance=0.2e-6))
    return matrix


REMOVED = {
    "matmul": lambda matrix: matrix.matmul(torch.ones(1, 3)),
    "matmul_transposed": lambda matrix: matrix.matmul_transposed(torch.ones(1, 2)),
    "readout": lambda matrix: matrix.readout(),
    "conductance": lambda matrix: matrix.conductance(),
    "program": lambda matrix: matrix.program(torch.ones(2, 3), WriteVerify(tolerance=0.2e-6)),
    "pulse": lambda matrix: matrix.pulse(matrix.cells.flatten(), Pulse(torch.ones(18))),
    "shift": lambda matrix: matrix.shift(torch.zeros(2, 3), torch.ones(2, 3) > 0, WriteVerify(tolerance=1e-7)),
}


@pytest.mark.parametrize("use", REMOVED)
@pytest.mark.parametrize("again", [False, True], ids=["free", "placed again under the same name"])
def test_a_removed_matrix_does_not_use_the_cells_of_others(use: str, again: bool) -> None:
    one = Chip(LINEAR, rows=6, cols=8)
    matrix = used("a", one)
    stamp = matrix.stamp()
    one.remove("a")
    assert matrix.stamp() != stamp
    other = used("a" if again else "b", one)
    before, counted = other.conductance(), one.array.books.activity.n_set
    with pytest.raises(OutOfRangeError, match="matrix 'a' must be placed on its chip, but was removed"):
        REMOVED[use](matrix)
    assert torch.equal(other.conductance(), before)
    assert one.array.books.activity.n_set == counted


def test_nothing_of_removed_matrices_is_kept() -> None:
    """Neither caches of reads nor counts of changes, whatever their names were."""
    one = chip()

    def place(k: int) -> tuple[weakref.ref[Matrix], weakref.ref[Placement]]:
        matrix = Matrix(one, f"matrix {k}", (3, 4), mapping=DifferentialPair(), scaling=FixedScaling())
        matrix.program(torch.linspace(-1, 1, 12).view(3, 4), BlindWrite(g_step=2e-7))
        matrix.matmul(torch.ones(2, 4))
        matrix.readout()
        one.remove(f"matrix {k}")
        return weakref.ref(matrix), weakref.ref(matrix.placement)

    gone = [reference for k in range(5) for reference in place(k)]
    gc.collect()
    assert [reference() for reference in gone] == [None] * 10
    assert one.history._own == {}


def test_a_name_that_is_used_again_has_no_old_stamp() -> None:
    one, stamps = chip(), []
    other = Matrix(one, "other", (2, 2), mapping=DifferentialPair(), scaling=FixedScaling())
    before = other.stamp()
    for _ in range(3):
        matrix = Matrix(one, "fc", (3, 4), mapping=DifferentialPair(), scaling=FixedScaling())
        stamps.append(matrix.stamp())
        one.remove("fc")
        assert matrix.stamp() not in stamps
    assert len(set(stamps)) == 3
    assert other.stamp() == before  # its readout is as good as before


def test_an_unknown_name_cannot_be_removed() -> None:
    one = chip()
    one.place("a", (2, 2))
    with pytest.raises(OutOfRangeError, match=r"one of \['a'\], but is 'b'"):
        one.remove("b")


def test_the_converters_range_of_a_removed_matrix_is_forgotten() -> None:
    one = Chip(LINEAR, rows=6, cols=8, adc=ADC(bits=8, signed=True))
    matrix = used("a", one)
    fresh = one.array.full_scale(matrix.placement)
    with one.array.ranging():
        matrix.matmul(torch.full((1, 3), 1e-3))
    assert one.array.full_scale(matrix.placement) < fresh
    state = one.array.state_dict()
    one.remove("a")
    assert one.array.full_scale(used("b", one).placement) == fresh
    assert not len(one.array.state_dict()["converters.ranges"])
    assert len(state["converters.ranges"]) == 1


def test_a_chip_without_converters_forgets_no_range() -> None:
    one = Chip(LINEAR, rows=6, cols=8)
    used("a", one)
    one.remove("a")
    assert not one.placed

"""Room for rectangles against trying every corner."""

import hypothesis.strategies as st
from hypothesis import given

from ohmweave.mapping.free_space import FreeSpace

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 7))


def first_corner(taken: set[tuple[int, int]], rows: int, cols: int, of: tuple[int, int]) -> tuple[int, int] | None:
    """Leftmost column first, then top."""
    for col in range(of[1] - cols + 1):
        for row in range(of[0] - rows + 1):
            if not any((row + i, col + j) in taken for i in range(rows) for j in range(cols)):
                return row, col
    return None


@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=12))
def test_the_first_corner_of_all(wishes: list[tuple[tuple[int, int], bool]]) -> None:
    space, taken = FreeSpace(5, 6), set[tuple[int, int]]()
    for (rows, cols), give_back in wishes:
        corner = space.take(rows, cols)
        assert corner == first_corner(taken, rows, cols, (5, 6))
        if corner is None:
            continue
        cells = {(corner[0] + i, corner[1] + j) for i in range(rows) for j in range(cols)}
        assert not cells & taken
        if give_back:
            space.give_back(*corner, rows, cols)
        else:
            taken |= cells


@given(st.lists(st.tuples(st.integers(-2, 6), st.integers(-2, 7), SIZES), max_size=12))
def test_a_corner_asked_for(wishes: list[tuple[int, int, tuple[int, int]]]) -> None:
    space, taken = FreeSpace(5, 6), set[tuple[int, int]]()
    for row, col, (rows, cols) in wishes:
        cells = {(row + i, col + j) for i in range(rows) for j in range(cols)}
        inside = all(0 <= i < 5 and 0 <= j < 6 for i, j in cells)
        assert space.take_at(row, col, rows, cols) == (inside and not cells & taken)
        if inside and not cells & taken:
            taken |= cells
    free = {(i, j) for i in range(5) for j in range(6)} - taken
    assert {(i, j) for i in range(5) for j in range(6) if space.copy().take_at(i, j, 1, 1)} == free


def test_a_copy_is_independent() -> None:
    space = FreeSpace(2, 2)
    assert space.copy().take(2, 2) == (0, 0)
    assert space.take(2, 2) == (0, 0)
    assert space.take(1, 1) is None

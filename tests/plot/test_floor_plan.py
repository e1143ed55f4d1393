"""The floor plan shows every tile where it is."""

import pytest
from matplotlib.patches import Rectangle

from ohmweave.base import OutOfRangeError
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.plot.floor_plan import floor_plan


def chip() -> Chip:
    one = Chip(LinearStep(g_min=2e-6, g_max=20e-6), n_arrays=3, rows=6, cols=8)
    one.place("a", (7, 3))
    one.place("b", (2, 2), arrays=(2,))
    return one


def test_every_tile_is_a_box() -> None:
    figure = floor_plan(chip())
    panels = figure.axes[:3]
    boxes = [
        [
            (round(box.get_x()), round(box.get_y()), round(box.get_width()), round(box.get_height()))
            for box in axes.patches
            if isinstance(box, Rectangle)
        ]
        for axes in panels
    ]
    assert boxes == [[(0, 0, 3, 6), (3, 0, 3, 1)], [], [(0, 0, 2, 2)]]  # column, row, columns, rows
    colours = [axes.patches[0].get_facecolor() for axes in (panels[0], panels[2])]
    assert colours[0] != colours[1]
    assert [axes.get_title() for axes in panels] == ["array 0", "array 1", "array 2"]  # as in arrays=(2,)


def test_rows_go_down_and_empty_panels_are_hidden() -> None:
    figure = floor_plan(chip(), columns=2)
    assert [axes.get_visible() for axes in figure.axes] == [True, True, True, False]
    assert figure.axes[0].get_ylim() == (6.0, 0.0)
    assert figure.axes[0].get_xlim() == (0.0, 8.0)


def test_the_legend_names_and_counts() -> None:
    (legend,) = floor_plan(chip()).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert "25 of 144 cells taken" in legend.get_title().get_text()


def test_an_empty_chip() -> None:
    figure = floor_plan(Chip(LinearStep(g_min=2e-6, g_max=20e-6), rows=6, cols=8))
    assert figure.axes[0].patches[:] == []


def test_a_plan_needs_a_column() -> None:
    with pytest.raises(OutOfRangeError, match="`columns`"):
        floor_plan(chip(), columns=0)

"""What the figures of accuracies, conductances and designs show, against numbers found by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy import stats

from ohmweave import plot
from ohmweave.base import OutOfRangeError, ShapeError
from tests.helpers import assert_close


def _axes() -> Any:
    return Figure().subplots()


def test_curves_have_the_band_of_students_interval() -> None:
    runs = torch.tensor([[0.5, 0.8, 0.90], [0.6, 0.8, 0.99], [0.7, 0.9, 0.96]], dtype=torch.float64)
    ax = _axes()
    drawn = plot.learning_curves({"ours": runs, "one": [0.1, 0.2]}, ax=ax)
    assert drawn is ax
    assert_close(ax.lines[0].get_ydata(), 100 * runs.mean(0).numpy(), rtol=1e-12)
    assert_close(ax.lines[1].get_xdata(), [1.0, 2.0], rtol=1e-12)
    (band,) = ax.collections  # a single run has none
    path = band.get_paths()[0].vertices
    for at, values in enumerate(runs.T.numpy(), start=1):
        ends = 100 * np.clip(stats.t.interval(0.95, 2, values.mean(), stats.sem(values)), 0, 1)
        found = sorted({*path[path[:, 0] == at][:, 1].round(9)})
        assert_close([found[0], found[-1]], ends, rtol=1e-6)
    assert ax.get_ylim()[1] <= 100.0


def test_more_curves_than_colours_are_a_map() -> None:
    ax = plot.learning_curves({f"r{k}": [0.1 * k / 2, 0.9] for k in range(9)})
    (mesh,) = ax.collections
    assert_close(mesh.get_array()[:, 1], [90.0] * 9, rtol=1e-12)
    assert len(ax.get_yticklabels()) == 9


def test_stages_stand_beside_the_paper() -> None:
    ax = plot.stages({"software": 0.98, "written": [0.94, 0.96]}, paper={"written": 0.9614})
    paper = next(line for line in ax.lines if line.get_marker() == "D")
    assert_close(paper.get_ydata(), [96.14], rtol=1e-12)
    assert round(float(paper.get_xdata()[0])) == 1
    means = [container.lines[0].get_ydata()[0] for container in ax.containers]
    assert_close(means, [98.0, 95.0], rtol=1e-12)
    with pytest.raises(OutOfRangeError, match="must name stages"):
        plot.stages({"a": 0.5}, paper={"b": 0.5})


def test_confusion_counts_down_the_true_classes() -> None:
    ax = plot.confusion([[0, 1, 1], [0, 1, 0]], [0, 0, 1], n_classes=3)
    shares = np.ma.filled(ax.images[0].get_array(), -1.0)
    assert_close(shares[:2, :2], [[50.0, 50.0], [50.0, 50.0]], rtol=1e-12)
    lopsided = plot.confusion([1, 1, 0, 1], [0, 0, 1, 1]).images[0].get_array()
    assert lopsided[0, 1] == 100.0
    assert lopsided[1, 0] == 50.0
    assert lopsided[0, 0] == 0.0
    with pytest.raises(OutOfRangeError, match="`labels` must be integers"):
        plot.confusion([0], [3], n_classes=2)


def test_a_map_of_errors_has_the_sign_of_written_less_target() -> None:
    g, target = torch.tensor([[[3e-6, 2e-6]], [[2e-6, 5e-6]]]), torch.tensor([[2e-6, 4e-6]])
    image = plot.conductance_map(g, g_target=target, chip=1).images[0]
    assert_close(image.get_array()[0, 1], 1.0, rtol=1e-6)
    assert image.norm.vmin == -image.norm.vmax
    assert_close(plot.conductance_map(g, chip=0).images[0].get_array(), [[3.0, 2.0]], rtol=1e-6)
    assert_close(plot.weight_map([[1.0, -2.0]], w_target=[[0.5, 1.0]]).images[0].get_array(), [[0.5, -3.0]], rtol=1e-12)
    with pytest.raises(OutOfRangeError, match="`chip`"):
        plot.conductance_map(g, chip=2)
    with pytest.raises(ShapeError, match="`g_target`"):
        plot.conductance_map(g, g_target=target.T)


def test_histograms_and_pulses_are_by_level() -> None:
    target = torch.tensor([2e-6, 2e-6, 2e-6, 8e-6])
    ax = plot.level_histogram(torch.tensor([2e-6, 2.1e-6, 3e-6, 9e-6]), target)
    assert [round(sum(bar.get_height() for bar in some)) for some in ax.containers] == [3, 1]
    assert_close([line.get_xdata()[0] for line in ax.lines], [2.0, 8.0], rtol=1e-6)
    pulses = plot.pulse_counts([1, 3, 8, 20], target)
    assert_close(pulses.containers[0].lines[0].get_ydata(), [3.0, 20.0], rtol=1e-12)
    mean = next(line for line in pulses.lines if line.get_marker() == "x")
    assert_close(mean.get_ydata(), [4.0, 20.0], rtol=1e-12)


def test_drift_groups_cells_by_where_they_start() -> None:
    start = np.linspace(2e-6, 20e-6, 12)
    ax = plot.drift([1.0, 10.0], [start[::-1], 0.5 * start[::-1]])
    assert len(ax.lines) == 6
    assert_close(ax.lines[0].get_ydata(), [1e6 * start[:2].mean(), 0.5e6 * start[:2].mean()], rtol=1e-9)
    with pytest.raises(OutOfRangeError, match="rise"):
        plot.drift([1.0, 1.0], [[1e-6], [1e-6]])


def test_pareto_fills_the_front_and_keeps_units() -> None:
    records = [
        {"energy_J_per_image_and_chip": 2e-9, "validation_accuracy": 0.9, "adc_bits": 4, "on_front": True},
        {"energy_J_per_image_and_chip": 3e-9, "validation_accuracy": 0.8, "adc_bits": 6, "on_front": False},
        {"energy_J_per_image_and_chip": None, "validation_accuracy": 0.9, "adc_bits": 6, "on_front": True},
    ]
    ax = plot.pareto(records, colour="adc_bits")
    points = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert_close([line.get_xdata()[0] for line in points], [2.0, 3.0], rtol=1e-12)
    assert_close([line.get_ydata()[0] for line in points], [90.0, 80.0], rtol=1e-12)
    assert [line.get_markerfacecolor() == "white" for line in points] == [False, True]
    assert ax.get_xlabel() == "energy of an image (nJ)"
    with pytest.raises(OutOfRangeError, match="`x` must be a column"):
        plot.pareto(records, x="energie")


def test_figures_are_written_as_svg_and_png(tmp_path: Path) -> None:
    ax = plot.waterfall({"ADC": 1.0, "cells": 3.0}, ylabel="energy (nJ)")
    svg, png = plot.save_figure(ax, tmp_path / "parts.svg")
    assert svg.read_text(encoding="utf-8").startswith("<?xml")
    assert png.read_bytes()[:4] == b"\x89PNG"
    first = svg.read_bytes()
    plot.save_figure(ax.figure, tmp_path / "parts")
    assert svg.read_bytes() == first
    with pytest.raises(TypeError, match="`drawn` must be"):
        plot.save_figure("figure", tmp_path / "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[0.5, 1.01], [0.5, float("nan")], [-0.1, 0.2]])
def test_shares_are_from_zero_to_one(values: list[float]) -> None:
    with pytest.raises(OutOfRangeError, match=r"`curves\['a'\]` must be from 0 to 1"):
        plot.learning_curves({"a": values})
    with pytest.raises(ShapeError, match="`curves` must hold something"):
        plot.learning_curves({})
    with pytest.raises(TypeError, match="`ax` must be"):
        plot.learning_curves({"a": [0.5]}, ax="no")  # type: ignore[arg-type]

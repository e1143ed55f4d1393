"""What the four panels show, against the data and the fit."""

import numpy as np

from ohmweave.cells import Cell, Spread, StuckCells, linear_steps
from ohmweave.fitting import fit_trains
from ohmweave.plot import pulse_fit
from tests.fitting.bench import cycles, measured
from tests.helpers import assert_close


def test_panels() -> None:
    law = Cell(
        linear_steps(g_min=2e-6, g_max=20e-6, levels=80, c2c=0.4),
        spread=Spread(d2d=0.2),
        faults=StuckCells(fraction=0.2, g_stuck=6e-6),
    )
    fit = fit_trains(measured(law, cells=10, pulses=cycles(3, 40, 40), seed=1, g_start=8e-6), law="linear")
    assert fit.cell.faults is not None
    figure = pulse_fit(fit)
    figure.canvas.draw()
    trains, steps, residuals, cells = figure.axes

    middle = fit.used.working[np.argsort(fit.chosen.factor)[len(fit.chosen.factor) // 2]]
    (black,) = [line for line in trains.lines if line.get_label() == fit.trains.names[middle]]
    assert_close(black.get_ydata(), 1e6 * fit.trains.g[fit.trains.cell == middle], rtol=1e-12)
    (median,) = [line for line in trains.lines if line.get_label() == "law, median"]
    assert_close(median.get_ydata(), black.get_ydata(), rtol=0.25)
    assert (median.get_ydata() == black.get_ydata()).sum() == 1  # the start: what follows is the law's own
    assert trains.get_ylabel() == "g (µS)"
    assert len(trains.lines) == len(fit.used.working) + 1

    means = {line.get_label(): line for line in steps.lines}
    for name, sign in (("SET", 1), ("RESET", -1)):
        drawn = means[f"{name}, law: mean, 5 to 95 %"]
        inner = slice(20, 40)
        step = 1e6 * fit.chosen.parameters[f"{name} step"].value
        assert_close(np.mean(drawn.get_ydata()[inner]), step, rtol=0.05)
        assert_close(np.mean(means[f"{name}, measured mean"].get_ydata()[5:10]), step, rtol=0.25)
        assert np.sign(step) == sign
    assert residuals.get_xlabel() == "residual / spread"
    assert_close(cells.containers[0].lines[0].get_ydata(), np.sort(fit.chosen.factor), rtol=1e-12)

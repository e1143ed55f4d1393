"""Several kinds of measurements make one cell."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ohmweave.base import DataError, OutOfRangeError, generator
from ohmweave.cells import (
    Cell,
    FlickerNoise,
    LevelRelaxation,
    PulseTable,
    Relaxation,
    SinhConduction,
    Spread,
    linear_steps,
    load,
    save,
)
from ohmweave.fitting import (
    Cycling,
    Measurement,
    NoiseFit,
    Readout,
    RelaxationData,
    RetentionFit,
    Sweep,
    TimeSeries,
    fit_cell,
    fit_trains,
)
from ohmweave.plot import part_fit
from tests.fitting.bench import cycles, measured
from tests.helpers import assert_close

LAW = linear_steps(g_min=2e-6, g_max=20e-6, levels=60, c2c=0.5)
TRAINS = measured(Cell(LAW, spread=Spread(d2d=0.1)), cells=6, pulses=cycles(2, 30, 30), seed=0, g_start=5e-6)


def of(*parts) -> Measurement:
    return Measurement(files=(), parts=parts)


def relaxation(*, g_start: bool = True, temperature: bool = False) -> RelaxationData:
    """Relaxation read at its write, after 10 and after 1,000 s; a second temperature that moves ten times as far."""
    n, chance = 400, generator(0, "relaxation")
    cell = Cell(LAW, retention=Relaxation(sigma_fast=0.2e-6, tau=1.0, sigma_slow=0.3e-6))
    state = cell.init_state((n,), generator=chance, dtype=torch.float64)
    state = cell.shift_conductance(state, 5e-6 + 10e-6 * torch.rand(n, generator=chance, dtype=torch.float64))
    start = cell.conductance(state).numpy()
    readings = [start]
    for wait in (10.0, 990.0):
        state = cell.relax(state, wait, generator=chance)
        readings.append(cell.conductance(state).numpy())
    time, index = np.repeat([0.0, 10.0, 1000.0], n), np.tile(np.arange(n), 3)
    g, kelvin = np.concatenate(readings), None
    if temperature:
        g = np.concatenate([g, np.tile(start, 3) + 10 * (g - np.tile(start, 3))])
        kelvin = np.repeat([300.0, 400.0], 3 * n)
        time, index = np.tile(time, 2), np.concatenate([index, index + n])
    return RelaxationData(
        names=tuple(map(str, range(index.max() + 1))), cell=index, time=time, g=g,
        g_start=np.tile(start, 3) if g_start else None, temperature=kelvin,
    )  # fmt: skip


def series(missing: int = 0) -> TimeSeries:
    chance = np.random.default_rng(1)
    g = 5e-6 + 5e-8 * chance.normal(size=(12, 1000))
    g[0, 10 : 10 + missing] = np.nan
    return TimeSeries(names=tuple(map(str, range(12))), g=tuple(g), interval=0.01)


def sweeps() -> Sweep:
    v = np.tile(np.linspace(-0.4, 0.4, 41), 3)
    i = 1e-5 * 0.3 * np.sinh(v / 0.3) * (1 + 0.01 * np.random.default_rng(2).normal(size=len(v)))
    return Sweep(names=("a", "b", "c"), cell=np.repeat([0, 1, 2], 41), v=v, i=i - 1e-7)


def cycled() -> Cycling:
    chance = np.random.default_rng(3)
    g = [one * np.exp(0.1 * chance.normal(size=400)) for one in (1e-4, 1e-5)]
    cell, cycle = np.repeat(np.arange(20), 20), np.tile(np.arange(20), 20)
    return Cycling(names=tuple(map(str, range(20))), cell=cell, cycle=cycle, g_set=g[0], g_reset=g[1])


def test_all_kinds_make_one_cell(tmp_path) -> None:
    found = fit_cell(of(TRAINS, relaxation(), series(), sweeps(), cycled()), law="linear")
    cell = found.cell
    alone = fit_trains(TRAINS, law="linear")
    assert cell.switching == alone.cell.switching
    assert [type(one) for one in cell.processes] == [LevelRelaxation, FlickerNoise]
    assert isinstance(cell.conduction, SinhConduction)
    assert_close(cell.conduction.v0, 0.3, rtol=0.05)
    assert_close(cell.processes[0].sigma[0][-1], (0.2**2 + 0.3**2) ** 0.5 * 1e-6, rtol=0.5)
    assert any("cycling is reported and not used" in note for note in found.notes)
    about = found.about()
    assert set(about["parts"]) == {"retention", "noise", "conduction", "cycling"}
    assert about["parameters"]["SET step"] == list(alone.chosen.parameters["SET step"])
    save(cell, tmp_path / "cell.json", about=about)
    assert load(tmp_path / "cell.json") == cell
    assert "CellFit" in repr(found)


def test_parts_join_a_given_cell() -> None:
    noise = FlickerNoise(g=(1e-6,), sigma=(1e-8,), tau=(1.0,), weight=(1.0,))
    base = Cell(LAW, retention=(Relaxation(sigma_slow=1e-7), noise))
    found = fit_cell([of(series()), of(sweeps())], cell=base).cell
    assert found.switching == base.switching
    assert [type(one) for one in found.processes] == [Relaxation, FlickerNoise]
    assert found.processes[0] == base.processes[0]
    assert found.processes[1] != base.processes[1]
    with pytest.raises(DataError, match="`cell` must be None where `measured` holds pulse trains"):
        fit_cell(of(TRAINS), cell=base)


def test_cycling_alone_is_a_cell_and_relaxation_is_none() -> None:
    assert fit_cell(of(cycled())).cell.switching.own_set < 0.1
    with pytest.raises(DataError, match="`measured` must hold pulse trains or cycling"):
        _ = fit_cell(of(relaxation())).cell


def test_the_first_reading_is_the_write_and_the_lowest_temperature_counts() -> None:
    known, first, warm = (
        fit_cell(of(relaxation(**options))).parts[0]
        for options in ({}, {"g_start": False}, {"g_start": False, "temperature": True})
    )
    assert isinstance(known.result, RetentionFit)
    assert first.result.part == known.result.part
    assert warm.result.part == known.result.part
    assert "first reading of each cell" in first.notes[0]
    assert "lowest temperature, 300 K, of 2" in warm.notes[0]


def test_missing_readings_of_a_series() -> None:
    whole, filled, short = (fit_cell(of(series(missing))).parts[0] for missing in (0, 5, 500))
    assert isinstance(whole.result, NoiseFit)
    assert_close(filled.result.read_noise.floor, whole.result.read_noise.floor, rtol=0.01)
    assert "5 missing readings are filled" in filled.notes[0]
    assert "left out: series 0, with 1000 readings of which 500 are missing" in short.notes[0]


def test_what_cannot_be_fitted_has_a_note() -> None:
    few = replace(series(), names=("a",), g=(np.full(1000, np.nan),))
    found = fit_cell(of(few, Readout(names=("a",), g=np.array([1e-6]))))
    assert found.cells == ()
    assert "not fitted: `g` must hold a series" in found.parts[0].notes[0]
    assert "one reading a cell" in found.parts[1].notes[0]
    assert "no cell" in repr(found)
    with pytest.raises(OutOfRangeError, match="`measured` must be a Measurement"):
        fit_cell([])
    with pytest.raises(OutOfRangeError, match="`cell` must be a Cell"):
        fit_cell(of(series()), cell=LAW)


def test_correlations_are_those_of_refitted_benches() -> None:
    """SET steps at both ends of an exponential law are anti-correlated; the sign and size against repeated benches."""
    law = linear_steps(g_min=2e-6, g_max=20e-6, levels=60, c2c=0.5)
    names = ("SET step at g_min", "SET step at g_max")
    values, said = [], []
    for seed in range(40):
        bench = measured(law, cells=1, pulses=cycles(3, 30, 30), seed=seed, g_start=5e-6)
        fit = fit_trains(bench, g_min=2e-6, g_max=20e-6, law="exponential", read_noise="none", bins=1).chosen
        at = [list(fit.parameters).index(name) for name in names]
        values.append([fit.parameters[name].value for name in names])
        said.append(fit.correlation[at[0], at[1]])
        assert_close(np.diag(fit.correlation), np.ones(5), rtol=1e-9)
    seen = np.corrcoef(np.array(values).T)[0, 1]
    assert seen < -0.3
    assert abs(np.mean(said) - seen) < 0.25


@pytest.mark.parametrize("part", [relaxation(), series(), sweeps(), cycled()])
def test_a_figure_of_each_kind(part, tmp_path) -> None:
    figure = part_fit(fit_cell(of(part)).parts[0])
    figure.savefig(tmp_path / "part.png")
    assert all(axes.get_xlabel() for axes in figure.axes)
    with pytest.raises(DataError, match="`part` must be a fit of relaxation"):
        part_fit(fit_cell(of(Readout(names=("a",), g=np.array([1e-6])))).parts[0])


def test_a_table_has_correlations_too() -> None:
    table = fit_trains(TRAINS, law="pulse-table", bins=2).chosen
    assert isinstance(table.cell.switching, PulseTable)
    assert table.correlation.shape == (8, 8)
    assert np.abs(table.correlation).max() <= 1 + 1e-9

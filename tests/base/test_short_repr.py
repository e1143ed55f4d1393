"""Reprs of objects that a user prints: one to three lines."""

import torch

from ohmweave.arrays import Wires
from ohmweave.cells import Cell, LinearStep, Relaxation, yao2020
from ohmweave.circuit import read_bias, solve_nodes
from ohmweave.fitting import fit_trains, trains_of
from ohmweave.mapping import CentredPair, DifferentialPair
from ohmweave.testing import BareArray


def test_only_arguments_that_differ_from_their_defaults_are_shown() -> None:
    assert repr(DifferentialPair()) == "DifferentialPair()"
    assert repr(DifferentialPair(levels=15, lines="rows")) == "DifferentialPair(levels=15, lines='rows')"
    assert repr(CentredPair(w_max=2.0)) == "CentredPair(w_max=2.0)"
    assert repr(Relaxation(sigma_fast=1e-6)) == "Relaxation(sigma_fast=1e-06)"


def test_a_cell_is_two_lines() -> None:
    assert repr(yao2020(read_noise=0.01)) == (
        "Cell(PulseTable(10 bins from 2e-06 to 2e-05 S, mean SET step 2.27e-07 to 1.138e-06 S, "
        "mean RESET step -6.259e-06 to -3.86e-08 S, z_max=1),\n"
        "  retention=(Relaxation(sigma_fast=4.5636242906999554e-07),), "
        "faults=StuckCells(fraction=9.999999999998899e-05, g_stuck=(2e-06, 2e-05)), "
        "read_noise=ReadNoise(fraction=0.01, floor=0.0))"
    )
    law = LinearStep(g_min=2e-6, g_max=20e-6)
    assert repr(Cell(law)) == f"Cell({law!r})"


def test_arrays_circuits_and_fits_are_short() -> None:
    assert repr(BareArray(rows=4, cols=6, n_chips=2)) == "BareArray(1 array of 4 x 6 cells, 2 chips, v_read=0.2 V)"
    wires = Wires(r_row=0.0, r_col=0.0)
    g = torch.tensor([[1e-6, 2e-6]], device="cpu")
    solution = solve_nodes(g, read_bias(torch.full((1,), 0.5, device="cpu"), wires), wires)
    assert repr(solution) == "CircuitSolution(1, 2): v_cell 0.5 to 0.5 V, i_cell 5e-07 to 1e-06 A, supplied 7.5e-07 W"
    polarity = torch.tensor([1] * 40 + [-1] * 40, device="cpu").repeat(2)
    chance = torch.Generator(device="cpu").manual_seed(0)
    steps = polarity * 0.2e-6 + 0.02e-6 * torch.randn(len(polarity), generator=chance, device="cpu")
    g = 5e-6 + torch.cat([torch.zeros(1, device="cpu"), steps.cumsum(0)])
    trains = trains_of(g[:, None].double(), polarity)
    assert repr(trains).startswith("PulseTrains(1 cell, 161 readings, g from ")
    fit = fit_trains(trains)
    assert repr(fit).startswith(f"Fit(chosen={fit.chosen.name!r} of linear, ")
    assert repr(fit).count("\n") == 1
    assert repr(fit.chosen).startswith(f"FittedLaw({fit.chosen.name!r}, ")

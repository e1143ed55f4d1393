"""Voltages across cells, and quadratic forms of the noise, against nodal solves and loops over all cells."""

import pytest
import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.circuit import (
    CellTransfers,
    Wires,
    cell_transfers,
    factor_forms,
    noise_by_pair,
    noise_forms,
    read_bias,
    series_conductance,
    solve_nodes,
)
from tests.circuit.cases import WIRES, conductances
from tests.circuit.reference import nodal
from tests.helpers import assert_close

R_CELL = 300.0
SHAPES = [(5, 4), (4, 7), (1, 5), (5, 1), (1, 1)]


def unit(n: int) -> torch.Tensor:
    return torch.eye(n, dtype=torch.float64)


def random(*shape: int, stream: str = "x") -> torch.Tensor:
    return torch.randn(shape, generator=generator(7, stream), dtype=torch.float64)


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("shape", SHAPES)
def test_voltages_across_cells_are_those_of_nodal_analysis(shape: tuple[int, int], name: str) -> None:
    g, (rows, cols) = conductances(*shape), shape
    found = cell_transfers(g, WIRES[name], drive=unit(rows), sense=unit(cols), r_cell=R_CELL)
    series = series_conductance(g, R_CELL)
    for row in range(rows):
        expected = nodal(series.numpy(), unit(rows)[row].numpy(), WIRES[name])
        v_cell = expected.v_row_wire - expected.v_col_wire
        assert_close(found.from_inputs[..., row], v_cell, rtol=1e-9, scale=1.0)
    for col in range(cols):
        bias = read_bias(torch.zeros(rows, dtype=torch.float64), WIRES[name], v_col=unit(cols)[col])
        driven = solve_nodes(g, bias, WIRES[name], r_cell=R_CELL)
        v_cell = driven.v_col_wire - driven.v_row_wire
        assert_close(found.from_outputs[..., col], v_cell, rtol=1e-9, scale=1.0)


def test_chips_and_gains_of_lines() -> None:
    g = conductances(3, 5, 4)
    drive, sense = random(5, 2), random(4, 3, stream="sense")
    found = cell_transfers(g, WIRES["everything"], drive=drive, sense=sense, r_cell=R_CELL)
    for chip in range(3):
        one = cell_transfers(g[chip], WIRES["everything"], drive=unit(5), sense=unit(4), r_cell=R_CELL)
        assert_close(found.from_inputs[chip], one.from_inputs @ drive, rtol=1e-12, scale=1.0)
        assert_close(found.from_outputs[chip], one.from_outputs @ sense, rtol=1e-12, scale=1.0)


@pytest.mark.parametrize("transposed", [False, True])
def test_forms_are_sums_over_cells(transposed: bool) -> None:
    transfers = CellTransfers(random(2, 3, 4, 5), random(2, 3, 4, 6, stream="outputs"))
    sigma = random(2, 3, 4, stream="sigma").abs()
    driven, sensed = reversed(transfers) if transposed else transfers
    expected = torch.zeros(2, sensed.shape[-1], driven.shape[-1], driven.shape[-1], dtype=torch.float64)
    for chip in range(2):
        for row in range(3):
            for col in range(4):
                v = driven[chip, row, col]
                spread = sensed[chip, row, col] * sigma[chip, row, col]
                expected[chip] += spread[:, None, None] ** 2 * v[:, None] * v
    found = noise_forms(transfers, sigma, transposed=transposed)
    assert_close(found, expected, rtol=1e-12, scale=1.0)
    by_pair = noise_by_pair(transfers, sigma)
    diagonal = expected.diagonal(dim1=-2, dim2=-1)
    assert_close(by_pair, diagonal if transposed else diagonal.mT, rtol=1e-12)


def forms_of(wires: Wires, rows: int = 24) -> torch.Tensor:
    g = 2e-6 + 178e-6 * torch.rand(rows, 6, generator=generator(2, "g"), dtype=torch.float64)
    transfers = cell_transfers(g, wires, drive=unit(rows), sense=unit(6)[:, 0::2] - unit(6)[:, 1::2])
    return noise_forms(transfers, 1e-8 + 0.01 * g)


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("name", ["everything", "both", "ends alone", "segments"])
def test_factors_are_within_the_tolerance_for_any_vector(name: str, tolerance: float) -> None:
    """Also for the worst vectors: the generalized eigenvectors of the forms with and without the terms left out."""
    forms = forms_of(WIRES[name])
    factors = factor_forms(forms, tolerance=tolerance)
    reduced = torch.diag_embed(factors.diagonal)
    reduced += factors.vectors.mT @ (factors.weights[..., None] * factors.vectors)
    root = torch.linalg.inv(torch.linalg.cholesky(forms))
    ratio, worst = torch.linalg.eigh(root @ reduced @ root.mT)
    assert float((ratio - 1).abs().max()) < tolerance + 1e-9
    for v in (random(9, 24), *(root.mT @ worst).mT):
        exact = torch.einsum("...i,oij,...j->...o", v, forms, v)
        assert_close(factors.evaluate(v), exact, rtol=tolerance + 1e-9)
    if tolerance:
        assert factors.rank < 24


def test_a_sense_resistance_needs_two_squares_and_a_small_one_none() -> None:
    assert factor_forms(forms_of(Wires(r_row=0.0, r_col=0.0, r_sense=100.0)), tolerance=0.05).rank == 2
    assert factor_forms(forms_of(Wires(r_row=0.0, r_col=0.0, r_sense=1.0)), tolerance=0.05).rank == 0


def test_inputs_without_noise() -> None:
    """Zeros on a diagonal, and a form that is zero."""
    forms = torch.zeros(2, 4, 4, dtype=torch.float64)
    forms[0, :3, :3] = torch.tensor([[4.0, 1.0, 0.5], [1.0, 9.0, 2.0], [0.5, 2.0, 1.0]])
    factors = factor_forms(forms, tolerance=0.01)
    v = torch.tensor([[1.0, -2.0, 3.0, 5.0]], dtype=torch.float64)
    assert_close(factors.evaluate(v)[0, 0], v[0] @ forms[0] @ v[0], rtol=0.01)
    assert float(factors.evaluate(v)[0, 1]) == 0.0


def test_negative_conductances_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="`g` must be finite and >= 0 S"):
        cell_transfers(-unit(2), WIRES["segments"], drive=unit(2), sense=unit(2))

"""Open columns against the nodal solution of the whole circuit."""

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.circuit import (
    Bias,
    LineEnd,
    SettledColumns,
    VoltageSense,
    Wires,
    open_column_energy,
    settle_columns,
    solve_nodes,
)
from tests.helpers import assert_close

G = torch.tensor([[1e-6, 2e-5, 4e-5], [3e-5, 5e-6, 1e-6], [2e-6, 4e-5, 8e-6], [1e-5, 1e-6, 2e-5]]).double()
V = torch.tensor([[0.5, -0.2, 0.1, 0.3], [0.0, 0.4, -0.5, 0.2]]).double()
NEARLY_IDEAL = Wires(r_row=1e-3, r_col=1e-3)
"""1e-3 Ohm a segment beside cells of 25 kOhm and more: less than 1e-6 of any voltage."""


def nodal(v: torch.Tensor, g: torch.Tensor = G, load: float = 0.0):  # type: ignore[no-untyped-def]
    """The circuit with floating columns, or with a resistor at their lower ends."""
    bottom = LineEnd(v=0.0, r=1 / load) if load else LineEnd(v=0.0, r=torch.inf)
    return solve_nodes(g, Bias(left=LineEnd(v=v), bottom=bottom), NEARLY_IDEAL)


@pytest.mark.parametrize("load", [0.0, 2e-5])
def test_columns_settle_where_nodal_analysis_says(load: float) -> None:
    settled = settle_columns(G, V, g_load=load)
    for row, v in enumerate(V):
        assert_close(settled.v_col[row], nodal(v, load=load).v_col_wire[-1], rtol=1e-5)


def test_times_the_conductance_it_is_the_current_of_clamped_columns() -> None:
    settled = settle_columns(G, V)
    assert_close(settled.v_col * settled.g_col, V @ G, rtol=1e-12)
    chips = torch.stack([G, 2 * G])
    assert_close(settle_columns(chips, V).v_col, torch.stack([settled.v_col, settled.v_col]), rtol=1e-12)


@pytest.mark.parametrize("load", [0.0, 2e-5])
def test_energy_is_the_power_of_the_sources(load: float) -> None:
    energy = open_column_energy(G, V, t_read=1e-7, g_load=load)
    powers = torch.stack([nodal(v, load=load).power.supplied for v in V])
    assert_close(energy, 1e-7 * powers, rtol=1e-5)
    with_charge = open_column_energy(G, V, t_read=1e-7, c_col=1e-13, g_load=load)
    u = settle_columns(G, V, g_load=load).v_col
    assert_close(with_charge - energy, 1e-13 * u.square().sum(dim=-1), rtol=1e-7)


def test_open_columns_take_less_than_clamped_ones() -> None:
    clamped = 1e-7 * (V.square() @ G).sum(dim=-1)
    assert bool((open_column_energy(G, V, t_read=1e-7) < clamped).all())


def test_sense_rounds_voltages_and_restores_products() -> None:
    sense = VoltageSense(bits=4, v_max=0.7)  # codes -7 to 7, 0.1 V each
    settled = SettledColumns(
        torch.tensor([[0.26, -0.14, 0.9, -2.0]]).double(), torch.tensor([[1e-5, 2e-5, 3e-5, 4e-5]])
    )
    wanted = torch.tensor([[0.3e-5, -0.2e-5, 2.1e-5, -2.8e-5]], dtype=torch.float64)
    assert_close(sense.products(settled), wanted, rtol=1e-6)
    fine = VoltageSense(bits=20, v_max=0.5).products(settle_columns(G, V))
    assert_close(fine, V @ G, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: settle_columns(G, V, g_load=-1e-6), "g_load"),
        (lambda: settle_columns(torch.zeros(4, 3), V), "g"),
        (lambda: open_column_energy(G, V, t_read=0.0), "t_read"),
        (lambda: open_column_energy(G, V, t_read=1e-7, c_col=-1e-13), "c_col"),
        (lambda: VoltageSense(bits=1, v_max=0.5), "bits"),
        (lambda: VoltageSense(bits=8, v_max=0.0), "v_max"),
    ],
)
def test_refuses(call, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OutOfRangeError, match=f"`{name}`"):
        call()

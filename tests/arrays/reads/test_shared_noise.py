"""Read noise of linear cells behind shared resistances, against nodal solves of the whole array with moved cells."""

import pytest
import torch

from ohmweave.arrays import ADC, DAC, ConvGeometry, Placement, SimulatedArray, Tile, Transistors, Wires, cells_of
from ohmweave.arrays.reads.shared_noise import MAX_COUPLING
from ohmweave.base import generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise
from ohmweave.circuit import LineEnd, read_bias, solve_nodes
from tests.helpers import assert_close

LAW = LinearStep(g_min=2e-6, g_max=200e-6, levels=1_000)
FRACTION, FLOOR = 0.01, 1e-7  # S
N_READS = 20_000
SPREAD = 0.02  # four standard errors of a standard deviation from 20,000 reads
IDEAL = Wires(r_row=0.0, r_col=0.0)
WIRES = {
    "sense 10": Wires(r_row=0.0, r_col=0.0, r_sense=10.0),
    "sense 100": Wires(r_row=0.0, r_col=0.0, r_sense=100.0),
    "sense 1000": Wires(r_row=0.0, r_col=0.0, r_sense=1_000.0),
    "drivers": Wires(r_row=0.0, r_col=0.0, r_driver=300.0),
    "segments 1": Wires(r_row=1.0, r_col=1.0),
    "segments 5": Wires(r_row=5.0, r_col=5.0),
    "all": Wires(r_row=20.0, r_col=35.0, r_driver=80.0, r_sense=150.0, driven_from="both"),
}


def placed(rows: int, cols: int, **gains: tuple[float, ...]) -> Placement:
    """All cells of one array."""
    tiles = (Tile(array=0, row=0, col=0, rows=rows, cols=cols, row_line=0, col_line=0),)
    return Placement(tiles=tiles, cells=cells_of(tiles, rows=rows, cols=cols), **gains)


def noisy(rows: int, cols: int, wires: Wires, *, r_on: float = 0.0, **parts: object) -> SimulatedArray:
    """Cells of 2 to 180 uS, 90 uS on average, all different."""
    law = Cell(LAW, read_noise=ReadNoise(fraction=FRACTION, floor=FLOOR))
    array = SimulatedArray(
        law, rows=rows, cols=cols, dtype=torch.float64, seed=3, wires=wires, access=Transistors(r_on=r_on), **parts
    )
    cells = torch.arange(rows * cols)
    array.pulse(cells, Pulse(torch.ones(len(cells)), n=1 + (cells * 389) % 900))
    return array


def conductance(array: SimulatedArray) -> torch.Tensor:
    return array.cell.conductance(array.bank.state).view(array.rows, array.cols)


def moved(array: SimulatedArray) -> tuple[torch.Tensor, torch.Tensor]:
    """The conductances with one cell after another moved up and down by a part of its noise, `(2, cells, ...)`."""
    g = conductance(array)
    sigma = FRACTION * g + FLOOR
    step = torch.diag(sigma.flatten() * 1e-2).view(-1, *g.shape)
    return torch.stack([g + step, g - step]), sigma


def spread_by_differences(
    array: SimulatedArray, wires: Wires, v_row: torch.Tensor, out: torch.Tensor, *, r_on: float = 0.0
) -> torch.Tensor:
    """Standard deviations of `i_col @ out`, A: each cell is moved by itself, and all nodes are solved again."""
    both, _ = moved(array)
    high, low = (solve_nodes(g, read_bias(v_row, wires), wires, r_cell=r_on).i_col @ out for g in both)
    return ((high - low) / 2e-2).square().sum(0).sqrt()


def inputs(rows: int, signs: str) -> torch.Tensor:
    """Of one sign or of both, all different."""
    v = 0.05 + 0.15 * torch.rand(rows, generator=generator(1, "v"), dtype=torch.float64)
    return v if signs == "one" else v * (1 - 2 * (torch.arange(rows) % 2))


@pytest.mark.parametrize("signs", ["one", "both"])
@pytest.mark.parametrize("name", WIRES)
def test_noise_of_a_read_is_what_moved_cells_show(name, signs):
    """Differences of columns: noise that drivers and row wires share between columns counts with its sign."""
    array = noisy(12, 6, WIRES[name], r_on=500.0)
    v = inputs(12, signs)
    found = array.read(v.expand(N_READS, 12).contiguous(), placed(12, 6, col_gain=(1.0, -1.0))).std(0)
    out = torch.eye(3, dtype=torch.float64).repeat_interleave(2, 0) * torch.tensor([1.0, -1.0] * 3)[:, None]
    expected = spread_by_differences(array, WIRES[name], v, out.double(), r_on=500.0)
    assert_close(found, expected, rtol=SPREAD + MAX_COUPLING / 2)

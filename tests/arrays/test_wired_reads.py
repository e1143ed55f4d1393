"""Reads, readouts and noise behind wires, against a sparse nodal solve of the whole array and against loops."""

import pytest
import torch

from ohmweave.arrays import DAC, Passive, SimulatedArray, Transistors, Wires
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise
from ohmweave.circuit import read_bias, solve_nodes
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

LAW = LinearStep(g_min=2e-6, g_max=200e-6, levels=1_000)
WIRES = Wires(r_row=20.0, r_col=35.0, r_driver=80.0, r_sense=15.0)
STEP = (LAW.g_max - LAW.g_min) / 999


def written(mapping: DifferentialPair, shape: tuple[int, int] = (5, 14), **parts: object) -> tuple[Chip, Matrix]:
    """Two chips of three arrays with a random matrix, cut into several tiles, and another beside it."""
    law = parts.pop("law", LAW)
    chip = Chip(law, n_arrays=6, rows=12, cols=9, n_chips=2, seed=2, dtype=torch.float64, **parts)  # type: ignore[arg-type]
    chance = generator(4, "weights")
    matrices = []
    for name, size in (("w", shape), ("beside", (2, 4))):
        matrix = Matrix(chip, name, size, mapping=mapping)
        matrix.program(torch.randn(2, *size, generator=chance, dtype=torch.float64), BlindWrite(g_step=STEP))
        matrices.append(matrix)
    return chip, matrices[0]


def true_conductance(chip: Chip) -> torch.Tensor:
    array = chip.array
    assert isinstance(array, SimulatedArray)
    return array.cell.conductance(array.bank.state).view(-1, array.n_arrays, array.rows, array.cols)


def read_by_nodes(chip: Chip, matrix: Matrix, v: torch.Tensor, r_on: float = 0.0) -> torch.Tensor:
    """Tile after tile, input after input: the nodal solve of its whole array, all other rows at 0 V."""
    placement, g = matrix.placement, true_conductance(chip)
    h, c = len(placement.row_gain), len(placement.col_gain)
    out = torch.zeros(*v.shape[:-1], placement.n_out, dtype=torch.float64)
    for n in range(v.shape[0]):
        for b in range(v.shape[1]):
            for tile in placement.tiles:
                v_row = torch.zeros(chip.array.rows, dtype=torch.float64)
                for r in range(tile.rows):
                    line = tile.row_line + r
                    v_row[tile.row + r] = v[n, b, line // h] * placement.row_gain[line % h]
                i_col = solve_nodes(g[n, tile.array], read_bias(v_row, WIRES), WIRES, r_cell=r_on).i_col
                for k in range(tile.cols):
                    line = tile.col_line + k
                    out[n, b, line // c] += placement.col_gain[line % c] * i_col[tile.col + k]
    return out


@pytest.mark.parametrize(
    "mapping", [DifferentialPair(), DifferentialPair(lines="rows"), DifferentialPair(copies=(1, 2))], ids=str
)
def test_a_read_is_that_of_the_whole_circuit(mapping):
    chip, matrix = written(mapping, wires=WIRES, access=Transistors(r_on=300.0))
    v = torch.randn(2, 3, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.05
    i_col = chip.array.read(v, matrix.placement)
    assert_close(i_col, read_by_nodes(chip, matrix, v, r_on=300.0), rtol=1e-9, scale=float(i_col.abs().max()))


def test_a_pulse_anywhere_on_the_array_changes_the_next_read():
    """Also a cell of another matrix: it loads the same wires. Arrays that were not touched stay as they are."""
    chip, matrix = written(DifferentialPair(), wires=WIRES)
    v = torch.full((2, 1, 14), 0.2, dtype=torch.float64)
    before = chip.array.read(v, matrix.placement)
    stranger = torch.tensor([12 * 9 - 1])  # the last cell of the first array of the first chip
    chip.array.pulse(stranger, Pulse(torch.tensor([1]), n=torch.tensor([900])))
    after = chip.array.read(v, matrix.placement)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert_close(after, read_by_nodes(chip, matrix, v), rtol=1e-9, scale=float(after.abs().max()))
    chip.wait(1.0)
    assert_close(chip.array.read(v, matrix.placement), after, rtol=1e-12)


def test_transposed_read_is_reciprocal():
    chip, matrix = written(DifferentialPair(), wires=WIRES)
    v_row = 0.2 * torch.eye(14, dtype=torch.float64).expand(2, -1, -1)
    v_col = 0.2 * torch.eye(5, dtype=torch.float64).expand(2, -1, -1)
    forward = chip.array.read(v_row, matrix.placement)
    assert_close(chip.array.read_transposed(v_col, matrix.placement), forward.mT, rtol=1e-12)


def test_cells_are_measured_alone_behind_their_own_path():
    chip, _ = written(DifferentialPair(), wires=WIRES, access=Transistors(r_on=300.0))
    cells = torch.arange(2 * 6 * 12 * 9)
    measured = chip.array.readout(cells).view(2, 6, 12, 9)
    g = true_conductance(chip)
    for row, col in ((0, 0), (0, 8), (11, 0), (11, 8), (4, 6)):
        lonely = torch.zeros_like(g)
        lonely[..., row, col] = g[..., row, col]
        v_row = torch.zeros(2, 6, 12, dtype=torch.float64)
        v_row[..., row] = 1.0
        alone = solve_nodes(lonely, read_bias(v_row, WIRES), WIRES, r_cell=300.0)
        assert_close(measured[..., row, col], alone.i_col[..., col], rtol=1e-9)


def test_both_ends_driven_shorten_the_path():
    wires = Wires(r_row=20.0, r_col=35.0, r_driver=80.0, driven_from="both")
    array = SimulatedArray(LAW, rows=3, cols=4, v_read=2.0, wires=wires, dtype=torch.float64)
    array.pulse(torch.tensor([6]), Pulse(torch.tensor([1]), n=torch.tensor([500])))
    g = array.cell.conductance(array.bank.state)[6]
    r_path = 1 / (1 / (80 + 3 * 20) + 1 / (80 + 2 * 20)) + 2 * 35
    assert_close(array.readout(torch.tensor([6]))[0], 1 / (1 / g + r_path), rtol=1e-12)


def test_fast_readout_is_what_reads_see():
    chip, matrix = written(DifferentialPair(), wires=WIRES, readout="read")
    v = torch.randn(2, 6, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.05
    seen = v @ matrix.readout().mT * matrix.g_per_w
    assert_close(seen, chip.array.read(v, matrix.placement), rtol=1e-12, scale=float(seen.abs().max()))


def test_noise_behind_wires_is_weakened_as_a_change_of_the_cell_is():
    """Finite differences of the nodal solve: what a change of a cell does at its own column, from its own row."""
    law = Cell(LAW, read_noise=ReadNoise(floor=3e-7))
    weak = Wires(r_row=30.0, r_col=30.0)
    chip, matrix = written(DifferentialPair(), law=law, wires=weak)
    array = chip.array
    assert isinstance(array, SimulatedArray)
    _, variance = array._reader.seen.signed_matrix(matrix.placement)
    g = true_conductance(chip)
    h = 1e-9
    for out, row in ((0, 0), (3, 9), (1, 11)):
        expected = 0.0
        for line in (2 * out, 2 * out + 1):
            place = int(matrix.cells[0, row, line])
            index, at_row, at_col = place // 108, place // 9 % 12, place % 9
            moved = g[0, index].clone()
            moved[at_row, at_col] += h
            v_row = torch.zeros(12, dtype=torch.float64)
            v_row[at_row] = 1.0
            bias = read_bias(v_row, weak)
            change = solve_nodes(moved, bias, weak).i_col - solve_nodes(g[0, index], bias, weak).i_col
            expected += (float(change[at_col]) / h * 3e-7) ** 2
        assert variance is not None
        assert_close(variance[0, row, out], expected, rtol=0.02)  # the other cells' noise is below that


def test_ideal_wires_change_nothing():
    plain, same = (written(DifferentialPair(), **parts) for parts in ({}, {"wires": Wires(r_row=0.0, r_col=0.0)}))
    v = torch.randn(2, 3, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.05
    currents = [chip.array.read(v, matrix.placement) for chip, matrix in (plain, same)]
    assert_close(currents[1], currents[0], rtol=1e-12)
    cells = plain[1].cells
    assert_close(same[0].array.readout(cells), plain[0].array.readout(cells), rtol=1e-12)


def test_bad_parts():
    with pytest.raises(OutOfRangeError, match="`readout` must be 'cell' or 'read', but is 'fast'"):
        Chip(LAW, rows=2, cols=2, readout="fast")  # type: ignore[arg-type]
    with pytest.raises(OutOfRangeError, match="`readout` must be 'read' for a passive array"):
        Chip(LAW, rows=2, cols=2, access=Passive(v_set=1.0, v_reset=1.0))
    with pytest.raises(OutOfRangeError, match="`cell` must feel the voltage"):
        Chip(LAW, rows=2, cols=2, access=Passive(v_set=1.0, v_reset=1.0), readout="read")
    with pytest.raises(OutOfRangeError, match="`r_on` must be >= 0 Ohm"):
        Transistors(r_on=-1.0)
    with pytest.raises(OutOfRangeError, match="`v_set` must be > 0 V"):
        Transistors(v_set=0.0, v_reset=1.0)
    with pytest.raises(OutOfRangeError, match="`scheme` must be"):
        Passive(v_set=1.0, v_reset=1.0, scheme="quarter")  # type: ignore[arg-type]


def test_state_with_wires_goes_on_bit_for_bit():
    first, matrix = written(
        DifferentialPair(), wires=WIRES, law=Cell(LAW, read_noise=ReadNoise(fraction=0.1)), dac=DAC(bits=4, v_max=0.2)
    )
    second, twin = written(
        DifferentialPair(), wires=WIRES, law=Cell(LAW, read_noise=ReadNoise(fraction=0.1)), dac=DAC(bits=4, v_max=0.2)
    )
    v = torch.rand(2, 3, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.2
    first.array.read(v, matrix.placement)
    first.array.pulse(matrix.cells.flatten()[:5], Pulse(torch.ones(5)))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.array.read(v, matrix.placement), second.array.read(v, twin.placement))


@pytest.mark.parametrize("r_on", [0.0, 20_000.0])
@pytest.mark.parametrize("way", ["read", "readout by cell", "readout by read"])
def test_the_noise_of_a_cell_is_what_a_change_of_it_shows(way, r_on):
    """A cell's conductance is moved, and the whole circuit solved again: no formula in between.

    A path of some 10 kOhm makes the factors of the noise, the voltage across the cell and the part of its current that
    is sensed, differ from 1 and from each other: leaving out either fails.
    """
    wires = Wires(r_row=2.0, r_col=2.0, r_driver=10_000.0 if way == "readout by cell" else 0.0)
    law = Cell(LAW, read_noise=ReadNoise(floor=3e-7))
    chip = Chip(
        law,
        rows=6,
        cols=5,
        seed=2,
        dtype=torch.float64,
        wires=wires,
        access=Transistors(r_on=r_on),
        readout="read" if way == "readout by read" else "cell",
    )
    array = chip.array
    assert isinstance(array, SimulatedArray)
    everywhere = torch.arange(30)
    array.pulse(everywhere, Pulse(torch.ones(30), n=everywhere * 31 + 9))
    g = true_conductance(chip)[0, 0]

    def seen(conductances: torch.Tensor, row: int, col: int) -> float:
        """The current of one column for 1 V at one row: what is measured of the cell where they cross."""
        if way == "readout by cell":  # all other transistors are off
            alone = torch.zeros_like(conductances)
            alone[row, col] = conductances[row, col]
            conductances = alone
        v_row = torch.zeros(6, dtype=torch.float64)
        v_row[row] = 1.0
        return float(solve_nodes(conductances, read_bias(v_row, wires), wires, r_cell=r_on).i_col[col])

    if way == "read":
        _, sigma = array._reader.seen.at(everywhere)
        assert sigma is not None
        found = sigma.view(6, 5)
    else:
        found = torch.stack([array.readout(everywhere) for _ in range(20_000)]).std(0).view(6, 5)
    shares = []
    for row, col in ((0, 0), (2, 4), (5, 1), (5, 4)):
        h = g[row, col] * 1e-4
        up, down = g.clone(), g.clone()
        up[row, col] += h
        down[row, col] -= h
        slope = (seen(up, row, col) - seen(down, row, col)) / float(2 * h)
        assert_close(found[row, col], 3e-7 * slope, rtol=0.01 if way == "read" else 0.03)
        shares.append(slope)
    if r_on or way == "readout by cell":
        assert min(shares) < 0.4  # one factor alone is far outside the tolerance

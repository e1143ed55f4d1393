"""The part of the contract of arrays that is about reads; see `ArrayContract`."""

from abc import ABC, abstractmethod
from itertools import product

import torch

from ohmweave.arrays import Array, Placement, Tile, cells_of
from ohmweave.base import generator
from ohmweave.cells import Pulse


class ArrayReadContract(ABC):
    """Tests of the reads of one array, and what all tests of arrays share.

    Attributes:
        exact: True if reads and readouts repeat to the last digits: no read noise.
        linear: True if currents are proportional to voltages: no converters, linear cells.
        sees_readout: True if a read is the product of voltages and the conductances that `readout` measures: no wires
            that affect the two differently.
        signed: True if negative voltages may be applied.
        transposed: True if `read_transposed` works.
        monotonic: True if no SET lowers a conductance and no RESET raises one: no noise of steps.
        selective: True if a pulse changes the listed cells only; False for passive arrays.
        tolerance: of products, relative to the largest possible current.
    """

    exact = True
    linear = True
    sees_readout = True
    signed = True
    transposed = True
    monotonic = True
    selective = True
    tolerance = 1e-6

    @abstractmethod
    def make_array(self) -> Array:
        """A new array, the same in every call."""

    def test_reads_have_shape_type_and_device(self) -> None:
        """Of vectors, of an empty batch, of cells."""
        array, place = self._placed()
        for n in (0, 1, 5):
            i_col = array.read(self._volts(array, n, place.n_in), place)
            assert i_col.shape == (*array.chip_shape, n, place.n_out), "`read` must return (*chips, batch, n_out)"
            assert i_col.dtype == array.dtype, "currents must be of the array's dtype"
            assert i_col.device == array.device, "currents must be on the array's device"
        cells = array.cells(place)
        assert array.readout(cells).shape == cells.shape, "`readout` must return the shape of `cells`"

    def test_a_read_is_the_loop_over_tiles_lines_and_signs(self) -> None:
        """Sum over tiles, rows and columns of gain x voltage x measured conductance, one product at a time."""
        if not (self.exact and self.linear and self.sees_readout):
            return
        array, place = self._placed()
        v = self._volts(array, 3, place.n_in)
        found, g = array.read(v, place), array.readout(array.cells(place))
        expected = self._by_loops(array, place, v, g)
        self._same(found, expected, array, "a read is not the sum of voltages times measured conductances")

    def test_no_voltage_no_current(self) -> None:
        """Zero in, zero out."""
        array, place = self._placed()
        if self.exact:
            i_col = array.read(self._volts(array, 2, place.n_in) * 0, place)
            self._same(i_col, i_col * 0, array, "currents flow where no voltage is applied")

    def test_exact_reads_are_linear(self) -> None:
        """Half the voltages, half the currents; currents of a sum are the sum of currents."""
        if not (self.exact and self.linear):
            return
        array, place = self._placed()
        v = self._volts(array, 2, place.n_in) / 2
        one, other = (array.read(part, place) for part in v.split(1, dim=-2))
        both = array.read(v.sum(-2, keepdim=True), place)
        self._same(both, one + other, array, "the read of a sum is not the sum of the reads")
        self._same(array.read(v / 2, place)[..., :1, :], one / 2, array, "half the voltage is not half the current")

    def test_a_transposed_read_is_the_adjoint(self) -> None:
        """Y . read(x) is x . read_transposed(y)."""
        if not (self.exact and self.linear and self.transposed):
            return
        array, place = self._placed()
        x, y = self._volts(array, 1, place.n_in), self._volts(array, 1, place.n_out)
        forward = (array.read(x, place) * y).sum(-1)
        backward = (array.read_transposed(y, place) * x).sum(-1)
        self._same(forward, backward, array, "`read_transposed` is not the transposed map of `read`")

    def test_samples_of_a_batch_are_independent(self) -> None:
        """A batch is its vectors read one by one."""
        if not self.exact:
            return
        array, place = self._placed()
        v = self._volts(array, 4, place.n_in)
        together = array.read(v, place)
        alone = torch.cat([array.read(part, place) for part in v.split(1, dim=-2)], dim=-2)
        self._same(together, alone, array, "a vector is read differently beside others")

    def test_reads_change_nothing(self) -> None:
        """Neither cells nor what is passed in; without `wait` no time passes."""
        array, place = self._placed()
        cells = array.cells(place)
        v = self._volts(array, 3, place.n_in)
        volts, before = v.clone(), array.readout(cells)
        first = array.read(v, place)
        for _ in range(3):
            array.read(v, place)
            array.readout(cells)
        assert torch.equal(v, volts), "`read` changed the voltages that were passed in"
        if self.exact:
            assert torch.equal(array.readout(cells), before), "reads and readouts changed conductances"
            self._same(array.read(v, place), first, array, "the same read gave another result")

    # Placement, voltages and comparisons of the tests

    def _placed(self) -> tuple[Array, Placement]:
        """A new array, and 2 inputs of one line by 3 outputs of two lines on it, in two tiles, all cells different."""
        array = self.make_array()
        tiles = (
            Tile(array=array.n_arrays - 1, row=2, col=0, rows=1, cols=6, row_line=0, col_line=0),
            Tile(array=0, row=1, col=0, rows=1, cols=6, row_line=1, col_line=0),
        )
        cells = cells_of(tiles, rows=array.rows, cols=array.cols)
        place = Placement(tiles=tiles, cells=cells, col_gain=(1.0, -1.0))
        at = array.cells(place).flatten()
        n = torch.arange(len(at), device=array.device) * 7 % 11 + 1
        array.pulse(at, Pulse(torch.ones_like(at), n=n))
        return array, place

    def _volts(self, array: Array, n: int, n_lines: int) -> torch.Tensor:
        """`(*chips, n, n_lines)` V within the read voltage, all different."""
        v = torch.rand(
            *array.chip_shape, n, n_lines, generator=generator(0, "volts"), dtype=torch.float64, device="cpu"
        )
        v = (v * 2 - 1) if self.signed else v
        return (v * array.v_read).to(array.device, array.dtype)

    def _by_loops(self, array: Array, place: Placement, v: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        by_chip = zip(v.reshape(-1, *v.shape[-2:]).tolist(), g.reshape(-1, *place.cells.shape).tolist(), strict=True)
        found = []
        for drives, cells in by_chip:
            for drive in drives:
                currents = [0.0] * place.n_out
                for tile in place.tiles:
                    for row, col in product(range(tile.rows), range(tile.cols)):
                        line, out = tile.row_line + row, tile.col_line + col
                        currents[out // 2] += place.col_gain[out % 2] * drive[line] * cells[line][out]
                found.append(currents)
        flat = torch.tensor(found, dtype=array.dtype, device=array.device)
        return flat.view(*v.shape[:-1], place.n_out)

    def _same(self, found: torch.Tensor, expected: torch.Tensor, array: Array, what: str) -> None:
        """Raise with `what` unless both agree to `tolerance` of the largest possible current."""
        limit = self.tolerance * 4 * array.g_max * array.v_read
        difference = float((found - expected).abs().max()) if found.numel() else 0.0
        assert difference <= limit, f"{what}: {difference:.3g} A apart, {limit:.3g} A allowed"

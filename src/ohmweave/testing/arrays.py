"""What every array must do, as a class of tests: for simulated arrays, drivers of real boards, and yours.

    class TestMyBoard(ArrayContract):
        def make_array(self):
            return MyBoard(...)

Messages say in words what is wrong. Attributes of the class say which promises an array does not make.
"""

from collections.abc import Callable

import torch

from ohmweave.arrays import Array, Placement, SavedState
from ohmweave.base import OhmweaveError
from ohmweave.cells import Pulse
from ohmweave.testing.array_reads import ArrayReadContract


class ArrayContract(ArrayReadContract):
    """Tests of one array. Its crossbars need at least 4 rows and 6 columns; every test makes a new array.

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

    def test_sizes_and_windows_are_plausible(self) -> None:
        """Sizes, chips, window, read voltage, usable cells."""
        array = self.make_array()
        assert array.rows >= 4, "the contract needs at least 4 rows"
        assert array.cols >= 6, "the contract needs at least 6 columns"
        assert array.n_arrays >= 1, "`n_arrays` must be >= 1"
        expected = () if array.n_chips is None else (array.n_chips,)
        assert tuple(array.chip_shape) == expected, "`chip_shape` must be () for one chip and (n_chips,) for several"
        assert 0 <= array.g_min < array.g_max < 1, "`g_min` and `g_max` must be conductances in S, in this order"
        assert 0 < array.v_read < 100, "`v_read` must be a voltage in V"
        usable = array.usable
        shape = (array.n_arrays, array.rows, array.cols)
        assert tuple(usable.shape) == shape, "`usable` must have the shape (n_arrays, rows, cols)"
        assert usable.dtype == torch.bool, "`usable` must be bool"

    def test_cells_are_addressed_chip_by_chip(self) -> None:
        """Chip k of a placement is chip 0, shifted by k times the cells of a chip."""
        array, place = self._placed()
        cells = array.cells(place)
        assert cells.shape == (*array.chip_shape, *place.cells.shape), "`cells` must be (*chips, row lines, columns)"
        assert cells.dtype == torch.int64, "`cells` must be int64"
        for chip, of_chip in enumerate(cells.reshape(-1, *place.cells.shape)):
            first = chip * array.n_arrays * array.rows * array.cols
            assert torch.equal(of_chip.cpu(), place.cells + first), f"the cells of chip {chip} are at the wrong index"

    def test_pulses_move_the_listed_cells_in_their_direction(self) -> None:
        """SET raises, RESET lowers, polarity 0 and cells that are not listed stay."""
        if not (self.exact and self.selective):
            return
        array, place = self._placed()
        cells = array.cells(place).flatten()
        before = array.readout(cells)
        k = 6
        polarity = torch.tensor([1, -1, 0] * (k // 3), device=array.device)
        array.pulse(cells[:k], Pulse(polarity, n=torch.full((k,), 3, device=array.device)))
        moved = array.readout(cells) - before
        if self.monotonic:
            assert bool((moved[:k][polarity > 0] >= 0).all()), "a SET lowered a conductance"
            assert bool((moved[:k][polarity < 0] <= 0).all()), "a RESET raised a conductance"
        assert bool((moved[:k][polarity == 0] == 0).all()), "polarity 0 moved a cell"
        assert bool((moved[k:] == 0).all()), "a pulse moved cells that were not listed"

    def test_nonsense_is_refused_and_leaves_all_as_it_was(self) -> None:
        """Polarities, counts, indices and shapes; then neither a cell nor a counter has changed."""
        array, place = self._placed()
        cells = array.cells(place).flatten()[:3]
        one = torch.ones(3, device=array.device)
        n_cells = max(1, array.n_chips or 1) * array.n_arrays * array.rows * array.cols
        nan = torch.tensor([1.0, float("nan"), 0.0], device=array.device)
        nonsense = {
            "a polarity of 2": (cells, Pulse(one * 2)),
            "a polarity of 0.5": (cells, Pulse(one / 2)),
            "a polarity of NaN": (cells, Pulse(nan)),
            "-3 pulses": (cells, Pulse(one, n=-3 * one.long())),
            "NaN pulses": (cells, Pulse(one, n=nan)),
            "a cell before the first": (cells - cells.max() - 1, Pulse(one)),
            "a cell behind the last": (cells + n_cells, Pulse(one)),
            "a cell listed twice": (cells[[0, 1, 0]], Pulse(one)),
            "another number of polarities": (cells, Pulse(one[:2])),
        }
        before, counted = array.readout(cells), array.books.activity.copy()
        for what, (at, pulse) in nonsense.items():
            assert _raises(lambda at=at, pulse=pulse: array.pulse(at, pulse)), f"`pulse` accepted {what}"  # type: ignore[misc]
            assert array.books.activity == counted, f"`pulse` counted {what}, which it refused"
        assert _raises(lambda: array.wait(-1.0)), "`wait` accepted -1 s"
        assert array.books.activity == counted, "`wait` counted -1 s, which it refused"
        if self.exact:
            assert torch.equal(array.readout(cells), before), "a refused call changed conductances"

    def test_chips_are_independent(self) -> None:
        """Pulses and voltages of one chip change nothing on the others."""
        array, place = self._placed()
        if array.n_chips is None or array.n_chips < 2 or not self.exact:
            return
        cells, v = array.cells(place), self._volts(array, 2, place.n_in)
        before, g = array.read(v, place), array.readout(cells)
        pulse = Pulse(torch.ones(cells[0].numel(), device=array.device))
        array.pulse(cells[0].flatten(), pulse)
        assert torch.equal(array.readout(cells)[1:], g[1:]), "pulses on chip 0 changed another chip"
        v[0] /= 2
        self._same(array.read(v, place)[1:], before[1:], array, "voltages of chip 0 changed the currents of another")

    def test_counters_balance(self) -> None:
        """Reads by tile, readouts by cell, pulses by polarity, seconds."""
        array, place = self._placed()
        cells = array.cells(place).flatten()[:4]
        before, chips = array.books.activity.copy(), array.n_chips or 1
        array.read(self._volts(array, 3, place.n_in), place)
        read = array.books.activity - before
        assert read.n_reads > 0, "reads are not counted"
        assert read.n_reads % (3 * chips * len(place.tiles)) == 0, "a read counts once for every vector, tile and chip"
        array.readout(cells)
        polarity = torch.tensor([1, 1, -1, 0], device=array.device)
        array.pulse(cells, Pulse(polarity))
        array.pulse(cells, Pulse(polarity, n=torch.tensor([2, 0, 5, 7], device=array.device)))
        array.wait(0.5)
        done = array.books.activity - before
        assert (done.n_readouts, done.n_set, done.n_reset) == (4, 4, 6), f"4 readouts, 4 SETs, 6 RESETs became {done}"
        assert abs(done.duration - 0.5) < 1e-9, f"0.5 s of waiting was counted as {done.duration} s"
        assert done.n_reads == read.n_reads, "something other than reads was counted as a read"

    def test_a_saved_array_goes_on_bit_for_bit(self) -> None:
        """Only for an array with `SavedState`: two arrays with the same state do the same."""
        array, place = self._placed()
        twin = self.make_array()
        if not isinstance(array, SavedState):
            return
        assert isinstance(twin, SavedState)
        twin.load_state_dict(array.state_dict())
        first, second = (self._go_on(one, place) for one in (array, twin))
        for what, one, other in zip(("reads", "readouts"), first, second, strict=True):
            assert torch.equal(one, other), f"{what} differ after loading"
        assert array.books.activity == twin.books.activity, "counters differ after loading"

    def _go_on(self, array: Array, place: Placement) -> tuple[torch.Tensor, torch.Tensor]:
        cells = array.cells(place)
        array.pulse(cells.flatten()[:5], Pulse(torch.ones(5, device=array.device)))
        array.wait(1.0)
        return array.read(self._volts(array, 2, place.n_in), place), array.readout(cells)


def _raises(call: Callable[[], object]) -> bool:
    """True if `call` raises one of ohmweave's errors, or a ValueError, TypeError or IndexError of a driver's own."""
    try:
        call()
    except (OhmweaveError, ValueError, TypeError, IndexError):
        return True
    return False

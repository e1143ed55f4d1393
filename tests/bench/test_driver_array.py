"""A driver as an array: the contract, faults of the driver, lines at 0 V whatever happens."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from ohmweave.arrays import Array, Placement, SimulatedArray, Tile, cells_of
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.bench import (
    Board,
    Crosspoints,
    Driver,
    DriverArray,
    DriverError,
    Gated,
    PulsesInterrupted,
    PulsesStoppedError,
    StubBoard,
    UnmeasuredWarning,
    station_of,
)
from ohmweave.cells import Cell, LinearStep, Pulse, Spread
from ohmweave.testing import ArrayContract, check_books
from tests.helpers import assert_close

CELL = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=181), spread=Spread(d2d=0.2))


def cells(**parts: Any) -> SimulatedArray:
    sizes = {"n_arrays": 2, "rows": 5, "cols": 7, "seed": 3, "dtype": torch.float64} | parts
    return SimulatedArray(CELL, **sizes)


def stub(reads: str = "parallel", *, kind: type[StubBoard] = StubBoard, **parts: Any) -> StubBoard:
    return kind(Crosspoints(cells(), v_set=1.5, v_reset=1.2), reads=reads, **parts)


def array_of(driver: Driver, **options: Any) -> DriverArray:
    return DriverArray(driver, dtype=torch.float64, sleep=lambda _: None, **options)


@pytest.mark.parametrize("reads", ["parallel", "serial"])
def test_check_books(reads: str) -> None:
    check_books(array_of(stub(reads)))


class TestStub(ArrayContract):
    reads = "parallel"

    def make_array(self) -> Array:
        return array_of(stub(self.reads))


class TestSerial(TestStub):
    reads = "serial"


def placement() -> Placement:
    """3 inputs of two lines, +V and -V, and 2 outputs of three lines, in four tiles on two arrays."""
    tiles = [
        Tile(array=1, row=2, col=1, rows=2, cols=3, row_line=0, col_line=0),
        Tile(array=0, row=0, col=3, rows=2, cols=3, row_line=0, col_line=3),
        Tile(array=0, row=1, col=0, rows=4, cols=3, row_line=2, col_line=0),
        Tile(array=1, row=1, col=4, rows=4, cols=3, row_line=2, col_line=3),
    ]
    return Placement(
        tiles=tuple(tiles), cells=cells_of(tiles, rows=5, cols=7), row_gain=(1.0, -0.5), col_gain=(1.0, -1.0, 0.25)
    )


@pytest.mark.parametrize("reads", ["parallel", "serial"])
def test_a_board_reads_and_moves_as_the_same_cells_simulated(reads: str) -> None:
    """Gains, tiles on two arrays, trains: the referee is the simulated array of the same seed."""
    driven, simulated, place = array_of(stub(reads)), cells(), placement()
    at = place.cells.flatten()
    n = torch.arange(len(at)) * 7 % 40
    v = torch.rand(4, 3, generator=generator(1, "v"), dtype=torch.float64) * 0.4 - 0.2
    y = torch.rand(4, 2, generator=generator(2, "v"), dtype=torch.float64) * 0.4 - 0.2
    for array in (driven, simulated):
        array.pulse(at, Pulse(torch.ones_like(at), n=n))
        array.pulse(at[3:], Pulse(torch.full_like(at[3:], -1), n=n[3:] // 3))
    assert_close(driven.readout(place.cells), simulated.readout(place.cells), rtol=1e-12)
    assert_close(driven.read(v, place), simulated.read(v, place), rtol=1e-9)
    assert_close(driven.read_transposed(y, place), simulated.read_transposed(y, place), rtol=1e-9)
    assert driven.books.activity == simulated.books.activity


class Half(Driver):
    """Neither senses nor pulses."""

    board = stub().board

    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None: ...

    def apply(self, v: Sequence[float]) -> None: ...

    def ground(self) -> None: ...


def test_half_a_driver_is_refused_by_the_names_of_what_is_missing() -> None:
    with pytest.raises(TypeError, match=r"`Half` must define `pulse`, `sense` to be a driver"):
        Half()
    with pytest.raises(TypeError, match=r"`driver` must be a Driver, but is a SimulatedArray"):
        DriverArray(cells())  # type: ignore[arg-type]


class Logged(StubBoard):
    """Keeps the pulses as they arrive."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pulses: list[tuple[tuple[int, int, int], float, float]] = []

    def pulse(self, v: float, width: float) -> None:
        array, (row,), (col,) = self._selected
        self.pulses.append(((array, row, col), v, width))
        super().pulse(v, width)


def test_pulses_arrive_in_volts_and_seconds() -> None:
    """Nominal values of the data sheet, those of the pulse where it has any, RESET negative, trains one by one."""
    board = stub(kind=Logged)
    assert isinstance(board, Logged)
    array = array_of(board)
    at = torch.tensor([0, 8, 36, 69])  # (0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 4, 6)
    array.pulse(at, Pulse(torch.tensor([1, -1, 0, -1]), n=torch.tensor([2, 1, 5, 0])))
    assert board.pulses == [((0, 0, 0), 1.5, 50e-9)] * 2 + [((0, 1, 1), -1.2, 50e-9)]
    board.pulses.clear()
    width = torch.tensor([1e-6, 2e-6], dtype=torch.float64)
    array.pulse(at[2:], Pulse(torch.tensor([-1, 1]), v=torch.tensor([0.5, 2.0]), width=width))
    assert board.pulses == [((1, 0, 1), -0.5, 1e-6), ((1, 4, 6), 2.0, 2e-6)]
    assert array.books.activity.by_width == {(-1, 1e-6): 1, (1, 2e-6): 1}


class Faulty(StubBoard):
    """Raises `error` at call `after` of `method`."""

    method, after = "", 0
    error: BaseException = RuntimeError("the cable is loose")

    def _count(self, method: str) -> None:
        if method == self.method:
            self.after -= 1
            if self.after < 0:
                self.method = ""
                raise self.error

    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        super().select(array, rows, cols)
        self._count("select")

    def apply(self, v: Sequence[float]) -> None:
        super().apply(v)
        self._count("apply")

    def sense(self) -> list[float]:
        self._count("sense")
        return super().sense()

    def pulse(self, v: float, width: float) -> None:
        self.driven["row", 0, 0] = v
        self._count("pulse")
        super().pulse(v, width)

    def ground(self) -> None:
        self._count("ground")
        super().ground()


@pytest.mark.parametrize("method", ["select", "apply", "sense", "ground"])
@pytest.mark.parametrize("error", [RuntimeError("the cable is loose"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
@pytest.mark.parametrize("reads", ["parallel", "serial"])
def test_lines_are_at_0_v_after_every_fault_of_a_read(method: str, error: BaseException, reads: str) -> None:
    board = stub(reads, kind=Faulty)
    assert isinstance(board, Faulty)
    array, place, v = array_of(board), placement(), torch.full((2, 3), 0.1, dtype=torch.float64)
    calls: list[Callable[[], Any]] = [lambda: array.read(v, place), lambda: array.readout(place.cells)]
    for call in calls:
        board.method, board.after, board.error = method, 0 if method == "ground" else 3, error
        before = array.books.activity.copy()
        with pytest.raises(type(error)):
            call()
        assert board.driven == {}
        assert array.books.activity == before


@pytest.mark.parametrize(
    ("error", "raised"),
    [(RuntimeError("the cable is loose"), PulsesStoppedError), (KeyboardInterrupt(), PulsesInterrupted)],
)
def test_a_stopped_train_says_what_was_sent(error: BaseException, raised: type[Exception]) -> None:
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    array, at = array_of(board), torch.tensor([0, 8, 36])
    board.method, board.after, board.error = "pulse", 4, error
    with pytest.raises(raised, match=r"`sent`") as caught:
        array.pulse(at, Pulse(torch.tensor([1, -1, 1]), n=torch.tensor([3, 2, 2])))
    assert caught.value.sent.tolist() == [3, 1, 0]  # type: ignore[attr-defined]
    assert (array.books.activity.n_set, array.books.activity.n_reset) == (3, 1)
    assert board.crosspoints.n_pulses == 4
    assert board.driven == {}


class Short(StubBoard):
    """Senses a line too few."""

    def sense(self) -> list[float]:
        return super().sense()[:-1]


class Text(StubBoard):
    """Returns the instrument's answer as text."""

    def sense(self) -> Any:
        return "+1.0E-6,+2.0E-6"


def test_what_is_no_measurement_is_refused() -> None:
    place, v = placement(), torch.full((2, 3), 0.1, dtype=torch.float64)
    with pytest.raises(DriverError, match=r"`Short.sense` must return the shape \(3,\).*but returned \(2,\)"):
        array_of(stub(kind=Short)).read(v, place)
    with pytest.raises(DriverError, match=r"`Text.sense` must return currents, in A, but returned a str"):
        array_of(stub(kind=Text)).read(v, place)


def test_open_lines_and_meters_at_their_end_are_nan_with_a_warning() -> None:
    board = stub(i_max=0.2 * 15e-6)
    array = array_of(board)
    board.crosspoints.open_cols[0, 4] = True
    at = torch.tensor([3, 4, 5])
    with pytest.warns(UnmeasuredWarning, match=r"1 currents could not be measured.*array 0, column 4"):
        g = array.readout(at)
    assert g.isnan().tolist() == [False, True, False]
    array.pulse(torch.tensor([3]), Pulse(torch.ones(1), n=torch.tensor([200])))  # to the end of the window
    with pytest.warns(UnmeasuredWarning, match=r"2 currents could not be measured.*array 0, column 3"):
        g = array.readout(at)
    assert g.isnan().tolist() == [True, True, False]


def test_requests_beyond_the_data_sheet_are_refused_before_anything_is_driven() -> None:
    class Never(StubBoard):
        def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
            raise AssertionError("a line was selected")

    array, place = array_of(stub(kind=Never)), placement()
    v = torch.full((1, 3), 0.1, dtype=torch.float64)
    for bad in (v * 2.01, v * torch.nan):
        with pytest.raises(OutOfRangeError, match=r"`v_row` must be within the read voltage"):
            array.read(bad, place)
    double = Placement(tiles=place.tiles, cells=place.cells, row_gain=(2.0, 1.0), col_gain=(1.0, 1.0, 1.0))
    with pytest.raises(OutOfRangeError, match=r"with the gains of the placement is 0.3 V"):
        array.read(v * 1.5, double)
    with pytest.raises(OutOfRangeError, match=r"`pulse.v_gate` must be None for a board without gates"):
        array.pulse(torch.tensor([0]), Pulse(torch.ones(1), v_gate=torch.ones(1)))
    for usable in (torch.ones(1, 5, 7, dtype=torch.bool), torch.ones(2, 5, 7)):
        with pytest.raises((ShapeError, OutOfRangeError), match=r"`usable` must have"):
            array_of(stub(), usable=usable)


def test_unsigned_rows_refuse_negative_lines() -> None:
    class Unsigned(StubBoard):
        @property
        def board(self) -> Board:
            sheet = super().board
            return Board(**{name: getattr(sheet, name) for name in sheet.__slots__} | {"signed": False})

    array = array_of(stub(kind=Unsigned))
    v = torch.full((1, 3), 0.1, dtype=torch.float64)
    with pytest.raises(OutOfRangeError, match=r"`v_row` must be >= 0 V at every line.*pair columns"):
        array.read(v, placement())  # rows of gain -0.5


class Transistors(StubBoard, Gated):
    """A board with gates, which keeps their voltages."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gates: list[float] = []

    @property
    def board(self) -> Board:
        sheet = super().board
        own = {name: getattr(sheet, name) for name in sheet.__slots__}
        return Board(**own | {"v_gate_read": 3.0, "v_gate_set": 1.5, "v_gate_reset": 4.0})

    def gate(self, v: float) -> None:
        self.gates.append(v)


def test_gates_are_driven_for_reads_and_by_polarity() -> None:
    board = stub(kind=Transistors)
    assert isinstance(board, Transistors)
    array, at = array_of(board), torch.tensor([0, 1, 2])
    array.readout(at)
    array.pulse(at, Pulse(torch.tensor([1, -1, 1]), v_gate=None))
    array.pulse(at[:2], Pulse(torch.tensor([1, -1]), v_gate=torch.tensor([2.0, 2.5])))
    assert board.gates == [3.0, 1.5, 4.0, 1.5, 2.0, 2.5]


def test_gates_on_the_data_sheet_need_a_gated_driver() -> None:
    class Forgotten(StubBoard):
        board = Transistors.board

    class Borrowed(Forgotten):
        @property
        def board(self) -> Board:  # type: ignore[override]
            sheet = self._board
            own = {name: getattr(sheet, name) for name in sheet.__slots__}
            return Board(**own | {"v_gate_read": 3.0, "v_gate_set": 1.5, "v_gate_reset": 4.0})

    with pytest.raises(TypeError, match=r"must inherit from Gated too"):
        array_of(stub(kind=Borrowed))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("g_max", 1e-6, "`g_max` must be > `g_min`"),
        ("v_read", 0.0, "`v_read` must be > 0 V"),
        ("v_reset", -1.2, "`v_reset` must be > 0 V"),
        ("reads", "both", "`reads` must be 'parallel' or 'serial'"),
        ("v_gate_set", 2.0, "must all be given, or none"),
    ],
)
def test_data_sheets_are_checked(field: str, value: Any, message: str) -> None:
    sheet = stub().board
    with pytest.raises(OutOfRangeError, match=message):
        Board(**{name: getattr(sheet, name) for name in sheet.__slots__} | {field: value})


def test_the_station_has_what_the_driver_has() -> None:
    board = stub()
    station = station_of(array_of(board))
    assert station.temperature is not None
    assert station.temperature() == 300.0
    assert station.limit_current is None
    assert station.nominal is not None
    assert (station.nominal.v_set, station.nominal.v_reset) == (1.5, 1.2)
    assert station_of(cells()).ground is None


def test_waiting_takes_its_time() -> None:
    waited: list[float] = []
    array = DriverArray(stub(), sleep=waited.append)
    array.wait(2.5)
    assert waited == [2.5]
    assert array.books.activity.duration == 2.5
    with pytest.raises(OutOfRangeError, match=r"`duration` must be >= 0"):
        array.wait(-1.0)

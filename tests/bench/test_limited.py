"""Limits: nothing over one passes, nothing at one is refused, and nothing is driven after an abort."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import ADC, DAC, Array, ConvGeometry, Placement, SimulatedArray, Tile, cells_of
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.bench import (
    AbortedError,
    Board,
    Compliance,
    DriverArray,
    Limited,
    LimitError,
    Limits,
    NominalPulse,
    PulsesInterrupted,
    PulsesStoppedError,
)
from ohmweave.cells import Pulse
from ohmweave.testing import ArrayContract, BareArray, check_books
from tests.bench.test_driver_array import Faulty, array_of, cells, placement, stub
from tests.helpers import assert_close

V_READ, N_CELLS = 0.2, 70
NOMINAL = NominalPulse(v_set=1.5, v_reset=1.2, t_set=50e-9, t_reset=50e-9)


class Counting(BareArray):
    """Keeps the largest of everything that arrives, and the pulses of each cell."""

    def __init__(self) -> None:
        super().__init__(n_arrays=2, rows=5, cols=7)
        self.largest: dict[str, float] = {"v_row": 0.0, "v": 0.0, "width": 0.0, "v_gate": 0.0}
        self.least = math.inf
        self.sent = [0] * N_CELLS

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        self.largest["v_row"] = max(self.largest["v_row"], float(v_row.abs().max()))
        return super().read(v_row, placement)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        super().pulse(cells, pulse)
        on = (pulse.polarity != 0) & (pulse.n != 0)
        for name in ("v", "width", "v_gate"):
            values = getattr(pulse, name)[on].abs()
            self.largest[name] = max(self.largest[name], *values.tolist(), 0.0)
        self.least = min([self.least, *pulse.width[on].tolist()])
        for cell, sign, n in zip(cells.tolist(), pulse.polarity.tolist(), pulse.n.tolist(), strict=True):
            self.sent[cell] += n if sign else 0


def near(limit: float, random: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    """A number a last place below, at, or a last place above the limit, or well below or above; rounded to `dtype`."""
    at = torch.tensor(limit, dtype=dtype)
    choices = [at, torch.nextafter(at, at * 0), torch.nextafter(at, at * 2), at * 0.5, at * 1.5]
    weights = [6, 2, 1, 2, 1]
    bag = [choice for choice, weight in zip(choices, weights, strict=True) for _ in range(weight)]
    return bag[int(torch.randint(len(bag), (), generator=random))]


LIMITS = Limits(
    v_max=1.3, v_read_max=0.15, v_gate_max=2.7, t_min=3e-8, t_max=7e-7, pulses_per_cell=900, forbidden=(5, 41)
)


def request(random: torch.Generator) -> tuple[torch.Tensor, Pulse]:
    """Up to four cells, with fields at or near the limits, each of them in one of the two precisions."""
    k = int(torch.randint(1, 5, (), generator=random))
    at = torch.randperm(N_CELLS, generator=random)[:k]
    fields = {}
    for name, limits in (("v", (1.3,)), ("v_gate", (2.7,)), ("width", (3e-8, 7e-7, 1e-7))):
        dtype = (torch.float32, torch.float64)[int(torch.randint(2, (), generator=random))]
        picks = torch.randint(len(limits), (k,), generator=random).tolist()
        fields[name] = torch.stack([near(limits[pick], random, dtype) for pick in picks])
    polarity = torch.randint(-1, 2, (k,), generator=random)
    return at, Pulse(polarity, n=torch.randint(0, 4, (k,), generator=random), **fields)


def allowed(at: torch.Tensor, pulse: Pulse, sent: list[int]) -> bool:
    """One number after the other, limits rounded as the number is."""
    assert pulse.n is not None
    for index, cell in enumerate(at.tolist()):
        if cell in LIMITS.forbidden:
            return False
        n = int(pulse.n[index]) if int(pulse.polarity[index]) else 0
        if not n:
            continue
        for name, low, high in (("v", 0.0, 1.3), ("v_gate", 0.0, 2.7), ("width", 3e-8, 7e-7)):
            field = getattr(pulse, name)
            bounds = torch.tensor([low, high], dtype=field.dtype)
            if not bounds[0] <= field[index] <= bounds[1]:
                return False
        if sent[cell] + n > 900:
            return False
    return True


@pytest.mark.slow
def test_10_000_random_requests_at_and_over_the_limits() -> None:
    """None passes over a limit, none at a limit is refused; a refused request touches nothing."""
    inner = Counting()
    array, random, refused = Limited(inner, LIMITS, nominal=NOMINAL), generator(7, "requests"), 0
    for _ in range(10_000):
        at, pulse = request(random)
        fits, before = allowed(at, pulse, inner.sent), inner.books.activity.copy()
        if fits:
            array.pulse(at, pulse)
            continue
        refused += 1
        with pytest.raises(LimitError, match=r"cell \d+ must (get|not be touched)") as caught:
            array.pulse(at, pulse)
        assert caught.value.cell in at.tolist()
        assert inner.books.activity == before
    assert 1_000 < refused < 9_000
    f32 = torch.tensor([1.3, 2.7, 7e-7], dtype=torch.float32).double().tolist()
    for name, limit, single in zip(("v", "v_gate", "width"), (1.3, 2.7, 7e-7), f32, strict=True):
        assert inner.largest[name] in (limit, single)  # reached, and not passed but by the rounding of float32
    assert inner.least in (3e-8, float(torch.tensor(3e-8, dtype=torch.float32)))
    assert array.sent.tolist() == inner.sent


def matrix() -> Placement:
    tiles = (Tile(array=1, row=0, col=0, rows=2, cols=4, row_line=0, col_line=0),)
    return Placement(tiles=tiles, cells=cells_of(tiles, rows=5, cols=7), row_gain=(1.0, -2.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_read_voltages_at_and_over_the_limit(dtype: torch.dtype) -> None:
    """The limit holds at the lines, gains included; what is over it by rounding is cut, and never passes."""
    inner = Counting()
    array, place = Limited(inner, Limits(v_read_max=0.1)), matrix()  # 0.05 V at an input
    at = torch.tensor(0.05, dtype=dtype)
    for v in (at, torch.nextafter(at, at * 2), at * (1 + 8e-6), at * 0.3):
        array.read(-v.view(1, 1), place)
        assert inner.largest["v_row"] * 2 <= 0.1
    for v in (at * (1 + 2e-5), at * 2, at * torch.nan):
        largest = inner.largest["v_row"]
        with pytest.raises(LimitError, match=r"`v_row` must be at most 0.1 V at every line \(`v_read_max`\)"):
            array.read(v.view(1, 1), place)
        assert inner.largest["v_row"] == largest
    with pytest.raises(LimitError, match=r"`v_col` must be at most 0.1 V"):
        array.read_transposed(torch.full((1, 4), 0.11, dtype=dtype), place)


def test_the_smaller_limit_of_reads_counts() -> None:
    place, v = matrix(), torch.full((1, 1), 0.06, dtype=torch.float64)
    with pytest.raises(LimitError, match=r"`v_max`"):
        Limited(Counting(), Limits(v_max=0.1, v_read_max=0.15), nominal=NOMINAL).read(v, place)


def test_images_are_limited_too() -> None:
    inner = cells()
    array, geometry = Limited(inner, Limits(v_read_max=0.1)), ConvGeometry(kernel_size=(1, 2))
    tiles = (Tile(array=0, row=0, col=0, rows=2, cols=3, row_line=0, col_line=0),)
    place = Placement(tiles=tiles, cells=cells_of(tiles, rows=5, cols=7))
    images = torch.rand(2, 3, 4, 1, generator=generator(1, "images"), dtype=torch.float64) * 0.1
    assert_close(array.read_patches(images, geometry, place), cells().read_patches(images, geometry, place), rtol=1e-12)
    with pytest.raises(LimitError, match=r"`v` must be at most 0.1 V"):
        array.read_patches(images * 3, geometry, place)
    bare = Limited(array_of(stub()), Limits(v_read_max=0.1))  # without `PatchReads`: vector by vector
    assert_close(bare.read_patches(images, geometry, place), inner.read_patches(images, geometry, place), rtol=1e-9)


def test_pulses_in_all_and_by_cell_are_counted_from_before() -> None:
    before = torch.zeros(N_CELLS, dtype=torch.int64)
    before[3] = 8
    array = Limited(BareArray(n_arrays=2, rows=5, cols=7), Limits(pulses_per_cell=10, pulses=20), sent=before)
    at, one = torch.tensor([3, 4]), torch.ones(2)
    array.pulse(at, Pulse(one, n=torch.tensor([2, 3])))
    with pytest.raises(LimitError, match=r"cell 3 must get at most 10 pulses.*would have got 11"):
        array.pulse(at, Pulse(-one))
    array.pulse(at, Pulse(torch.tensor([0, 1]), n=torch.tensor([7, 7])))
    assert array.sent[[3, 4]].tolist() == [10, 10]
    with pytest.raises(LimitError, match=r"all cells must get at most 20 pulses.*would have got 21"):
        array.pulse(torch.tensor([9]), Pulse(torch.ones(1)))
    assert array.array.books.activity.n_set == 12


def test_refused_and_stopped_calls_are_not_counted_as_sent() -> None:
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    array, at = Limited(array_of(board), Limits(pulses_per_cell=100)), torch.tensor([0, 8, 36])
    with pytest.raises(OutOfRangeError, match=r"list each cell once"):
        array.pulse(torch.tensor([0, 8, 0]), Pulse(torch.ones(3)))
    with pytest.raises(ShapeError):
        array.pulse(at, Pulse(torch.ones(2)))
    assert int(array.sent.sum()) == 0
    board.method, board.after = "pulse", 4
    with pytest.raises(PulsesStoppedError):
        array.pulse(at, Pulse(torch.tensor([1, -1, 1]), n=torch.tensor([3, 2, 2])))
    assert array.sent[at].tolist() == [3, 2, 0]  # with the one that failed, which may have been sent


def test_a_dry_run_counts_and_touches_nothing() -> None:
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    inner = array_of(board)
    array, place = Limited(inner, Limits(v_max=1.5, pulses=100), dry_run=True), placement()
    board.method = "select"  # the first touch raises
    v = torch.full((4, 3), 0.1, dtype=torch.float64)
    assert not array.read(v, place).any()
    assert not array.read_transposed(torch.full((1, 2), 0.1, dtype=torch.float64), place).any()
    assert bool((array.readout(place.cells) == 2e-6).all())
    array.pulse(place.cells.flatten(), Pulse(torch.ones(36), n=torch.full((36,), 2)))
    array.wait(1e6)
    done = array.books.activity
    assert (done.n_reads, done.n_readouts, done.n_set, done.duration) == (5 * 4, 36, 72, 1e6)
    assert inner.books.activity.n_set == 0
    with pytest.raises(LimitError, match=r"all cells must get at most 100"):
        array.pulse(place.cells.flatten(), Pulse(torch.ones(36)))
    with array:
        pass
    assert board.method == "select"


class Clamped(Faulty, Compliance):
    """Keeps its compliance."""

    compliance = math.inf

    def limit_current(self, i: float) -> None:
        self.compliance = i


def test_limits_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match=r"`nominal` must be given.*BareArray"):
        Limited(BareArray(rows=5, cols=7), Limits(v_max=1.0))
    with pytest.raises(OutOfRangeError, match=r"`limits.i_max` must be None.*`bench.Compliance`"):
        Limited(array_of(stub()), Limits(i_max=1e-3))
    with pytest.raises(OutOfRangeError, match=r"`limits.temperature` must be None.*`bench.Thermometer`"):
        Limited(cells(), Limits(temperature=(280.0, 310.0)))
    with pytest.raises(OutOfRangeError, match=r"`limits.forbidden` must be cells from 0 to 69, but one is 70"):
        Limited(cells(), Limits(forbidden=(3, 70)))
    with pytest.raises(OutOfRangeError, match=r"`t_min` must be <= `t_max`"):
        Limits(t_min=1e-6, t_max=1e-7)
    with pytest.raises(OutOfRangeError, match=r"`temperature\[0\]` must be <="):
        Limits(temperature=(310.0, 280.0))
    board = stub(kind=Clamped)
    assert isinstance(board, Clamped)
    Limited(board, Limits(i_max=1e-4), dry_run=True)
    assert board.compliance == math.inf
    Limited(board, Limits(i_max=1e-4))
    assert board.compliance == 1e-4


def test_nominal_amplitudes_of_the_data_sheet_are_limited() -> None:
    array = Limited(array_of(stub()), Limits(v_max=1.3))  # SET 1.5 V, RESET 1.2 V
    array.pulse(torch.tensor([3]), Pulse(torch.tensor([-1])))
    with pytest.raises(LimitError, match=r"cell 3 must get at most 1.3 V \(`v_max`\), but would get 1.5 V"):
        array.pulse(torch.tensor([3]), Pulse(torch.tensor([1])))
    short = Limited(array_of(stub()), Limits(t_min=60e-9))
    with pytest.raises(LimitError, match=r"cell 3 must get at least 6e-08 s \(`t_min`\), but would get 5e-08 s"):
        short.pulse(torch.tensor([3]), Pulse(torch.tensor([1])))


def test_the_temperature_window() -> None:
    now, board = [0.0], stub()
    array = Limited(array_of(board), Limits(temperature=(290.0, 310.0)), clock=lambda: now[0])
    at = torch.tensor([0])
    array.readout(at)
    board.kelvin = 320.0
    array.readout(at)  # measured less than a second ago
    now[0] = 1.5
    for call in (lambda: array.readout(at), lambda: array.pulse(at, Pulse(torch.ones(1)))):
        with pytest.raises(LimitError, match=r"the temperature must be from 290 to 310 K.*but is 320 K"):
            call()
    board.kelvin = 300.0
    array.readout(at)
    board.kelvin = math.nan
    now[0] = 3.0
    with pytest.raises(LimitError, match=r"but is nan K"):
        array.readout(at)


def calls_of(array: Array) -> dict[str, Callable[[], Any]]:
    """One call of each kind."""
    place, v = placement(), torch.full((2, 3), 0.1, dtype=torch.float64)
    return {
        "read": lambda: array.read(v, place),
        "read_transposed": lambda: array.read_transposed(v[:, :2], place),
        "readout": lambda: array.readout(place.cells),
        "pulse": lambda: array.pulse(torch.tensor([0, 8]), Pulse(torch.ones(2))),
        "wait": lambda: array.wait(0.0),
    }


@pytest.mark.parametrize("method", ["select", "apply", "sense", "pulse"])
def test_after_ctrl_c_lines_are_at_0_v_and_nothing_is_sent(method: str) -> None:
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    board.method, board.after, board.error = method, 1, KeyboardInterrupt()
    array = Limited(array_of(board), Limits())
    with pytest.raises(KeyboardInterrupt):
        calls_of(array)["pulse" if method == "pulse" else "read"]()
    assert board.driven == {}
    sent = board.crosspoints.n_pulses
    for call in calls_of(array).values():
        with pytest.raises(AbortedError, match=r"the array was aborted \(\w*Interrupt\w*\)"):
            call()
    assert board.crosspoints.n_pulses == sent
    array.clear()
    for call in calls_of(array).values():
        call()


def test_an_error_leaves_lines_at_0_v_and_can_be_tried_again() -> None:
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    board.method, board.after = "sense", 1
    array = Limited(array_of(board), Limits())
    with pytest.raises(RuntimeError, match=r"the cable is loose"):
        calls_of(array)["read"]()
    assert board.driven == {}
    calls_of(array)["read"]()


def test_the_block_ends_at_0_v_and_an_error_in_it_aborts() -> None:
    board = stub()
    with Limited(DriverArray(board), Limits()) as array:
        board.driven["row", 0, 0] = 1.0  # left by hand
    assert board.driven == {}
    array.readout(torch.tensor([0]))

    def fail() -> None:
        with array:
            board.driven["row", 0, 0] = 1.0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert board.driven == {}
    with pytest.raises(AbortedError, match=r"ZeroDivisionError"):
        array.readout(torch.tensor([0]))


def test_an_interrupted_train_keeps_its_report_through_the_limits() -> None:
    board = stub(kind=Faulty)
    assert isinstance(board, Faulty)
    board.method, board.after, board.error = "pulse", 1, KeyboardInterrupt()
    array = Limited(array_of(board), Limits())
    with pytest.raises(PulsesInterrupted) as caught:
        array.pulse(torch.tensor([0, 1, 2]), Pulse(torch.ones(3)))
    assert caught.value.sent.tolist() == [1, 0, 0]
    assert array.sent[:3].tolist() == [1, 1, 0]


class TestLimited(ArrayContract):
    transposed = True

    def make_array(self) -> Array:
        return Limited(cells(n_chips=2), Limits(v_read_max=V_READ, pulses=10_000))


def test_books_balance() -> None:
    check_books(Limited(cells(), Limits(pulses=100)))
    check_books(Limited(array_of(stub()), Limits(pulses=100)))


def test_a_passive_array_stays_coupled() -> None:
    assert not Limited(cells(), Limits()).pulses_couple
    wires = SimulatedArray(cells().cell, rows=5, cols=7, readout="read", wires=_wires())
    assert Limited(wires, Limits()).pulses_couple


def _wires() -> Any:
    from ohmweave.arrays import Wires

    return Wires(r_row=1.0, r_col=1.0)


def test_boards_are_wrapped_as_they_are() -> None:
    board: Board = stub().board
    assert Limited(stub(), Limits()).rows == board.rows


@pytest.mark.parametrize("parts", [{}, {"dac": DAC(bits=6, v_max=0.2, signed=True), "adc": ADC(bits=6, signed=True)}])
def test_a_network_behind_limits_is_calibrated_as_without(parts: dict[str, Any]) -> None:
    """With and without converters inside: the same scales and outputs."""
    outputs, scales = [], []
    x = torch.randn(20, 4, generator=generator(0, "x"), dtype=torch.float64)
    for wrap in (lambda one: one, lambda one: Limited(one, Limits(pulses=10**6))):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False)).double()
        layers = {"0": ow.OnChip(scaling=ow.mapping.FixedScaling)}
        chip = ow.Chip(array=wrap(cells(**parts)))
        net = ow.deploy(model, chip, write=ow.WriteVerify(tolerance=0.3e-6), layers=layers)
        ow.nn.calibrate(net, x)
        outputs.append(net(x).detach())
        scales.append(net.matrix("0").scaling.x_max)
    assert scales[0] == scales[1]
    assert_close(outputs[1], outputs[0], rtol=1e-9, scale=float(outputs[0].abs().max()))


def test_pulses_sent_before_are_a_number_for_each_cell() -> None:
    with pytest.raises(ShapeError, match="`sent` must be"):
        Limited(BareArray(n_arrays=1, rows=4, cols=5), Limits(pulses=20), sent=torch.zeros(1, 20, dtype=torch.int64))

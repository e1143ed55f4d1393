"""ArC TWO and a switched source-measure unit: commands, and a five-layer network through each on a stub."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import ohmweave as ow
from ohmweave.arrays import Array, SimulatedArray
from ohmweave.base import DataError, OutOfRangeError
from ohmweave.bench import (
    Board,
    Crosspoints,
    Driver,
    DriverArray,
    Limited,
    Limits,
    PulsesStoppedError,
    Recorded,
    RemoteArray,
    RemoteServer,
    Replayed,
    check_array,
)
from ohmweave.bench.arc_two import ArcTwo, ArcTwoSelected, ChannelMap, connect
from ohmweave.bench.smu import ByPymeasure, ByQcodes, SwitchedSMU, SwitchesByPymeasure
from ohmweave.bench.stub_instruments import ArcStub, SMUStub
from ohmweave.cells import Cell, LinearStep, Pulse, Spread
from tests.helpers import assert_close

ROWS, COLS = 32, 32
CELL = Cell(LinearStep(g_min=2e-6, g_max=20e-6, levels=181), spread=Spread(d2d=0.2))
MAP = ChannelMap(
    rows=tuple(range(31, -1, -1)),
    cols=tuple(range(32, 64)),
    usable=torch.ones(1, ROWS, COLS, dtype=torch.bool),
)
SHEET: dict[str, Any] = {
    "rows": ROWS,
    "cols": COLS,
    "g_min": 2e-6,
    "g_max": 20e-6,
    "v_read": 0.2,
    "v_set": 1.5,
    "v_reset": 1.2,
}


def cells() -> SimulatedArray:
    return SimulatedArray(CELL, rows=ROWS, cols=COLS, seed=3, dtype=torch.float64)


def crosspoints() -> Crosspoints:
    return Crosspoints(cells(), v_set=1.5, v_reset=1.2)


def arc_two() -> ArcTwo:
    return ArcTwo(ArcStub(crosspoints(), MAP), Board(**SHEET, t_set=1e-7, t_reset=1e-7), MAP)


LINES = {"row_channels": range(101, 101 + ROWS), "col_channels": range(201, 201 + COLS)}


def switched(kind: Callable[[Any], Any] = ByPymeasure, wrap: Callable[[SMUStub], Any] = lambda one: one) -> SwitchedSMU:
    stub = SMUStub(crosspoints(), **LINES)
    board = Board(**SHEET, t_set=1e-3, t_reset=1e-3, reads="serial")
    return SwitchedSMU(kind(wrap(stub)), SwitchesByPymeasure(stub), board, sleep=lambda _: None, **LINES)


class AsQcodes:
    """The same stub with the parameters of qcodes' driver."""

    def __init__(self, stub: SMUStub) -> None:
        self.stub = stub

    def mode(self, mode: str) -> None:
        assert mode == "VOLT"

    def output(self, on: int) -> None:
        self.stub.source_enabled = bool(on)

    def volt(self, v: float) -> None:
        self.stub.source_voltage = v

    def curr(self) -> float:
        return self.stub.current

    def compliancei(self, i: float) -> None:
        self.stub.compliance_current = i


def by_qcodes() -> SwitchedSMU:
    return switched(ByQcodes, AsQcodes)


@pytest.mark.parametrize("make", [arc_two, switched, by_qcodes])
def test_the_drivers_conform(make: Callable[[], Driver]) -> None:
    check_array(DriverArray(make(), dtype=torch.float64, sleep=lambda _: None))


def trained() -> tuple[torch.nn.Module, ow.data.Dataset]:
    """A five-layer network for digits of 8 x 8 pixels, with two convolutions and two poolings."""
    data = ow.data.load("digits", size=8)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 6, 2, bias=False),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 10, bias=False),
    ).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(6):
        for x, y in data.train.batches(100):
            optimizer.zero_grad()
            F.cross_entropy(model(x.double()), y).backward()
            optimizer.step()
    return model, data


def run(array: Array, model: torch.nn.Module, data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Write-verify, two steps of hybrid tuning of the last layer, then predictions; and all conductances."""
    write = ow.WriteVerify(tolerance=0.3e-6)
    net = ow.deploy(model, ow.Chip(array=array), mapping=ow.DifferentialPair(levels=15), write=write)
    for name, weight in net.weights.items():
        weight.requires_grad_(name == "7")
    rule = ow.optim.ThresholdedWriteVerify(net.chip_parameters(), lr=5e-6, threshold=0.3e-6, write=write)
    for start in (0, 10):
        x, y = data.train.images[start : start + 10].double(), data.train.labels[start : start + 10]
        rule.zero_grad()
        net.loss(F.cross_entropy, net(x), y).backward()
        rule.step()
    with torch.no_grad():
        predicted = net(data.test.images[:25].double()).argmax(-1)
    return predicted, array.readout(torch.arange(ROWS * COLS))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*step of .* is .*:UserWarning", "ignore:.*wrote .* of the weights:UserWarning")
def test_a_five_layer_network_through_every_driver(tmp_path: Path) -> None:
    """The same predictions and the same cells as the simulated array of the same seed; a replay bit for bit."""
    model, data = trained()
    predicted, g = run(cells(), model, data)
    correct = int((predicted == data.test.labels[:25]).sum())
    assert correct >= 13
    log = tmp_path / "run.log"
    arrays: dict[str, Array] = {
        name: DriverArray(make(), dtype=torch.float64)
        for name, make in (("ArC TWO", arc_two), ("SMU", switched), ("SMU by qcodes", by_qcodes))
    }
    limits = Limits(v_max=1.5, pulses_per_cell=10_000)
    arrays["limited and recorded"] = Limited(Recorded(DriverArray(arc_two(), dtype=torch.float64), log), limits)
    for name, array in arrays.items():
        found, its_g = run(array, model, data)
        assert torch.equal(found, predicted), name
        assert_close(its_g, g, rtol=1e-9)
    token = "a secret of the lab"
    served = DriverArray(arc_two(), dtype=torch.float64)
    with RemoteServer(served, token=token) as server, RemoteArray(server.port, token=token) as remote:
        found, its_g = run(remote, model, data)
        assert torch.equal(found, predicted)
        assert_close(its_g, g, rtol=1e-9)
        assert remote.books.activity == served.books.activity
    inner = arrays["limited and recorded"]
    assert isinstance(inner, Limited)
    assert isinstance(inner.array, Recorded)
    inner.array.close()
    again, its_g = run(Limited(Replayed(log), limits), model, data)
    assert torch.equal(again, predicted)
    assert torch.equal(its_g, run_g(log))


def run_g(log: Path) -> torch.Tensor:
    """The last readout of a log."""
    from ohmweave.bench import read_events

    *_, last = read_events(log)
    assert last.result is not None
    return last.result


def test_the_lines_of_an_arc_two_are_those_of_its_map() -> None:
    """Row k is on channel 31 - k: one SET at row 3, column 5 shows at channel 28 and 37 alone."""
    stub = ArcStub(crosspoints(), MAP)
    driver = ArcTwo(stub, Board(**SHEET, t_set=1e-7, t_reset=1e-7), MAP)
    array = DriverArray(driver, dtype=torch.float64)
    array.pulse(torch.tensor([3 * COLS + 5]), Pulse(torch.ones(1), n=torch.tensor([50])))
    g = stub.crosspoints.array.readout(torch.arange(ROWS * COLS)).view(ROWS, COLS)
    moved = (g > 3e-6).nonzero().tolist()
    assert moved == [[3, 5]]
    stub.v[:] = 0.0
    stub.v[28] = 0.1
    assert stub.read_slice_open([37], False)[37] > 2 * stub.read_slice_open([36], False)[36]
    assert array.readout(torch.tensor([3 * COLS + 5, 3 * COLS + 4]))[0] == g[3, 5]


def test_nothing_is_left_on_an_arc_two() -> None:
    stub = ArcStub(crosspoints(), MAP)
    array = DriverArray(ArcTwo(stub, Board(**SHEET, t_set=1e-7, t_reset=1e-7), MAP), dtype=torch.float64)
    array.readout(torch.arange(40))
    assert not stub.v.any()


def test_signs_of_an_arc_two_are_arguments() -> None:
    board = Board(**SHEET, t_set=1e-7, t_reset=1e-7)
    for options, words in (
        ({"current_sign": -1}, "is the sign of the current reversed"),
        ({"pulse_sign": -1}, "polarity of the pulses reversed"),
    ):
        driver = ArcTwo(ArcStub(crosspoints(), MAP), board, MAP, **options)  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match=words):
            check_array(DriverArray(driver, dtype=torch.float64))
    with pytest.raises(OutOfRangeError, match=r"`current_sign` must be 1 or -1, but is 0"):
        ArcTwo(ArcStub(crosspoints(), MAP), board, MAP, current_sign=0)  # type: ignore[arg-type]


def test_selectors_gate_the_rows_that_are_selected() -> None:
    gates = {"v_gate_read": 3.0, "v_gate_set": 1.5, "v_gate_reset": 4.0}
    seen: list[tuple[list[int], float]] = []

    class Watched(ArcStub):
        def execute(self) -> ArcStub:
            super().execute()
            if self.selected:
                seen.append((list(self.selected), self.v_high))
            return self

    stub = Watched(crosspoints(), MAP)
    board = Board(**SHEET, t_set=1e-7, t_reset=1e-7, **gates)
    driver = ArcTwoSelected(stub, board, MAP, selectors=range(ROWS - 1, -1, -1), high="SELH")
    array = DriverArray(driver, dtype=torch.float64)
    array.pulse(torch.tensor([2 * COLS]), Pulse(torch.tensor([-1])))
    assert set(map(str, seen)) == {"([29], 4.0)"}
    seen.clear()
    array.readout(torch.tensor([2 * COLS, 2 * COLS + 1]))
    assert set(map(str, seen)) == {"([29], 3.0)"}
    assert stub.selected == []
    with pytest.raises(OutOfRangeError, match=r"`selectors` must be 32 lines"):
        ArcTwoSelected(stub, board, MAP, selectors=range(5), high="SELH")


def test_channel_maps_of_arc2control(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(
        '[config]\nname = "three by two"\nwords = 3\nbits = 2\nmask = [[0, 0], [2, 1]]\n'
        "[mapping]\nwords = [16, 63, 17]\nbits = [15, 32]\n"
    )
    found = ChannelMap.load(path)
    assert (found.rows, found.cols) == ((16, 63, 17), (15, 32))
    assert found.usable.nonzero().tolist() == [[0, 0, 0], [0, 2, 1]]
    turned = ChannelMap.load(path, rows="bits")
    assert (turned.rows, turned.usable.nonzero().tolist()) == ((15, 32), [[0, 0, 0], [0, 1, 2]])
    for text in (
        "",
        "[mapping]\nwords = [1]\n",
        "[mapping]\nwords = [1]\nbits = [1]\n",
        "[mapping]\nwords=[64]\nbits=[1]",
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=r"must be a channel map of arc2control"):
            ChannelMap.load(path)
    with pytest.raises(DataError, match=r"must be a channel map"):
        ChannelMap.load(tmp_path / "missing.toml")


@pytest.mark.skipif(importlib.util.find_spec("pyarc2") is not None, reason="pyarc2 is installed")
def test_without_pyarc2_the_remedy_is_named() -> None:
    with pytest.raises(DataError, match=r"pip install 'ohmweave\[pyarc2\]'"):
        connect("firmware.bin")


def test_what_software_cannot_time_is_refused() -> None:
    board = Board(**SHEET, t_set=1e-7, t_reset=1e-7, reads="serial")
    stub = SMUStub(crosspoints(), **LINES)
    with pytest.raises(OutOfRangeError, match=r"`board` must have one array, serial reads"):
        SwitchedSMU(ByPymeasure(stub), SwitchesByPymeasure(stub), board, **LINES)
    array = DriverArray(switched(), dtype=torch.float64)
    short = Pulse(torch.ones(1), width=torch.tensor([1e-6], dtype=torch.float64))
    with pytest.raises(PulsesStoppedError, match=r"`width` must be at least 0.001 s"):
        array.pulse(torch.tensor([0]), short)
    arc = DriverArray(arc_two(), dtype=torch.float64)
    with pytest.raises(PulsesStoppedError, match=r"`width` must be at least 1 ns"):
        arc.pulse(torch.tensor([0]), short._replace(width=torch.tensor([1e-10], dtype=torch.float64)))


def test_the_source_is_at_0_v_while_switches_move() -> None:
    class Careful(SMUStub):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_closed" and hasattr(self, "_closed"):
                assert self._v == 0.0, "a switch moved under voltage"
            super().__setattr__(name, value)

    stub = Careful(crosspoints(), **LINES)
    board = Board(**SHEET, t_set=1e-3, t_reset=1e-3, reads="serial")
    driver = SwitchedSMU(ByPymeasure(stub), SwitchesByPymeasure(stub), board, sleep=lambda _: None, **LINES)
    with Limited(DriverArray(driver, dtype=torch.float64), Limits(i_max=1e-5)) as array:
        array.readout(torch.arange(40))
        array.pulse(torch.tensor([1, 2]), Pulse(torch.tensor([1, -1]), n=torch.tensor([2, 2])))
    assert stub.compliance_current == 1e-5
    assert stub.closed_channels == []
    assert stub.source_voltage == 0.0

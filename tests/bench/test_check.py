"""The conformance check: right arrays pass, each planted fault is found and said in words, the budget is kept."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from ohmweave.arrays import Array, Placement, SimulatedArray
from ohmweave.base import OutOfRangeError
from ohmweave.bench import Driver, Limited, Limits, Recorded, StubBoard, check_array, inspect_array
from ohmweave.cells import Cell, Pulse, ReadNoise, yao2020
from ohmweave.testing import BareArray
from tests.bench.test_driver_array import array_of, cells, stub

EXAMPLE = Path(__file__).parents[2] / "examples" / "bench_driver.py"


def test_right_arrays_pass(tmp_path: Path) -> None:
    noisy = Cell(cells().cell.switching, read_noise=ReadNoise(fraction=0.02))
    arrays: list[Array] = [
        BareArray(n_arrays=2, rows=5, cols=7),
        BareArray(rows=5, cols=7, n_chips=2),
        cells(),
        SimulatedArray(noisy, rows=8, cols=8, n_chips=2, seed=1),
        SimulatedArray(yao2020(read_noise=0.01), rows=16, cols=16, seed=2),
        array_of(stub()),
        array_of(stub("serial")),
        Limited(Recorded(array_of(stub()), tmp_path / "run.log"), Limits(v_max=1.5)),
    ]
    for array in arrays:
        found = check_array(array, max_pulses=2000)
        assert set(found.durations) == {"vector read", "cell read out", "pulse"}
        assert found.n_pulses <= 1000 * (array.n_chips or 1)


def test_pulses_go_to_the_sacrificial_cells_alone() -> None:
    class Watched(BareArray):
        pulsed: set[int] = set()  # noqa: RUF012

        def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
            super().pulse(cells, pulse)
            self.pulsed |= set(cells.tolist())

    array = Watched(n_arrays=2, rows=6, cols=9)
    found = check_array(array, corner=(1, 3, 2))
    assert array.pulsed == {54 + row * 9 + col for row in (3, 4) for col in (2, 3, 4, 5)}
    activity = array.books.activity
    assert found.n_pulses == activity.n_set + activity.n_reset


def test_without_budget_checks_are_left_out_and_nothing_is_sent() -> None:
    array = BareArray(rows=5, cols=7)
    found = inspect_array(array, max_pulses=0)
    assert not found.passed
    assert array.books.activity.n_set == array.books.activity.n_reset == 0
    assert {one.outcome for one in found.findings} == {"passed", "left out"}
    with pytest.raises(AssertionError, match=r"left out SET raises.*needs 160 pulses, but only 0 are left"):
        check_array(array, max_pulses=0)
    some = inspect_array(array, max_pulses=200)
    assert some.n_pulses <= 200


def changed(method: str, change: Any) -> type[StubBoard]:
    """A driver with one method changed: `change(driver, original, *arguments)`."""

    def replaced(self: StubBoard, *arguments: Any) -> Any:
        return change(self, getattr(super(kind, self), method), *arguments)

    kind = type("Changed", (StubBoard,), {method: replaced})
    return kind


FAULTS = {
    "reversed current": (
        changed("sense", lambda self, original: [-one for one in original()]),
        "is the sign of the current reversed",
    ),
    "nA": (changed("sense", lambda self, original: [one * 1e9 for one in original()]), "are currents in A"),
    "pA": (changed("sense", lambda self, original: [one * 1e-3 for one in original()]), "are currents in A"),
    "polarity": (changed("pulse", lambda self, original, v, w: original(-v, w)), "polarity of the pulses reversed"),
    "no pulse": (changed("pulse", lambda self, original, v, w: None), "moved nothing"),
    "weak": (changed("pulse", lambda self, original, v, w: original(v / 3, w)), "moved nothing"),
    "columns": (changed("sense", lambda self, original: original()[::-1]), "."),
    "rows": (changed("apply", lambda self, original, v: original(list(v)[::-1])), None),
    "short": (changed("sense", lambda self, original: original()[1:]), "one current for each selected line"),
    "offset": (changed("sense", lambda self, original: [one + 2e-6 for one in original()]), "."),
    "open": (changed("sense", lambda self, original: [float("nan")] * len(original())), "NaN or infinite"),
    "loose": (changed("ground", lambda self, original: 1 / 0), "raised ZeroDivisionError"),
}


@pytest.mark.filterwarnings("ignore::ohmweave.bench.UnmeasuredWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_drivers_are_said_in_words(fault: str) -> None:
    kind, words = FAULTS[fault]
    board = stub(kind=kind)
    if words is None:  # tiles of one row: their order is nothing that this check sees, but the contract of arrays does
        check_array(array_of(board))
        return
    with pytest.raises(AssertionError, match=words):
        check_array(array_of(board))


class Lying(BareArray):
    """A bare array with one fault."""

    fault = ""

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        if self.fault == "tiles":
            v_row = torch.stack([v_row[..., 0], v_row[..., 1] * 0], dim=-1)
            return super().read(v_row, placement)
        found = super().read(v_row, placement)
        return {"signs": found.abs() * 3, "outputs": found.flip(-1), "float": found.float()}.get(self.fault, found)

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        if self.fault == "accepts":
            pulse = pulse._replace(polarity=pulse.polarity.sign())
        super().pulse(cells, pulse)
        if self.fault == "disturbs":
            self._g[4] = self._g[4] + 1e-6
        if self.fault == "twice":
            self.books.activity.n_set += 1

    def wait(self, duration: float) -> None:
        super().wait(duration)
        if self.fault == "slow":
            self.books.wait(duration)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("tiles", "only the first tile is summed"),
        ("signs", "currents differ from voltages times readouts"),
        ("outputs", "the outputs are in reverse order"),
        ("float", r"`read` must return torch.float64"),
        ("accepts", "accepted a polarity of 2"),
        ("disturbs", "cells on the same lines that were not listed moved"),
        ("twice", "4 SETs and 6 RESETs must be counted"),
        ("slow", r"a wait of 0.01 s must be counted, but 0.02 s was"),
    ],
)
def test_faults_of_arrays_are_said_in_words(fault: str, words: str) -> None:
    array = Lying(rows=5, cols=7)
    array.fault = fault
    with pytest.raises(AssertionError, match=words):
        check_array(array)


def test_the_rectangle_must_be_on_the_array() -> None:
    for corner in ((0, 4, 0), (0, 0, 4), (1, 0, 0), (0, -1, 0), "corner"):
        with pytest.raises(OutOfRangeError, match="`corner"):
            check_array(BareArray(rows=5, cols=7), corner=corner)  # type: ignore[arg-type]


def example() -> Any:
    spec = importlib.util.spec_from_file_location("bench_driver", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_driver_of_the_invented_board_is_a_page_and_conforms() -> None:
    text = EXAMPLE.read_text().split("# driver\n")[1].split("# end of the driver")[0]
    assert len(text.strip().splitlines()) < 60
    module = example()
    check_array(module.FirmwareDriver(module.Firmware()))
    assert issubclass(module.FirmwareDriver, Driver)


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example().main()
    assert "gives the same outputs" in capsys.readouterr().out

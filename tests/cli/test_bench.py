"""`ohmweave bench`: a driver of a file is checked, a log is summed up, mistakes are named."""

from pathlib import Path

import pytest
import torch

from ohmweave.bench import Recorded
from ohmweave.cells import Pulse
from ohmweave.cli import main
from ohmweave.fitting import read_trains
from ohmweave.testing import BareArray

DRIVERS = """
from ohmweave.bench import Driver
from ohmweave.testing import BareArray

def good():
    return BareArray(rows=5, cols=7)

class Reversed(BareArray):
    def __init__(self):
        super().__init__(rows=5, cols=7)
    def pulse(self, cells, pulse):
        super().pulse(cells, pulse._replace(polarity=-pulse.polarity))

class Half(Driver):
    board = None

def dead():
    return 1 / 0

def nothing():
    return None

NUMBER = 3
"""


@pytest.fixture
def drivers(tmp_path: Path) -> Path:
    path = tmp_path / "drivers_of_a_lab.py"
    path.write_text(DRIVERS)
    return path


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in ("bench", *arguments)])
    return ended.value.code


def test_a_driver_of_a_file_is_checked(drivers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "good", "--import", drivers, "--corner", "0,1,2") == 0
    assert "passed   SET raises conductances" in capsys.readouterr().out
    assert run("check", "Reversed", "--import", drivers) == 1
    assert "is the polarity of the pulses reversed?" in " ".join(capsys.readouterr().out.split())
    assert run("check", "good", "--import", drivers, "--max-pulses", 0) == 1
    assert "left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "NUMBER", "--import", "{file}"), r"`DRIVER` must be a function or class of"),
        (
            ("check", "missing", "--import", "{file}"),
            r"\(BareArray, Driver, Half, Reversed, dead, good, nothing\), but is 'missing'",
        ),
        (("check", "Half", "--import", "{file}"), r"but Half raises TypeError: `Half` must define `apply`, `ground`"),
        (
            ("check", "dead", "--import", "{file}"),
            r"but dead raises ZeroDivisionError in line 18 of .*: division by zero",
        ),
        (("check", "nothing", "--import", "{file}"), r"but nothing returns None"),
        (("check", "missing"), r"an entry point of the group ohmweave.drivers"),
        (("check", "good", "--import", "missing.py"), r"`--import` must name an existing .py file"),
        (("check", "good", "--import", "{file}", "--corner", "0,1"), r"`--corner` must be ARRAY,ROW,COLUMN"),
        (("check", "good", "--import", "{file}", "--corner", "0,4,0"), r"`--corner` must leave 2 x 4 cells"),
        (("replay", "{file}"), r"is not a log of ohmweave"),
        (("replay", "missing.log"), r"must be a log, but cannot be read"),
    ],
)
def test_mistakes_are_named(
    drivers: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert run(*(one.format(file=drivers) for one in arguments)) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_log_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, table = tmp_path / "run.log", tmp_path / "trains.csv"
    with Recorded(BareArray(rows=5, cols=7), log) as array:
        at = torch.tensor([3, 5])
        for _ in range(4):
            array.readout(at)
            array.pulse(at, Pulse(torch.tensor([1, -1])))
        with pytest.raises(ValueError, match=r"must list each cell once"):
            array.pulse(torch.tensor([1, 1]), Pulse(torch.ones(2)))
    assert run("replay", log, "--trains", table) == 0
    out = capsys.readouterr().out
    for words in (
        "BareArray: 1 array of 5 x 7 cells",
        "9 calls in",
        "1 of them failed",
        "4 SET + 4 RESET pulses",
        "2 cells pulsed, the most worn one by 4 pulses",
        "pulse raised OutOfRangeError",
        "8 readings written",
    ):
        assert words in out
    assert read_trains(table).names == ("3", "5")

"""Files as labs write them, and what is said of those that cannot be read."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.fitting import read_trains
from tests.helpers import assert_close

HEADER = "cell, pulse, polarity, g (uS)\n"


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "pulses.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_cells_pulses_and_units(file) -> None:
    trains = read_trains(
        file(
            "# bench 3\ncell,pulse,polarity,g [uS],v (V),width (ns),T\n"
            "B,0,,2.5,0,0,300\nA,4,0,2,,,\n\nB,1,set,3.1,1.2,50,\nA,5,RESET,1.7,-1.4,80,\nA,6,+1,1.9,1.2,50,\n"
        )
    )
    assert trains.names == ("A", "B")
    assert trains.cell.tolist() == [0, 0, 0, 1, 1]
    assert trains.pulse.tolist() == [4, 5, 6, 0, 1]
    assert trains.polarity.tolist() == [0, -1, 1, 0, 1]
    assert trains.g.tolist() == [2e-6, 1.7e-6, 1.9e-6, 2.5e-6, 3.1e-6]
    assert trains.conditions == {"v_set": 1.2, "v_reset": 1.4, "width_set": 50e-9, "width_reset": 80e-9}


@pytest.mark.parametrize(("title", "scale"), [("g (S)", "1e-6"), ("g (nS)", "1e3"), ("g (mS)", "1e-3"), ("G(µS)", "1")])
def test_units_change_nothing(file, title: str, scale: str) -> None:
    values = [Decimal(value) * Decimal(scale) for value in ("2.5", "3.125", "4.75")]
    lines = "".join(f"A,{k},1,{value}\n" for k, value in enumerate(values))
    assert read_trains(file(f"cell,pulse,polarity,{title}\n{lines}")).g.tolist() == [2.5e-6, 3.125e-6, 4.75e-6]


def test_currents_and_delimiters(file) -> None:
    text = "cell;pulse;polarity;i\nA;0;0;0,4\n".replace(",", ".")
    trains = read_trains(file("\ufeff" + text), unit="uA", v_read=0.2)
    assert_close(trains.g, [2e-6], rtol=1e-12)
    assert_close(read_trains(file(text.replace(";", "\t")), unit="uA", v_read=0.1).g, [4e-6], rtol=1e-12)


def test_cells_may_be_mixed_and_pulses_missing(file) -> None:
    mixed = read_trains(file(HEADER + "A,0,0,2\nB,0,0,3\nA,1,1,2.2\nB,1,1,3.3\nB,5,1,4\nA,2,-1,2\n"))
    apart = read_trains(file(HEADER + "B,0,0,3\nB,1,1,3.3\nB,5,1,4\nA,0,0,2\nA,1,1,2.2\nA,2,-1,2\n"))
    for name in ("cell", "pulse", "polarity", "g"):
        assert np.array_equal(getattr(mixed, name), getattr(apart, name))
    steps = mixed.steps()  # B's step from 1 to 5 is none
    assert (steps.cell.tolist(), steps.polarity.tolist()) == ([0, 0, 1], [1, -1, 1])
    assert_close(steps.g_after - steps.g_before, [0.2e-6, -0.2e-6, 0.3e-6], rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold readings"),
        (HEADER, "must hold readings"),
        ("cell, pulse, g (uS)\nA,0,2\n", r"line 1: the header must name polarity too, but names cell, pulse, g"),
        ("cell, pulse, polarity\nA,0,0\n", "the header must name g too"),
        ("cell, cell, pulse\nA,A,1\n", "must name `cell` once"),
        (HEADER + "A,0,0,2\nA,1,1,two\n", r"pulses.csv, line 3, column `g \(uS\)`: `g` must be a number, but is 'two'"),
        (HEADER + "A,0,0,2\nA,0.5,1,2\n", r"line 3, column `pulse`: `pulse` must be an integer, but is '0.5'"),
        (
            HEADER + "A,0,0,2\nA,1,sideways,2\n",
            r"line 3.*`polarity` must be SET or 1, RESET or -1 .*, but is 'sideways'",
        ),
        (HEADER + "A,0,0,2\nA,1,0\n", r"line 3 must have 4 fields as the header, line 1, but has 3: .*`g \(uS\)`"),
        (HEADER + "A,3,0,2\nB,0,0,2\nA,3,1,3\n", r"line 4.*`pulse` must be above 3, .* but is '3'"),
        ("cell,pulse,polarity,i (uA)\nA,0,0,2\n", "`v_read` must say at which voltage"),
    ],
)
def test_what_cannot_be_read(file, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_trains(file(text))


@pytest.mark.parametrize(
    ("title", "remedy"),
    [
        ("g", "name it in the header, as in `g (uS)`, or by `unit` (`--unit uS`)"),
        ("g ()", "as in `g (uS)`"),
        ("i", "as in `i (uA)`, or by `unit` (`--unit uA`), and give `v_read` (`--v-read '0.2 V'`)"),
        ("g (uS),v", "as in `v (V)`"),
        ("g (uS),width", "as in `width (ns)`"),
    ],
)
def test_a_column_without_a_unit_is_refused_with_the_remedy(file, title: str, remedy: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"pulses.csv, line 1: the column `.*` must have a unit") as refused:
        read_trains(file(f"cell,pulse,polarity,{title}\nA,0,0,2{',3' * title.count(',')}\n"))
    assert remedy in str(refused.value)


@pytest.mark.parametrize("title", ["g (V)", "g (xS)", "g (5 uS)"])
def test_a_unit_is_wanted(file, title: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"`g of pulses.csv, line 1` must be a quantity in S"):
        read_trains(file(f"cell,pulse,polarity,{title}\nA,0,0,2\n"))


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`path` must be a table in a text file"):
        read_trains(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="`path` must be a table in a text file"):
        read_trains(tmp_path / "binary.csv")
    with pytest.raises(OutOfRangeError, match="`v_read` must not be 0 V"):
        read_trains(tmp_path / "none.csv", v_read=0.0)

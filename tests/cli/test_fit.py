"""`ohmweave fit` from outside: a file in, a cell file and a figure out, and errors that say what to do."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmweave.cells import AffineStep, Cell, SinhConduction, Spread, linear_steps, load
from ohmweave.cli import main
from tests.fitting.bench import cycles, measured
from tests.helpers import assert_close

LAW = linear_steps(g_min=2e-6, g_max=20e-6, levels=60, c2c=0.5)


def run(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["fit", *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cells, in uS."""
    data = measured(Cell(LAW, spread=Spread(d2d=0.1)), cells=6, pulses=cycles(2, 30, 30), seed=0, g_start=5e-6)
    path = tmp_path_factory.mktemp("bench") / "pulses.csv"
    rows = zip(data.cell, data.pulse, data.polarity, data.g, strict=True)
    lines = [f"C{cell},{pulse},{polarity},{1e6 * g:.6f}" for cell, pulse, polarity, g in rows]
    path.write_text("\n".join(["cell,pulse,polarity,g (uS)", *lines]))
    return path


def test_a_device_file_and_a_figure(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cells.json"
    assert run(csv, "--g-min", "2 uS", "--g-max", "0.02 mS", "--out", out) == 0
    said = capsys.readouterr()
    assert "linear" in said.out
    assert "best" in said.out
    assert "SET step" in said.out
    assert f"{out}: ohmweave.cells.load reads it; {tmp_path / 'cells.png'} shows it" in said.err
    cell = load(out)
    assert isinstance(cell.spread, Spread)
    assert isinstance(cell.switching, AffineStep)
    assert (cell.g_min, cell.g_max) == (2e-6, 20e-6)
    assert_close(cell.switching.set_step[0], LAW.set_step[0], rtol=0.2)
    assert (tmp_path / "cells.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.json", "cells.png"]


def test_json_and_another_unit(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Currents in nA at 0.1 V are 100 for each uS: the same law."""
    header, *lines = csv.read_text().splitlines()
    fields = [line.split(",") for line in lines]
    currents = tmp_path / "currents.csv"
    scaled = [",".join([*one, f"{100 * float(g):.4f}"]) for *one, g in fields]
    currents.write_text("\n".join([header.replace("g (uS)", "i"), *scaled]))
    assert run(csv, "--law", "exponential", "--no-figure", "--json", "--out", tmp_path / "a.json") == 0
    one = json.loads(capsys.readouterr().out)
    same = ("--law", "exponential", "--no-figure", "--json", "--unit", "nA", "--v-read", "100 mV")
    assert run(currents, *same) == 0
    other = json.loads(capsys.readouterr().out)
    assert one["chosen"] == other["chosen"] == "exponential"
    for name, interval in one["parameters"].items():
        assert_close(other["parameters"][name], interval, rtol=1e-6)
    assert json.loads((tmp_path / "a.json").read_text())["about"] == one
    assert (tmp_path / "currents.json").is_file()
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--g-min", "2"], "`--g-min` must be a quantity in S"),
        (["--law", "cubic"], "`--law` must be one of linear"),
        (["--g-max", "3 uS"], "must hold at least 20"),
    ],
)
def test_errors_leave_nothing_behind(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(csv, *arguments, "--out", tmp_path / "cells.json") == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_without_a_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("cell,pulse,polarity,g\nA,0,0,2\n")
    assert run(bare) == 1
    assert "bare.csv, line 1: the column `g` must have a unit" in capsys.readouterr().err


def test_what_is_left_out_is_printed_and_kept(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = csv.read_text().splitlines()
    lines[40] = lines[40].rsplit(",", 1)[0] + ",400"
    (tmp_path / "glitch.csv").write_text("\n".join(lines) + "\n")
    assert run(tmp_path / "glitch.csv", "--law", "linear", "--no-figure", "--json") == 0
    said = capsys.readouterr()
    wanted = "glitch.csv, line 41, column `g (uS)`: '400' left out: its neighbours contradict it: a misread"
    assert wanted in said.err
    about = json.loads(said.out)
    assert about["left_out"] == [wanted]
    assert about["stuck"][0] == 0
    assert json.loads((tmp_path / "glitch.json").read_text())["about"] == about


def test_columns_in_the_users_words(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *lines = csv.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(["who,n,what,value", *lines]) + "\n")
    quick = ("--law", "linear", "--no-figure", "--json")
    assert run(csv, *quick, "--out", tmp_path / "a.json") == 0
    wanted = json.loads(capsys.readouterr().out)["parameters"]
    assert run(other, *quick, "--column", "cell=who", "--column", "polarity=what", "--column", "g (uS)=4") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == wanted
    assert run(other, *quick, "--columns", "cell, pulse, polarity, g (uS)") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == wanted
    assert run(other, "--columns", "cell, pulse, polarity, g (uS)", "--column", "g=value") == 2
    assert run(other, "--column", "who") == 2
    assert "--column must be WHAT=TITLE" in capsys.readouterr().err
    assert header


def test_a_law_for_each_amplitude(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *lines = csv.read_text().splitlines()
    several = tmp_path / "several.csv"
    fields = [line.split(",") for line in lines]
    volts = ["1.0" if int(one[1]) <= 60 else "1.2" for one in fields]
    rows = [",".join([*one, v if one[2] == "1" else "1.5"]) for one, v in zip(fields, volts, strict=True)]
    several.write_text("\n".join([f"{header},v (V)", *rows]) + "\n")
    assert run(several, "--law", "linear", "--no-figure", "--json") == 0
    said = capsys.readouterr()
    abouts = json.loads(said.out)
    assert [one["conditions"] for one in abouts] == [{"v_reset": 1.5, "v_set": v} for v in (1.0, 1.2)]
    assert [one["pulses"] for one in abouts] == [360, 360]
    names = sorted(path.name for path in tmp_path.glob("*.json"))
    assert names == ["several-set-1.00V-reset-1.50V.json", "several-set-1.20V-reset-1.50V.json"]
    assert run(several, "--law", "linear", "--no-figure") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("SET 1.00 V, RESET 1.50 V: ", "SET 1.20 V, RESET 1.50 V: "):
        assert printed.count(words) == 2  # the verdict and the table of laws


def test_two_cycles_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cycles.tsv").write_text("7\t10000\t100000\t1\n7\t10500\t90000\t2\n")
    assert run(tmp_path / "cycles.tsv", "--columns", "cell, r_set (Ohm), r_reset (Ohm), cycle") == 0
    said = capsys.readouterr().err
    assert "Cycling(1 cell, 2 cycles" in said
    assert "not fitted: `data` must hold at least 20 cycles" in said
    assert "no cell file" in said
    assert [path.name for path in tmp_path.iterdir()] == ["cycles.tsv"]


def test_kinds_join_one_cell(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(0)
    v = np.linspace(-0.4, 0.4, 41)
    rows = [f"A,{x},{1e-5 * 0.3 * np.sinh(x / 0.3) * (1 + 0.01 * chance.normal())}" for x in v]
    (tmp_path / "iv.csv").write_text("\n".join(["cell,v (V),i (A)", *rows]) + "\n")
    both = tmp_path / "both.json"
    assert run(csv, tmp_path / "iv.csv", "--law", "linear", "--out", both) == 0
    capsys.readouterr()
    cell, about = load(both), json.loads(both.read_text())["about"]
    assert isinstance(cell.conduction, SinhConduction)
    assert isinstance(cell.switching, AffineStep)
    assert set(about["origin"]["files"]) == {csv.name, "iv.csv"}
    assert about["origin"]["files"]["iv.csv"] == hashlib.sha256((tmp_path / "iv.csv").read_bytes()).hexdigest()
    assert np.array(about["correlations"]["matrix"]).shape == (3, 3)
    assert (tmp_path / "both.png").is_file()
    assert (tmp_path / "both-conduction.png").is_file()
    # The same by two commands.
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    assert run(csv, "--law", "linear", "--out", one, "--no-figure") == 0
    assert run(tmp_path / "iv.csv", "--cell", one, "--out", two, "--no-figure") == 0
    assert load(two) == cell
    joined = json.loads(two.read_text())["about"]
    assert joined["parameters"] == about["parameters"]
    assert joined["parts"]["conduction"] == about["parts"]["conduction"]
    assert joined["origin"]["cell"]["file"] == "one.json"

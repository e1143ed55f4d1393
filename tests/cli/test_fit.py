"""`ohmweave fit` from outside: a file in, a cell file and a figure out, and errors that say what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from ohmweave.cells import AffineStep, Cell, Spread, linear_steps, load
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
        (["--g-min", "2"], "`g_min` must be a quantity in S"),
        (["--law", "cubic"], "`law` must be one of linear"),
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

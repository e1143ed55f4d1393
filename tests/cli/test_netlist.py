"""`ohmweave netlist`: what ngspice makes of the file, against the solver."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from ohmweave.circuit import Wires, effective_conductance
from ohmweave.cli import main
from tests.helpers import assert_close


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["netlist", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_ngspice_agrees_with_the_solver(tmp_path: Path, suffix: str) -> None:
    g = np.random.default_rng(0).uniform(1e-6, 1e-4, (5, 3))
    v = np.array([0.1, -0.2, 0.0, 0.05, 0.2])
    for name, values in (("g", g), ("v", v)):
        path = tmp_path / f"{name}{suffix}"
        np.save(path, values) if suffix == ".npy" else np.savetxt(path, values, delimiter=",", fmt="%.17g")
    out = tmp_path / "tile.cir"
    wires = ["--r-row", "20 Ohm", "--r-col", "0.03 kOhm", "--r-driver", "100 Ohm", "--r-sense", "5 Ohm"]
    inputs = str(tmp_path / f"v{suffix}")
    assert run(str(tmp_path / f"g{suffix}"), "--inputs", inputs, *wires, "--r-cell", "50 Ohm", "--out", str(out)) == 0
    printed = subprocess.run(["ngspice", "-b", str(out)], capture_output=True, text=True, check=False).stdout
    currents = [float(x) for x in re.findall(r"i\(vsense\d+\) = (\S+)", printed)]
    g_eff = effective_conductance(
        torch.from_numpy(g), Wires(r_row=20.0, r_col=30.0, r_driver=100.0, r_sense=5.0), r_cell=50.0
    )
    assert_close(currents, torch.from_numpy(v) @ g_eff, rtol=1e-6)


def test_random_cells_stay_in_their_window(tmp_path: Path) -> None:
    out = tmp_path / "tile.cir"
    assert (
        run("--rows", "3", "--cols", "2", "--g-min", "4 uS", "--g-max", "5 uS", "--seed", "3", "--out", str(out)) == 0
    )
    ohms = [float(x) for x in re.findall(r"^Rg\S+ \S+ \S+ (\S+)$", out.read_text(), re.MULTILINE)]
    assert len(ohms) == 6
    assert all(4e-6 <= 1 / x <= 5e-6 for x in ohms)


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "words.csv"
    words.write_text("a,b\n")
    assert run(str(words)) == 1
    assert "must be a table of numbers" in capsys.readouterr().err
    assert run("--r-row", "1") == 1
    assert "`--r-row` must be a quantity in Ohm" in capsys.readouterr().err
    for option, unit in {"--g-min": "S", "--g-max": "S", "--v-read": "V", "--sinh-v0": "V", "--r-cell": "Ohm"}.items():
        assert run(option, "2 m") == 1
        assert f"`{option}` must be a quantity in {unit}" in capsys.readouterr().err
    assert run("--g-min", "30 uS") == 1
    assert "`--g-min` must be from 0 S to --g-max, 20 uS, but is '30 uS'" in capsys.readouterr().err
    assert run(str(tmp_path / "none.csv")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--r-sense", "-1 Ohm"], "`--r-sense` must be >= 0 Ohm, but is -1.0"),
        (["--r-cell", "-1 Ohm"], "`--r-cell` must be >= 0 Ohm, but is -1.0"),
        (["--sinh-v0", "0 V"], "`--sinh-v0` must be > 0 V, but is 0.0"),
        (["siemens.csv"], "`FILE` must hold conductances up to 1 S, but siemens.csv holds 5 S; if its numbers are in"),
        (["siemens.csv", "--unit", "V"], "`--unit` must be a unit that converts to S, but is 'V'"),
        (["siemens.csv", "--unit", "5 uS"], "`--unit` must be a unit that converts to S, but is '5 uS'"),
        (["--v-read", "-300 V"], "`--v-read` must be a voltage up to 100 V, but is '-300 V'"),
        (["--sinh-v0", "1 kV"], "`--sinh-v0` must be a voltage up to 100 V, but is '1 kV'"),
        (["--g-max", "20 S"], "`--g-max` must be a conductance up to 1 S, but is '20 S'"),
        (["negative.csv"], "`FILE` must hold conductances >= 0 S, but negative.csv holds -2e-06"),
        (["nan.csv"], "`FILE` must hold conductances >= 0 S, but nan.csv holds nan"),
        (
            ["--rows", "3", "--inputs", "two.csv"],
            "`--inputs` must hold one voltage for each of the 3 rows, but two.csv holds 2",
        ),
    ],
)
def test_errors_name_the_option_as_typed_and_leave_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "negative.csv": "1e-6,-2e-6",
        "nan.csv": "1e-6,nan",
        "two.csv": "0.1,0.2",
        "siemens.csv": "5.0,2.0",
    }.items():
        Path(name).write_text(text + "\n")
    assert run(*arguments, "--out", "tile.cir") == 1
    assert message in capsys.readouterr().err
    assert not Path("tile.cir").exists()


def test_a_file_in_a_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = tmp_path / "g.csv", tmp_path / "tile.cir"
    table.write_text("5.0,2.0\n")
    assert run(str(table), "--unit", "uS", "--out", str(out)) == 0
    ohms = [float(x) for x in re.findall(r"^Rg\S+ \S+ \S+ (\S+)$", out.read_text(), re.MULTILINE)]
    assert_close(ohms, [2e5, 5e5], rtol=1e-12)
    assert "1 x 2 cells of 2.00 µS to 5.00 µS" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["g.csv", "--rows", "16"], "--rows has no effect with FILE"),
        (["g.csv", "--g-max", "20 uS"], "--g-max has no effect with FILE"),
        (["g.csv", "--seed", "0"], "--seed has no effect with FILE"),
        (["--rows", "1", "--inputs", "v.csv", "--v-read", "0.2 V"], "--v-read has no effect with --inputs"),
        (["--unit", "uS"], "--unit has no effect without FILE"),
    ],
)
def test_options_without_effect_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.csv").write_text("1e-6,2e-6\n")
    Path("v.csv").write_text("0.1\n")
    assert run(*arguments, "--out", "tile.cir") == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not Path("tile.cir").exists()


HEADERS = [
    "((((",
    "'''",
    "(1L",
    "{'descr': (('<f8', (2,)),), 'fortran_order': False, 'shape': (1,)}",
    "{'descr': '<f8'",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_broken_header_is_an_error_and_writes_nothing(
    header: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """NumPy gives the header to Python's parser, whose errors are many."""
    path, out = tmp_path / "g.npy", tmp_path / "x.cir"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(8))
    assert run(str(path), "--out", str(out)) == 1
    assert "its header cannot be read" in capsys.readouterr().err
    assert not out.exists()


def test_sizes_that_fit_in_no_memory_are_bad_usage(tmp_path: Path) -> None:
    assert run("--rows", str(2**40), "--out", str(tmp_path / "x.cir")) == 2


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
@pytest.mark.parametrize("options", [[], ["--sinh-v0", "0.1 V", "--r-cell", "200 Ohm"]])
def test_expected_currents_are_beside_those_of_ngspice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    millivolts = tmp_path / "v.csv"
    np.savetxt(millivolts, np.array([200.0, -50.0, 0.0, 120.0]), delimiter=",")
    out = tmp_path / "tile.cir"
    sizes = ["--rows", "4", "--cols", "10", "--r-row", "30 Ohm", "--r-col", "10 Ohm", "--r-sense", "50 Ohm"]
    assert run(*sizes, "--inputs", str(millivolts), "--inputs-unit", "mV", *options, "--out", str(out)) == 0
    printed = subprocess.run(["ngspice", "-b", str(out)], capture_output=True, text=True, check=False).stdout
    theirs = [float(x) for x in re.findall(r"i\(vsense\d+\) = (\S+)", printed)]
    ours = [float(x) for x in re.findall(r"expected by ohmweave: (\S+) A", printed)]
    assert len(theirs) == len(ours) == 10
    assert_close(ours, theirs, rtol=1e-6)
    said = " ".join(capsys.readouterr().err.split())
    assert "expected, column by column" in said
    assert "and 2 more in the file" in said


def test_voltages_in_the_wrong_unit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "v.csv"
    np.savetxt(path, np.array([200.0, 50.0]), delimiter=",")
    assert run("--rows", "2", "--inputs", str(path)) == 1
    assert "name it, as in --inputs-unit mV" in " ".join(capsys.readouterr().err.split())
    assert run("--rows", "2", "--inputs-unit", "mV") == 2
    assert "--inputs-unit has no effect without --inputs" in " ".join(capsys.readouterr().err.split())


def test_the_printed_currents_are_those_of_badcrossbar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another solver, with the same segments: row wires between cells, column wires down to virtual ground."""
    badcrossbar = pytest.importorskip("badcrossbar")
    g, v = np.array([[5.0, 2.0, 9.0], [1.0, 20.0, 4.0]]) * 1e-6, np.array([0.2, -0.1])
    np.savetxt(tmp_path / "g.csv", g * 1e6, delimiter=",")
    np.savetxt(tmp_path / "v.csv", v * 1e3, delimiter=",")
    arguments = ["--unit", "uS", "--inputs", str(tmp_path / "v.csv"), "--inputs-unit", "mV", "--r-row", "500 Ohm"]
    out = ["--r-col", "700 Ohm", "--out", str(tmp_path / "tile.cir")]
    assert run(str(tmp_path / "g.csv"), *arguments, *out) == 0
    solved = badcrossbar.compute(v[:, None], 1 / g, r_i_word_line=500.0, r_i_bit_line=700.0)
    wanted = np.asarray(solved.currents.output).flatten()
    printed = re.findall(r"^.*expected by ohmweave: (\S+) A", (tmp_path / "tile.cir").read_text(), re.MULTILINE)
    # Ten digits are printed; badcrossbar solves to about as many.
    assert_close([float(one) for one in printed], wanted.tolist(), rtol=1e-7)

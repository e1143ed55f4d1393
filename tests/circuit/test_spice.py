"""The netlist, as text and as ngspice runs it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.circuit import Wires, effective_conductance, sinh_law, solve_nonlinear, to_spice
from tests.circuit.cases import WIRES, conductances, voltages
from tests.helpers import assert_close

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")


def run_ngspice(netlist: str, folder: Path) -> list[float]:
    path = folder / "crossbar.cir"
    path.write_text(netlist)
    done = subprocess.run(["ngspice", "-b", str(path)], capture_output=True, text=True, timeout=120, check=False)
    printed = dict(re.findall(r"^i\(vsense(\d+)\) = (\S+)", done.stdout, flags=re.MULTILINE))
    assert printed, done.stdout + done.stderr
    return [float(printed[str(j)]) for j in range(len(printed))]


@needs_ngspice
@pytest.mark.parametrize("name", WIRES)
def test_ngspice_finds_the_same_currents(name: str, tmp_path: Path) -> None:
    g, v_row = conductances(6, 5), voltages(6)
    g[2, 3] = 0.0
    found = run_ngspice(to_spice(g, v_row, WIRES[name]), tmp_path)
    assert_close(found, v_row @ effective_conductance(g, WIRES[name]), rtol=1e-6)


@needs_ngspice
@pytest.mark.parametrize(
    ("rows", "cols", "r_wire"),
    [(1, 9, 0.1), (17, 1, 100.0), (14, 20, 5.0), pytest.param(64, 64, 100.0, marks=pytest.mark.slow)],
)
def test_ngspice_on_other_sizes(rows: int, cols: int, r_wire: float, tmp_path: Path) -> None:
    g, v_row = conductances(rows, cols), voltages(rows)
    around = Wires(r_row=r_wire, r_col=2 * r_wire, r_driver=10.0)
    found = run_ngspice(to_spice(g, v_row, around, r_cell=150.0), tmp_path)
    assert_close(found, v_row @ effective_conductance(g, around, r_cell=150.0), rtol=1e-6)


@needs_ngspice
def test_ngspice_on_sinh_cells(tmp_path: Path) -> None:
    g, v_row = conductances(5, 4), voltages(5)
    current, didv = sinh_law(g, 0.08)
    solution = solve_nonlinear(current, v_row, 4, WIRES["both"], didv=didv, r_cell=100.0, tolerance=1e-12)
    found = run_ngspice(to_spice(g, v_row, WIRES["both"], r_cell=100.0, sinh_v0=0.08), tmp_path)
    assert_close(found, solution.i_col, rtol=1e-6)


def test_text_of_a_small_crossbar() -> None:
    g = torch.tensor([[1e-3, 0.0]], dtype=torch.float64)
    around = Wires(r_row=1.5, r_col=0.0, r_driver=10.0)
    assert to_spice(g, torch.tensor([0.25]), around, title="two\ncells").splitlines()[:8] == [
        "* two cells",
        ".options reltol=1e-12 abstol=1e-20 vntol=1e-15 gmin=1e-20",
        "Rrow0 in0 r0_0 11.5",
        "Vrow0 in0 0 0.25",
        "Rr0_1 r0_0 r0_1 1.5",
        "Vsense0 c0_0 0 0",
        "Vsense1 c0_1 0 0",
        "Rg0_0 r0_0 c0_0 1000",
    ]
    assert to_spice(g, torch.tensor([0.25]), around) == to_spice(g, torch.tensor([0.25]), around)


def test_errors() -> None:
    g, around = conductances(2, 3), WIRES["segments"]
    with pytest.raises(ShapeError, match="one crossbar"):
        to_spice(g[None], voltages(2), around)
    with pytest.raises(ShapeError, match="one input"):
        to_spice(g, voltages(1, 2), around)
    with pytest.raises(ShapeError, match="`v_row`"):
        to_spice(g, voltages(3), around)
    with pytest.raises(OutOfRangeError, match="`g`"):
        to_spice(-g, voltages(2), around)
    with pytest.raises(OutOfRangeError, match="`r_cell`"):
        to_spice(g, voltages(2), around, r_cell=-1.0)
    with pytest.raises(OutOfRangeError, match="`sinh_v0`"):
        to_spice(g, voltages(2), around, sinh_v0=0.0)

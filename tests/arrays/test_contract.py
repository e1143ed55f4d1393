"""The contract of arrays, for simulated arrays in all their shapes and for the bare one."""

from typing import Any

import pytest
import torch

from ohmweave.arrays import ADC, DAC, Array, Passive, SimulatedArray, Transistors, Wires
from ohmweave.cells import Cell, LinearStep, ReadNoise, SinhConduction, VoltageDependence, yao2020
from ohmweave.testing import ArrayContract, BareArray

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=181)
FELT = Cell(LINEAR, voltage=VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.05, v_threshold=0.6))
SIZES = {"n_arrays": 2, "rows": 5, "cols": 7, "seed": 3, "dtype": torch.float64}


class Simulated(ArrayContract):
    cell: Any = LINEAR
    parts: dict[str, Any] = {}  # noqa: RUF012  replaced in subclasses, never written to
    n_chips: int | None = None

    @pytest.fixture(autouse=True, params=[None, 1, 3])
    def _chips(self, request: pytest.FixtureRequest) -> None:
        self.n_chips = request.param

    def make_array(self) -> Array:
        return SimulatedArray(self.cell, **(SIZES | {"n_chips": self.n_chips} | self.parts))


class TestIdeal(Simulated):
    pass


class TestSingle(Simulated):
    parts = {"dtype": torch.float32}  # noqa: RUF012


class TestMeasuredCells(Simulated):
    cell = yao2020(variant="tails", drift=True)
    monotonic = False


class TestNoisy(Simulated):
    cell = Cell(LINEAR, read_noise=ReadNoise(fraction=0.05))
    exact = False


class TestRowConverter(Simulated):
    parts = {"dac": DAC(bits=6, v_max=0.2, signed=True)}  # noqa: RUF012
    linear = False


class TestConverters(Simulated):
    parts = {"dac": DAC(bits=4, v_max=0.2, bit_serial=True), "adc": ADC(bits=6, offset=0.5, inl=1.0)}  # noqa: RUF012
    linear = signed = transposed = False

    def test_no_voltage_no_current(self) -> None:
        """Converters with an offset show one."""


class TestWires(Simulated):
    parts = {"wires": Wires(r_row=20.0, r_col=30.0), "access": Transistors(r_on=300.0)}  # noqa: RUF012
    sees_readout = False


class TestWiresReadOut(Simulated):
    parts = {"wires": Wires(r_row=20.0, r_col=30.0), "readout": "read"}  # noqa: RUF012
    selective = False  # all cells of an array are seen through the same wires


class TestPassive(Simulated):
    cell = FELT
    parts = {  # noqa: RUF012
        "access": Passive(v_set=1.0, v_reset=1.0),
        "readout": "read",
        "wires": Wires(r_row=1.0, r_col=1.0),
    }
    selective = False


class TestNonlinear(Simulated):
    cell = Cell(LINEAR, conduction=SinhConduction(v0=0.1))
    linear = transposed = False


class TestBare(ArrayContract):
    @pytest.fixture(autouse=True, params=[None, 1, 3])
    def _chips(self, request: pytest.FixtureRequest) -> None:
        self.n_chips = request.param

    def make_array(self) -> Array:
        return BareArray(n_arrays=2, rows=5, cols=7, n_chips=self.n_chips)


class Wrong(BareArray):
    """A bare array with one fault, which the contract must find."""

    def read(self, v_row: torch.Tensor, placement: Any) -> torch.Tensor:
        """Without the sign of negative lines."""
        return super().read(v_row, placement).abs()


class Forgetful(BareArray):
    """Counts what it refuses."""

    def pulse(self, cells: torch.Tensor, pulse: Any) -> None:
        """Counted before it is checked."""
        self.books.activity.n_set += 1
        super().pulse(cells, pulse)


@pytest.mark.parametrize(
    ("array", "test", "message"),
    [
        (Wrong, "test_a_read_is_the_loop_over_tiles_lines_and_signs", "not the sum of voltages times"),
        (Wrong, "test_exact_reads_are_linear", "the read of a sum is not"),
        (Wrong, "test_a_transposed_read_is_the_adjoint", "not the transposed map"),
        (Forgetful, "test_nonsense_is_refused_and_leaves_all_as_it_was", "counted a polarity of 2"),
        (Forgetful, "test_counters_balance", "4 SETs"),
    ],
)
def test_the_contract_finds_what_is_wrong(array: type[BareArray], test: str, message: str) -> None:
    class OfWrong(ArrayContract):
        def make_array(self) -> Array:
            return array(n_arrays=2, rows=5, cols=7)

    with pytest.raises(AssertionError, match=message):
        getattr(OfWrong(), test)()

"""Slips of a user that used to give wrong numbers without a word."""

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch

from ohmweave.arrays import DAC, Passive, SimulatedArray, Transistors
from ohmweave.base import OutOfRangeError, ShapeError, WeightOnChipError
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, VoltageDependence
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, Matrix
from ohmweave.nn import Linear, OnChip, deploy
from ohmweave.optim import MixedPrecision
from ohmweave.programming import BlindWrite, WriteStoppedError, WriteVerify
from ohmweave.testing import BareArray
from tests.helpers import assert_close

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=181)
NAN, INF = float("nan"), float("inf")
WEIGHT = torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.0, -1.0]])
WRITE = WriteVerify(tolerance=0.2e-6)


def matrix_on(chip: Chip, scaling: FixedScaling | None = None) -> Matrix:
    matrix = Matrix(chip, "m", (2, 3), mapping=DifferentialPair(), scaling=scaling)
    matrix.program(WEIGHT.to(chip.array.dtype), WRITE)
    return matrix


def simulated() -> Chip:
    return Chip(LINEAR, rows=6, cols=8, dtype=torch.float64)


@pytest.mark.parametrize("write", [WriteVerify(tolerance=2.0), BlindWrite(g_step=2.0)], ids=str)
@pytest.mark.parametrize("kind", ["simulated", "bare"])
def test_a_write_in_microsiemens_is_refused(kind: str, write: Any) -> None:
    """`WriteVerify(tolerance=2.0)` found all cells converged without a pulse."""
    chip = simulated() if kind == "simulated" else Chip(array=BareArray(rows=6, cols=8))
    matrix = matrix_on(chip)
    before, scale = chip.array.books.activity.copy(), matrix.g_per_w
    with pytest.raises(OutOfRangeError, match=r"conductance window, 1.8e-05 S, but is 2 S: did you mean 2 uS"):
        matrix.program(WEIGHT * 2, write)
    with pytest.raises(OutOfRangeError, match="did you mean 2 uS"):
        write(chip.array, matrix.cells, torch.full(matrix.cells.shape, 5e-6))
    assert (chip.array.books.activity, matrix.g_per_w) == (before, scale)


def test_a_tolerance_as_wide_as_the_window_is_refused() -> None:
    chip = simulated()
    with pytest.raises(OutOfRangeError, match=r"1.8e-05 S, but is 1.8e-05 S$"):
        WriteVerify(tolerance=LINEAR.g_max - LINEAR.g_min)(chip.array, torch.arange(3), torch.full((3,), 5e-6))


def test_cells_in_microsiemens_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="did you mean 20 uS"):
        LinearStep(g_min=2, g_max=20)
    with pytest.raises(OutOfRangeError, match=r"`floor` of the read noise .* did you mean 0.1 uS"):
        Cell(LINEAR, read_noise=ReadNoise(floor=0.1))


def test_many_cells_that_do_not_converge_are_reported_once() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    with pytest.warns(UserWarning, match=r"of 20 cells \(\d+%\) did not converge, most of them in '0'") as caught:
        deploy(model, Chip(LINEAR, rows=6, cols=8), write=WriteVerify(tolerance=1e-12, max_pulses=1))
    assert len(caught) == 1


@pytest.mark.parametrize("kind", ["simulated", "bare"])
def test_a_cell_listed_twice_is_refused(kind: str) -> None:
    """It moved once and was counted twice."""
    array = simulated().array if kind == "simulated" else BareArray(rows=6, cols=8)
    cells = torch.tensor([3, 1, 3])
    for _ in range(2):
        with pytest.raises(OutOfRangeError, match="must list each cell once"):
            array.pulse(cells, Pulse(torch.ones(3)))
        array.pulse(torch.tensor([3, 1, 2]), Pulse(torch.ones(3)))
    assert array.books.activity.n_set == 6


def test_a_list_that_is_changed_in_place_is_looked_at_again() -> None:
    array, cells = simulated().array, torch.tensor([3, 1, 2])
    array.pulse(cells, Pulse(torch.ones(3)))
    cells[0] = 1
    with pytest.raises(OutOfRangeError, match="must list each cell once"):
        array.pulse(cells, Pulse(torch.ones(3)))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.float32, torch.bool])
def test_addresses_must_be_int64(dtype: torch.dtype) -> None:
    array, cells = simulated().array, torch.tensor([0, 1]).to(dtype)
    with pytest.raises(OutOfRangeError, match=r"torch\.int64"):
        array.pulse(cells, Pulse(torch.ones(2)))
    with pytest.raises(OutOfRangeError, match=r"torch\.int64"):
        array.readout(cells)


@pytest.mark.parametrize("cells", [[-1], [0, 48]], ids=str)
@pytest.mark.parametrize("kind", ["simulated", "bare"])
def test_readouts_are_of_cells_that_exist(kind: str, cells: list[int]) -> None:
    array = simulated().array if kind == "simulated" else BareArray(rows=6, cols=8)
    with pytest.raises(OutOfRangeError, match="`cells` must be from 0 to 47"):
        array.readout(torch.tensor(cells))


@pytest.mark.parametrize("name", ["v", "width"])
@pytest.mark.parametrize("wrong", [0.0, -1.0, NAN, INF])
def test_amplitudes_and_widths_are_above_zero(name: str, wrong: float) -> None:
    cell = Cell(LINEAR, voltage=VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.2))
    array, cells = SimulatedArray(cell, rows=2, cols=3), torch.arange(2)
    with pytest.raises(OutOfRangeError, match=f"`pulse.{name}` must be"):
        array.pulse(cells, Pulse(torch.ones(2), **{name: torch.tensor([1.0, wrong])}))
    if name == "v" and wrong == 0:
        array.pulse(cells, Pulse(torch.tensor([1.0, 0.0]), v=torch.tensor([1.0, 0.0])))  # polarity 0 is no pulse


def test_numbers_of_pulses_are_a_tensor() -> None:
    with pytest.raises(OutOfRangeError, match=r"`pulse.n` must be a tensor, but is \[2, 3\]"):
        simulated().array.pulse(torch.arange(2), Pulse(torch.ones(2), n=[2, 3]))  # type: ignore[arg-type]


def test_pulses_with_a_gradient_leave_no_graph() -> None:
    array = simulated().array
    array.pulse(torch.arange(2), Pulse(torch.ones(2, dtype=torch.float64, requires_grad=True)))
    assert not array.readout(torch.arange(6)).requires_grad


def test_one_amplitude_alone_is_refused() -> None:
    for given in ({"v_set": 1.4}, {"v_reset": 1.4}):
        with pytest.raises(OutOfRangeError, match="must both be given or"):
            Transistors(**given)
    with pytest.raises(OutOfRangeError, match="`v_reset` must be > 0 V"):
        Passive(v_set=1.0, v_reset=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("signed", [True, False])
def test_a_bit_serial_converter_refuses_nan(signed: bool) -> None:
    dac = DAC(bits=5, v_max=0.2, signed=signed, bit_serial=True)
    with pytest.raises(OutOfRangeError, match="`v_row` must"):
        dac.codes(torch.tensor([0.1, NAN]))
    assert torch.isfinite(dac.codes(torch.tensor([0.1, INF]))).all()


def test_calibration_needs_finite_numbers_and_keeps_a_scale_for_zeros() -> None:
    scaling = FixedScaling(3.0)
    for wrong in (NAN, INF):
        with pytest.raises(OutOfRangeError, match="1 of 3 numbers are NaN or infinite"):
            scaling.calibrate(torch.tensor([1.0, wrong, 2.0]))
    scaling.calibrate(torch.zeros(4))
    assert scaling.x_max == 3.0


class Faulty(BareArray):
    """A driver with a mistake in one method."""

    wrong: Any = staticmethod(lambda found: found)

    def read(self, *args: Any) -> Any:
        """As the array, with the mistake."""
        return self.wrong(super().read(*args))

    def read_transposed(self, *args: Any) -> Any:
        """As the array, with the mistake."""
        return self.wrong(super().read_transposed(*args))

    def readout(self, *args: Any) -> Any:
        """As the array, with the mistake."""
        return self.wrong(super().readout(*args))


MISTAKES = {
    "shape": (lambda found: found[..., :1], ShapeError, "must return the shape"),
    "a dimension of one": (lambda found: found[..., None], ShapeError, "must return the shape"),
    "dtype": (lambda found: found.float(), OutOfRangeError, "must return torch.float64"),
    "NaN": (lambda found: found * NAN, OutOfRangeError, "must return finite numbers"),
    "NumPy": (lambda found: found.numpy(), OutOfRangeError, "must return a tensor, but returned a ndarray"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_driver_that_returns_something_else_is_named(mistake: str) -> None:
    array = Faulty(rows=6, cols=8)
    matrix = matrix_on(Chip(array=array))
    wrong, error, message = MISTAKES[mistake]
    array.wrong = wrong  # type: ignore[method-assign]
    with pytest.raises(error, match=f"`Faulty.read` {message}"):
        matrix.matmul(torch.ones(4, 3, dtype=torch.float64))
    with pytest.raises(error, match=f"`Faulty.read_transposed` {message}"):
        matrix.matmul_transposed(torch.ones(4, 2, dtype=torch.float64))
    with pytest.raises(error, match=f"`Faulty.readout` {message}"):
        matrix.readout()
    for write in (WRITE, BlindWrite(g_step=1e-7)):
        with pytest.raises(WriteStoppedError, match=f"`Faulty.readout` {message}"):
            matrix.program(WEIGHT, write)


@pytest.mark.parametrize("kind", ["bare", "DAC"])
def test_inputs_that_drivers_cut_are_reported_once(kind: str) -> None:
    dac = DAC(bits=8, v_max=0.2, signed=True)
    chip = Chip(array=BareArray(rows=6, cols=8)) if kind == "bare" else Chip(LINEAR, rows=6, cols=8, dac=dac)
    matrix, x = matrix_on(chip, FixedScaling(1.0)), torch.tensor([[0.5, 3.0, -1.0]]).to(chip.array.dtype)
    with pytest.warns(UserWarning, match=r"33% of the inputs .* up to 3 times, and are cut: calibrate") as caught:
        matrix.matmul(torch.cat([x, x]))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix.matmul(x)


def test_inputs_within_the_full_scale_give_no_warning() -> None:
    matrix = matrix_on(Chip(array=BareArray(rows=6, cols=8)), FixedScaling(3.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix.matmul(torch.tensor([[0.5, 3.0, -3.0]], dtype=torch.float64))


def test_a_chips_state_has_the_scales_of_its_matrices() -> None:
    """Cells came back, and were read at the scale of what had been written in between."""
    chip = simulated()
    matrix = matrix_on(chip)
    state, before = chip.state_dict(), matrix.readout()
    matrix.program(WEIGHT.double() * 3, WRITE)
    chip.load_state_dict(state)
    assert torch.equal(matrix.readout(), before)
    chip.load_state_dict({name: leaf for name, leaf in state.items() if not name.startswith("scale.")})
    assert torch.equal(matrix.readout(), before)


def test_a_removed_matrix_has_no_scale_in_the_state() -> None:
    chip = simulated()
    matrix = matrix_on(chip)
    assert float(chip.state_dict()["scale.m"]) == matrix.g_per_w
    chip.remove("m")
    assert not [name for name in chip.state_dict() if name.startswith("scale.")]


def test_copies_and_pickles_are_refused() -> None:
    chip = simulated()
    layer = Linear(3, 2, bias=False, chip=chip, name="l", on_chip=OnChip(mapping=DifferentialPair(g_unit=1e-6)))
    rule = MixedPrecision([layer.weight], lr=0.1, g_step=1e-7)
    for what in (chip, chip.array, layer.matrix, rule):
        for use in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(WeightOnChipError, match=r"`ohmweave\.save`"):
                use(what)


@pytest.mark.parametrize("lr", [-1.0, NAN, INF, "0.1"])
def test_hyperparameters_are_checked_in_every_step(lr: Any) -> None:
    layer = Linear(3, 2, bias=False, chip=simulated(), on_chip=OnChip(mapping=DifferentialPair(g_unit=1e-6)), name="l")
    rule = MixedPrecision([layer.weight], lr=0.1, g_step=1e-7)
    layer.weight.grad = -torch.ones_like(layer.weight.detach())
    rule.param_groups[0]["lr"] = 0.0  # a schedule may end here
    rule.step()
    rule.param_groups[0]["lr"] = lr
    with pytest.raises(OutOfRangeError, match="`lr` must be > 0"):
        rule.step()
    rule.param_groups[0]["lr"] = 0.1
    rule.param_groups[0]["learning_rate"] = 0.2
    with pytest.raises(OutOfRangeError, match=r"but has .'learning_rate'."):
        rule.step()
    assert not layer.matrix.chip.array.books.activity.n_set


@pytest.mark.parametrize("given", [{"n_arrays": 5}, {"device": "cuda"}, {"rows": 4}, {"v_read": 0.1}], ids=str)
def test_a_chip_of_an_array_takes_nothing_else(given: dict[str, Any]) -> None:
    with pytest.raises(OutOfRangeError, match=f"the array has its own .'{next(iter(given))}'."):
        Chip(array=BareArray(rows=6, cols=8), **given)


@pytest.mark.parametrize("seed", [None, "a", 1.7, True])
def test_seeds_are_integers(seed: Any) -> None:
    with pytest.raises(OutOfRangeError, match="`seed` must be an integer"):
        Chip(LINEAR, rows=6, cols=8, seed=seed)
    with pytest.raises(OutOfRangeError, match="`seed` must be an integer"):
        Chip(array=BareArray(rows=6, cols=8), seed=seed)


def test_integers_of_numpy_are_integers() -> None:
    numpy = pytest.importorskip("numpy")
    assert Chip(LINEAR, rows=numpy.int64(6), cols=numpy.int32(8), seed=numpy.int64(3)).n_cells == 48


class Picky(DifferentialPair):
    """Refuses weights above 10."""

    __slots__ = ()

    def g_per_w(self, weight: torch.Tensor, array: Any) -> float:
        """As the pair, or an error."""
        if float(weight.abs().max()) > 10:
            raise OutOfRangeError("`weight` must be at most 10")
        return 1e-6


def test_a_mapping_that_refuses_a_weight_does_so_before_the_first_pulse() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.fill_(20.0)
    chip = Chip(LINEAR, rows=6, cols=8)
    with pytest.raises(OutOfRangeError, match="at most 10"):
        deploy(model, chip, write=WRITE, mapping=Picky())
    assert not chip.placed
    assert chip.array.books.activity.n_set == 0


def test_inference_mode_leaves_nothing_behind() -> None:
    """Tensors made in it cannot be changed or trained on afterwards."""
    chip = simulated()
    layer = Linear(3, 2, bias=False, chip=chip, name="l", on_chip=OnChip(mapping=DifferentialPair(g_unit=1e-6)))
    rule = MixedPrecision([layer.weight], lr=1.0, g_step=1e-7)
    x = torch.ones(4, 3, dtype=torch.float64)
    with torch.inference_mode():
        layer.matrix.pulse(layer.matrix.cells.flatten()[:4], Pulse(torch.ones(4)))
        chip.wait(1.0)
        layer.matrix.matmul(x)
        held = layer.matrix.readout()
        state = chip.state_dict()
        chip.load_state_dict(state)
    assert not held.is_inference()
    for _ in range(2):
        layer(x.clone().requires_grad_()).square().sum().backward()
        layer.weight.grad = -torch.ones_like(layer.weight.detach())
        rule.step()
    assert_close(layer(x).detach(), x @ layer.matrix.readout().T, rtol=1e-9)


def test_a_chip_made_in_inference_mode_can_be_trained() -> None:
    with torch.inference_mode():
        chip = simulated()
        matrix = matrix_on(chip)
        matrix.matmul(torch.ones(1, 3, dtype=torch.float64))
    matrix.pulse(matrix.cells.flatten(), Pulse(torch.ones(matrix.cells.numel())))
    assert_close(matrix.matmul(torch.eye(3, dtype=torch.float64)), matrix.readout().T, rtol=1e-9)

"""Only volts pass the seam to hardware, none above the read voltage, whatever network is on it."""

from typing import Any

import pytest
import torch

from ohmweave.arrays import (
    CompiledCells,
    PatchReads,
    Placement,
    RangedConverters,
    SavedState,
    ScaledReads,
    SimulatedArray,
)
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, Matrix
from ohmweave.nn import Conv2d, Linear, LSTMCell, OnChip, calibrate_converters, calibrate_inputs, deploy
from ohmweave.optim import PulsedSGD
from ohmweave.programming import BlindWrite, WriteVerify
from ohmweave.testing import BareArray
from tests.helpers import assert_close

CELL = LinearStep(g_min=2e-6, g_max=20e-6, levels=1_801)
V_READ = 0.2


def bare() -> BareArray:
    """An array of the window and step of `CELL`."""
    return BareArray(rows=40, cols=40, g_step=CELL.g_step)


class Recorder:
    """Passes everything on to a simulated array, and keeps the largest voltage of every read."""

    def __init__(self, array: SimulatedArray) -> None:
        self.wrapped = array
        self.largest: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        self.largest.append(float(v_row.abs().max()))
        return self.wrapped.read(v_row, placement)

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        self.largest.append(float(v_col.abs().max()))
        return self.wrapped.read_transposed(v_col, placement)


def simulated(n_chips: int | None = None) -> SimulatedArray:
    return SimulatedArray(CELL, n_arrays=4, rows=40, cols=40, n_chips=n_chips, v_read=V_READ, dtype=torch.float64)


def numbers(*shape: int) -> torch.Tensor:
    """Far above any voltage."""
    return torch.randn(*shape, generator=generator(0, "x"), dtype=torch.float64) * 50


def check(recorder: Recorder) -> None:
    assert recorder.largest
    assert max(recorder.largest) <= V_READ * (1 + 1e-6)
    assert max(recorder.largest) > V_READ / 2  # and the read voltage is made use of


def test_a_proxy_has_no_capability_of_what_it_wraps() -> None:
    array = simulated()
    for capability in (ScaledReads, PatchReads, RangedConverters, SavedState, CompiledCells):
        assert isinstance(array, capability)
        assert not isinstance(Recorder(array), capability)
        assert not isinstance(BareArray(rows=4, cols=6), capability)


@pytest.mark.parametrize("scaling", [None, FixedScaling(100.0), FixedScaling(1.0)], ids=["sample", "fixed", "small"])
def test_layers_send_volts(scaling: Any) -> None:
    """With a scale that is too small, the drivers cut: "50 V" used to be sent."""
    recorder = Recorder(simulated())
    chip = Chip(array=recorder)  # type: ignore[arg-type]
    Linear(5, 3, chip=chip, name="linear", on_chip=OnChip(scaling=scaling), backward="array")(
        numbers(4, 5).requires_grad_()
    ).sum().backward()
    check(recorder)
    recorder.largest.clear()
    Conv2d(2, 3, 3, chip=chip, name="conv", on_chip=OnChip(scaling=scaling))(numbers(2, 2, 5, 6))
    check(recorder)
    recorder.largest.clear()
    cell = LSTMCell(3, 2, chip=chip, name="lstm", on_chip=OnChip(scaling=scaling))
    state = None
    for _ in range(3):
        state = cell(numbers(4, 3), state)
    check(recorder)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(18, 3)
    )
    return layers.double()


@pytest.mark.parametrize("n_chips", [None, 2])
@pytest.mark.parametrize("scaling", [None, FixedScaling], ids=["sample", "fixed"])
def test_a_deployed_network_sends_volts_and_computes_the_same(n_chips: int | None, scaling: Any) -> None:
    recorder, x = Recorder(simulated(n_chips)), numbers(3, 1, 8, 8)
    outputs = []
    for array in (recorder, simulated(n_chips)):
        chip = Chip(array=array)  # type: ignore[arg-type]
        layers = {} if scaling is None else {name: OnChip(scaling=scaling) for name in ("0", "3")}
        net = deploy(model(), chip, mapping=DifferentialPair(), write=WriteVerify(tolerance=0.02e-6), layers=layers)
        calibrate_inputs(net, x)
        outputs.append(net(x).detach())
    check(recorder)
    assert_close(outputs[0], outputs[1], rtol=1e-9, scale=float(outputs[1].abs().max()))


@pytest.mark.parametrize("n_chips", [None, 2])
def test_a_bare_array_is_written_calibrated_read_and_trained(n_chips: int | None) -> None:
    """As a simulated one of the same cells, to rounding: nothing leans on more than the protocol."""
    x, labels = numbers(3, 1, 8, 8), torch.tensor([0, 2, 1])
    outputs, weights = [], []
    for array in (
        BareArray(n_arrays=4, rows=40, cols=40, n_chips=n_chips, g_step=CELL.g_step, v_read=V_READ),
        simulated(n_chips),
    ):
        chip = Chip(array=array)
        layers = {name: OnChip(scaling=FixedScaling) for name in ("0", "3")}
        net = deploy(model(), chip, write=WriteVerify(tolerance=0.02e-6), layers=layers)
        calibrate_inputs(net, x)
        rule = PulsedSGD(net.weights.values(), lr=1e-3, g_step=CELL.g_step, generator=generator(0, "rule"))
        for _ in range(2):
            rule.zero_grad()
            y = net(x)
            targets = labels.expand(*array.chip_shape, 3)
            torch.nn.functional.cross_entropy(y.flatten(0, -2), targets.flatten(), reduction="sum").backward()
            rule.step()
        net.refresh()
        outputs.append(net(x).detach())
        weights.append(net.matrix("3").conductance())
        assert array.books.activity.n_set > 0
    assert_close(weights[0], weights[1], rtol=1e-9)
    assert_close(outputs[0], outputs[1], rtol=1e-9, scale=float(outputs[1].abs().max()))


def test_converters_of_a_bare_array_have_no_range_to_find() -> None:
    net = deploy(model(), Chip(array=bare()), write=BlindWrite(g_step=CELL.g_step))
    with pytest.raises(OutOfRangeError, match=r"`net` must be on an array whose converters have a range.*BareArray"):
        calibrate_converters(net, numbers(1, 1, 8, 8))


def test_a_matrix_uses_the_fast_path_only_where_nothing_depends_on_the_scale() -> None:
    for array, expected in (
        (simulated(), True),
        (Recorder(simulated()), False),
        (bare(), False),
    ):
        matrix = Matrix(Chip(array=array), "m", (3, 5), mapping=DifferentialPair())  # type: ignore[arg-type]
        assert (matrix.read_scale is not None) == expected

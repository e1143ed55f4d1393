"""A chip on "cpu" works whatever torch's default device is: nothing makes a tensor without saying where.

The default device here is "meta", whose tensors have no numbers: one of them in a calculation makes it fail.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from ohmweave.arrays import ADC, DAC, Array, ConvGeometry, Passive, SimulatedArray, Transistors, Wires
from ohmweave.base import generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, SinhConduction, VoltageDependence, yao2020
from ohmweave.circuit import effective_conductance, read_bias, select_bias, solve_currents, solve_nodes, to_spice
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.testing import ArrayContract, BareArray

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=181)
FELT = Cell(LINEAR, voltage=VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.05, v_threshold=0.6))
NOISY = Cell(LINEAR, read_noise=ReadNoise(fraction=0.05))
SINH = Cell(LINEAR, conduction=SinhConduction(v0=0.1))
SERIAL = DAC(bits=4, v_max=0.2, bit_serial=True)
WIRES = Wires(r_row=20.0, r_col=30.0)
SHARED = Wires(r_row=20.0, r_col=30.0, r_sense=10_000.0)


@pytest.fixture(autouse=True)
def _meta() -> Iterator[None]:
    with torch.device("meta"):
        yield


def on_cpu(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=generator(0, "v"), dtype=torch.float64, device="cpu") * 0.2


KINDS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "measured": {"cell": yao2020(variant="tails", drift=True, read_noise=0.02)},
    "noisy": {"cell": NOISY},
    "bits": {"cell": NOISY, "dac": SERIAL},
    "converters": {"dac": SERIAL, "adc": ADC(bits=6, offset=0.5, gain=0.1, inl=0.5, noise=0.1)},
    "signed": {"dac": DAC(bits=4, v_max=0.2, signed=True, bit_serial=True), "adc": ADC(bits=6, signed=True)},
    "wires": {
        "cell": Cell(LINEAR, read_noise=ReadNoise(fraction=0.05)),
        "wires": WIRES,
        "access": Transistors(r_on=100.0),
    },
    "shared resistances": {"cell": NOISY, "wires": SHARED, "readout": "read"},
    "shared resistances, converted": {"cell": NOISY, "wires": SHARED, "dac": SERIAL, "adc": ADC(bits=6)},
    "1T1R": {"cell": FELT, "wires": WIRES, "access": Transistors(v_set=1.0, v_reset=1.0)},
    "passive": {"cell": FELT, "wires": WIRES, "access": Passive(v_set=1.0, v_reset=1.0), "readout": "read"},
    "non-linear": {"cell": SINH, "wires": WIRES},
    "non-linear, converted": {
        "cell": Cell(LINEAR, conduction=SinhConduction(v0=0.1)),
        "adc": ADC(bits=6, subtract="digital"),
    },
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_chips", [None, 2])
def test_a_chip_on_cpu(kind: str, n_chips: int | None) -> None:
    """Everything that one does to a chip, with every kind of read."""
    parts = {"cell": LINEAR, "n_arrays": 2, "rows": 12, "cols": 7, "n_chips": n_chips, "dtype": torch.float64}
    chip = Chip(**(parts | KINDS[kind]), device="cpu")
    matrix = Matrix(chip, "m", (2, 18), mapping=DifferentialPair())
    array, place = chip.array, matrix.placement
    assert isinstance(array, SimulatedArray)
    cells = matrix.cells.flatten()
    array.pulse(cells, Pulse(torch.ones_like(cells), n=torch.arange(len(cells), device="cpu") % 3))
    array.pulse(cells[:3], Pulse(torch.ones_like(cells[:3])))
    chip.wait(1.0)
    v = on_cpu(*array.chip_shape, 3, 18)
    results = [array.read(v, place), array.readout(matrix.cells), matrix.matmul(v), matrix.readout()]
    images = on_cpu(*array.chip_shape, 2, 4, 5, 2)
    results.append(array.read_patches(images, ConvGeometry(kernel_size=(3, 3), padding=(1, 0, 1, 0)), place))
    if array.adc is None and "non-linear" not in kind:
        results.append(matrix.matmul_transposed(on_cpu(*array.chip_shape, 3, 2)))
    array.pulse(cells[:2], Pulse(-torch.ones_like(cells[:2])))
    results.append(array.read(v, place))
    if array.adc is not None:
        with array.ranging():
            array.read(v, place)
    state = chip.state_dict()
    assert {leaf.device.type for leaf in [*state.values(), *results]} == {"cpu"}
    chip.load_state_dict(state)
    repr(chip)


class TestSimulated(ArrayContract):
    def make_array(self) -> Array:
        return SimulatedArray(LINEAR, n_arrays=2, rows=5, cols=7, n_chips=2, device="cpu")


class TestBare(ArrayContract):
    def make_array(self) -> Array:
        return BareArray(n_arrays=2, rows=5, cols=7, n_chips=2)


def test_circuits_are_solved_on_the_device_of_their_conductances() -> None:
    g = on_cpu(2, 5, 4) * 1e-3 + 1e-6
    v = on_cpu(2, 3, 5)
    for wires in (WIRES, Wires(r_row=20.0, r_col=30.0, r_driver=5.0, driven_from="both")):
        assert effective_conductance(g, wires).device.type == "cpu"
        assert solve_currents(g, v, wires).device.type == "cpu"
        assert solve_nodes(g, read_bias(v[:, 0], wires), wires).i_col.device.type == "cpu"
        for scheme in ("half", "third", "floating"):
            bias = select_bias(1, 2, 1.0, rows=5, cols=4, wires=wires, scheme=scheme)
            assert solve_nodes(g, bias, wires).v_cell.device.type == "cpu"
        assert to_spice(g[0], v[0, 0], wires)
    long = on_cpu(300, 4) * 1e-3
    assert solve_currents(long, on_cpu(300), WIRES).device.type == "cpu"

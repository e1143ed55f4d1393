"""The calls of an array, on arrays of every kind: what is refused must leave cells, books and streams as they were."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave import arrays, cells
from ohmweave.arrays import ADC, DAC, ConvGeometry, ReadScale, SimulatedArray, Wires
from tests.fuzz.cases.arrays import CELL, VOLTAGE, array, placement
from tests.fuzz.runner import Call, Case

TABLE = cells.yao2020(read_noise=0.01, drift=True)
KINDS: dict[str, Callable[[], SimulatedArray]] = {
    "plain": array,
    "chips": lambda: array(n_chips=2),
    "float64": lambda: array(dtype=torch.float64),
    "noisy": lambda: SimulatedArray(TABLE, rows=6, cols=8),
    "converters": lambda: array(dac=DAC(bits=4, v_max=0.2, signed=True), adc=ADC(bits=8, noise=0.2, offset=0.2)),
    "serial": lambda: array(dac=DAC(bits=4, v_max=0.2, bit_serial=True), adc=ADC(bits=8)),
    "serial, no ADC": lambda: array(dac=DAC(bits=4, v_max=0.2, signed=True, bit_serial=True)),
    "wires": lambda: array(wires=Wires(r_row=1.0, r_col=1.0)),
    "passive": lambda: SimulatedArray(
        VOLTAGE, rows=6, cols=8, access=arrays.Passive(v_set=1.5, v_reset=1.5), readout="read"
    ),
    "sinh": lambda: SimulatedArray(cells.Cell(CELL.switching, conduction=cells.SinhConduction(v0=0.3)), rows=6, cols=8),
    "gate": lambda: SimulatedArray(cells.wang2019(), rows=6, cols=8),
}
GEOMETRY = ConvGeometry(kernel_size=(2, 2))


def _volts(made: SimulatedArray, *shape: int) -> torch.Tensor:
    chips = made.chip_shape
    n = torch.Size(shape).numel()
    return torch.linspace(0, 0.2, n, dtype=made.dtype).view(shape).expand(*chips, *shape).clone()


def _of_scale(method: Callable[..., Any]) -> Callable[..., Any]:
    return lambda v_per_x, a_per_y, **rest: method(scale=ReadScale(v_per_x=v_per_x, a_per_y=a_per_y), **rest)


def _call(made: SimulatedArray, function: Callable[..., Any], arguments: dict[str, Any], **options: Any) -> Call:
    return Call(function=function, arguments=arguments, watched=(made,), **options)


def _read(made: SimulatedArray) -> Call:
    arguments = {"v_row": _volts(made, 2, 4), "placement": placement()}
    return _call(made, made.read, arguments, lets_nan_through=True)


def _read_patches(made: SimulatedArray) -> Call:
    arguments = {"v": _volts(made, 2, 3, 3, 1), "geometry": GEOMETRY, "placement": placement()}
    return _call(made, made.read_patches, arguments, lets_nan_through=True)


def _read_scaled(made: SimulatedArray) -> Call:
    arguments = {"x": _volts(made, 2, 4) * 5, "placement": placement(), "v_per_x": 0.2, "a_per_y": 1e-6}
    return _call(made, _of_scale(made.read_scaled), arguments, lets_nan_through=True)


def _read_patches_scaled(made: SimulatedArray) -> Call:
    arguments = {"x": _volts(made, 2, 3, 3, 1) * 5, "geometry": GEOMETRY, "placement": placement()}
    arguments |= {"v_per_x": 0.2, "a_per_y": 1e-6}
    return _call(made, _of_scale(made.read_patches_scaled), arguments, lets_nan_through=True)


def _read_transposed(made: SimulatedArray) -> Call:
    arguments = {"v_col": _volts(made, 2, 3), "placement": placement()}
    return _call(made, made.read_transposed, arguments, lets_nan_through=True)


def _readout(made: SimulatedArray) -> Call:
    return _call(made, made.readout, {"cells": torch.arange(8).view(2, 4)})


def _wait(made: SimulatedArray) -> Call:
    return _call(made, made.wait, {"duration": 10.0}, use=lambda _: made.readout(torch.arange(48)))


def _pulse(made: SimulatedArray) -> Call:
    fields: dict[str, torch.Tensor] = {"polarity": torch.tensor([1.0, -1.0, 0.0, 1.0]), "n": torch.tensor([1, 2, 3, 1])}
    if made.cell.feels_voltage:
        fields["v"] = torch.full((4,), 1.4)
    if made.cell.feels_gate:
        fields["v_gate"] = torch.full((4,), 1.2)
    return _call(
        made,
        lambda cells_, **pulse: made.pulse(cells_, cells.Pulse(**pulse)),
        {"cells_": torch.tensor([3, 17, 20, 47]), **fields},
        use=lambda _: (made.bank.conductance_of(torch.arange(48)), made.state_dict()["books.counts"]),
        negative=False,
    )


def _load(made: SimulatedArray) -> Call:
    return _call(
        made,
        made.load_state_dict,
        {"state": made.state_dict()},
        use=lambda _: (made.bank.conductance_of(torch.arange(48)), made.state_dict()["books.counts"].double()),
        negative=False,
    )


def _ranging(made: SimulatedArray) -> Call:
    def ranged(v_row: torch.Tensor, headroom: float) -> float:
        with made.ranging(headroom=headroom):
            made.read(v_row, placement())
        return made.full_scale(placement())

    return Call(function=ranged, arguments={"v_row": _volts(made, 2, 4), "headroom": 1.1}, negative=False)


def _through(function: Callable[..., Any], name: str, *shape: int) -> Callable[[SimulatedArray], Call]:
    """A function of `arrays` that takes the array as its first argument."""

    def case(made: SimulatedArray) -> Call:
        arguments: dict[str, Any] = {"array": made, name: torch.arange(8)}
        if function is not arrays.read_cells:
            arguments |= {name: _volts(made, *shape), "placement": placement()}
        if function is arrays.read_patches:
            arguments["geometry"] = GEOMETRY
        return _call(made, function, arguments, lets_nan_through=True)

    return case


_ALL = tuple(KINDS)
_LINEAR = ("plain", "chips", "float64", "noisy", "wires")
CALLS: dict[str, tuple[Callable[[SimulatedArray], Call], tuple[str, ...]]] = {
    "SimulatedArray.read": (_read, _ALL),
    "SimulatedArray.read_patches": (_read_patches, _ALL),
    "SimulatedArray.read_scaled": (_read_scaled, _LINEAR),
    "SimulatedArray.read_patches_scaled": (_read_patches_scaled, _LINEAR),
    "SimulatedArray.read_transposed": (_read_transposed, _LINEAR),
    "SimulatedArray.readout": (_readout, _ALL),
    "SimulatedArray.wait": (_wait, ("plain", "noisy")),
    "SimulatedArray.pulse": (_pulse, _ALL),
    "SimulatedArray.load_state_dict": (_load, _ALL),
    "SimulatedArray.ranging": (_ranging, ("converters", "serial")),
    "read_vectors": (_through(arrays.read_vectors, "v", 2, 4), ("plain", "serial")),
    "read_patches": (_through(arrays.read_patches, "v", 2, 3, 3, 1), ("plain", "serial")),
    "read_transposed": (_through(arrays.read_transposed, "v_col", 2, 3), ("plain",)),
    "read_cells": (_through(arrays.read_cells, "cells"), ("plain", "noisy")),
}


def _case(make: Callable[[SimulatedArray], Call], kind: str) -> Case:
    return lambda: make(KINDS[kind]())


ARRAY_CALLS: dict[str, Case] = {
    f"arrays.{name}:{kind}": _case(make, kind) for name, (make, kinds) in CALLS.items() for kind in kinds
}

"""Functions of `nn` whose arguments are models and weights, and plain records of any package."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ohmweave import cells, fitting, nn
from ohmweave.arrays import SimulatedArray
from ohmweave.base import ShapeError
from ohmweave.cells import Pulse
from ohmweave.mapping import DifferentialPair, PerSampleScaling
from ohmweave.nn import CalibratedLayer, CalibrationTable
from tests.fuzz.cases.arrays import CELL
from tests.fuzz.cases.networks import chip, network
from tests.fuzz.runner import Call, Case


class _Normed(torch.nn.Module):
    """A convolution and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(1, 2, 2), torch.nn.BatchNorm2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not isinstance(x, torch.Tensor) or x.dtype != torch.float32 or x.shape[1:] != (1, 4, 4):
            raise ShapeError("`x` must be of (n, 1, 4, 4) and torch.float32")  # a model of somebody else refuses it
        return self.norm(self.conv(x))


def _normed() -> torch.nn.Module:
    torch.default_generator.manual_seed(1)
    return _Normed().eval()


_IMAGES = torch.linspace(-1, 1, 32).view(2, 1, 4, 4)


def _of_model(function: Callable[..., Any]) -> Case:
    def case() -> Call:
        model = _normed()

        def use(found: Any) -> Any:
            return found(_IMAGES) if isinstance(found, torch.nn.Module) else []

        return Call(
            function=function, arguments={"model": model, "x": _IMAGES.clone()}, watched=(model,), use=use,
            lets_nan_through=True,
        )  # fmt: skip

    return case


def _recalibrated() -> Call:
    model = _normed()

    def recalibrate(x: Any) -> Any:
        nn.recalibrate_batch_norm(model, [x, _IMAGES])
        return model(_IMAGES)

    return Call(function=recalibrate, arguments={"x": _IMAGES.clone()}, watched=(model,))


def _noise_aware() -> Call:
    torch.default_generator.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    arguments = {
        "model": model, "chip": chip(), "generator": torch.Generator().manual_seed(1), "mapping": DifferentialPair(),
        "sigma": 5e-7, "input_bits": 4, "input_range": "batch", "renew": 20, "layers": {"0": nn.OnChip()},
        "digital": ("2",), "as_known": None,
    }  # fmt: skip
    return Call(function=nn.NoiseAware, arguments=arguments, watched=(model,), use=lambda made: made(torch.ones(2, 5)))


def _measured() -> Call:
    net = network(n_chips=2)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    return Call(
        function=nn.measured, arguments={"net": net, "model": model, "chip": 1}, watched=(net, model),
        use=lambda made: made(torch.ones(2, 5)),
    )  # fmt: skip


def _product() -> Call:
    made = chip()
    layer = nn.Linear(5, 3, chip=made, name="fc")
    return Call(
        function=nn.array_product, arguments={"x": torch.rand(2, 5), "weight": layer.weight, "transposed": False},
        watched=(made,), lets_nan_through=True,
    )  # fmt: skip


def _convolution() -> Call:
    made = chip()
    layer = nn.Conv2d(2, 3, 2, chip=made, name="conv")
    return Call(
        function=lambda x: nn.array_convolution(x, layer.weight, layer.geometry),
        arguments={"x": torch.rand(2, 2, 4, 4)}, watched=(made,), lets_nan_through=True,
    )  # fmt: skip


def _sequence() -> Call:
    made = chip()
    cell = nn.ConvLSTMCell(1, 2, 3, chip=made, name="c")
    return Call(
        function=nn.ConvLSTM, arguments={"cell": cell, "batch_first": True}, watched=(made,),
        use=lambda layer: layer(torch.ones(1, 2, 1, 4, 4))[0],
    )  # fmt: skip


def _sequence_forward() -> Call:
    made = chip()
    layer = nn.ConvLSTM(nn.ConvLSTMCell(1, 2, 3, chip=made, name="c"))
    return Call(
        function=lambda x: layer(x), arguments={"x": torch.rand(1, 2, 1, 4, 4)}, watched=(made,), lets_nan_through=True
    )


def _base_layer() -> Call:
    made = chip()
    matrix = nn.OnChip().matrix(made, "fc", (3, 4))
    return Call(
        function=nn.ChipLayer, arguments={"matrix": matrix, "weight_shape": (3, 2, 2), "bias": True}, watched=(made,),
        use=lambda layer: layer.weight.fresh(), lets_nan_through=True,
    )  # fmt: skip


def _matrix_of() -> Call:
    layer = nn.Linear(5, 3, chip=chip(), name="fc")
    return Call(function=nn.matrix_of, arguments={"parameter": layer.weight}, use=lambda one: repr(one))


def _scaled(scaling: Any) -> Case:
    def to_voltage(x: Any) -> Any:
        return scaling.to_voltage(x, 0.2)

    return lambda: Call(function=to_voltage, arguments={"x": torch.rand(2, 4)}, lets_nan_through=True)


def _pulsed() -> Call:
    cell = replace(CELL, voltage=cells.VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.1))
    array = SimulatedArray(cell, n_arrays=1, rows=4, cols=5, seed=1)
    ones = torch.ones(3, dtype=torch.int64)

    def pulse(**fields: Any) -> Any:
        array.pulse(torch.arange(3), Pulse(**fields))
        return array.readout(torch.arange(20))

    return Call(
        function=pulse, arguments={"polarity": ones, "n": ones.clone(), "v": torch.full((3,), 1.1)}, watched=(array,),
        negative=False,
    )  # fmt: skip


_LAYER = {
    "name": "fc", "kind": "Linear", "x_max": (1.0, 0.9), "inputs_clipped": (0.0, 0.01),
    "i_max": ((1e-6,), (2e-6,)), "currents_clipped": (0.1, 0.0), "error": (0.2, 0.05),
}  # fmt: skip
OBJECTS: dict[str, Case] = {
    "nn.CalibratedLayer": lambda: Call(
        function=CalibratedLayer, arguments=dict(_LAYER),
        use=lambda one: [one, str(one.texts()), str(CalibrationTable(rows=(one,), title="t"))], negative=False,
    ),
    "nn.CalibrationTable": lambda: Call(
        function=CalibrationTable, arguments={"rows": (CalibratedLayer(**_LAYER),) * 3, "title": "Calibrated"}, use=repr
    ),
    "nn.batch_norm_pairs": _of_model(nn.batch_norm_pairs),
    "nn.fold_batch_norm": _of_model(nn.fold_batch_norm),
    "nn.per_channel_scale": _of_model(nn.per_channel_scale),
    "nn.recalibrate_batch_norm": _recalibrated,
    "nn.NoiseAware": _noise_aware,
    "nn.measured": _measured,
    "nn.array_product": _product,
    "nn.array_convolution": _convolution,
    "nn.ConvLSTM": _sequence,
    "nn.ConvLSTM.forward": _sequence_forward,
    "nn.ChipLayer": _base_layer,
    "nn.matrix_of": _matrix_of,
    "nn.to_chip": lambda: Call(
        function=nn.to_chip, arguments={"module": torch.nn.Linear(2, 2)}, use=lambda one: repr(one)
    ),
    "mapping.PerSampleScaling": _scaled(PerSampleScaling()),
    "cells.Pulse": _pulsed,
    "cells.aggregate": lambda: Call(
        function=cells.aggregate,
        arguments={"law": cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=100, c2c=0.1)}, use=repr,
    ),
    "fitting.LeftOut": lambda: Call(
        function=fitting.LeftOut,
        arguments={"file": "m.csv", "line": 3, "column": "g", "value": "x", "why": "no number"}, use=str,
    ),
    "fitting.Interval": lambda: Call(
        function=fitting.Interval(1.0, 0.5, 2.0).scaled, arguments={"factor": 2.0}, use=list
    ),
}  # fmt: skip

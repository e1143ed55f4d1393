"""Layers, deployment and what is done to deployed networks."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave import cells, nn
from ohmweave.arrays import ADC, DAC, yao2020_macro
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, PerSampleScaling
from tests.fuzz.cases.arrays import CELL
from tests.fuzz.cases.mapping import WRITE
from tests.fuzz.runner import Call, Case

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "chips": {"n_chips": 2},
    "converters": {"dac": yao2020_macro().dac, "adc": ADC(bits=8), "v_read": 0.2},
    "noisy": {"cell": cells.yao2020(read_noise=0.01)},
}


def chip(**options: Any) -> Chip:
    """A chip with room for the layers below."""
    return Chip(options.pop("cell", CELL), **{"n_arrays": 4, "rows": 32, "cols": 32, "seed": 1} | options)


def network(**options: Any) -> nn.Deployed:
    """Two layers, written."""
    torch.default_generator.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    return nn.deploy(model, chip(**options), write=WRITE, scaling=FixedScaling, mapping=DifferentialPair())


def _layer(kind: Any, arguments: dict[str, Any], *shape: int) -> Case:
    """A layer is made on a chip, and applied to zeros and ones."""

    def case() -> Call:
        made = chip()
        given = arguments | {"chip": made, "name": "fc", "on_chip": nn.OnChip(mapping=DifferentialPair())}

        def use(layer: Any) -> Any:
            if arguments.get("bias") and kind is nn.Linear:
                layer.program(torch.rand(layer.weight.shape), WRITE)
            return layer(torch.ones(shape))

        return Call(function=kind, arguments=given, watched=(made,), use=use)

    return case


def _forward(make: Callable[[Chip], torch.nn.Module], kind: str, *shape: int) -> Case:
    def case() -> Call:
        made = chip(**KINDS[kind])
        layer = make(made)
        x = torch.rand(*made.chip_shape, *shape).reshape(-1, *shape[1:])  # the chips come first
        return Call(function=layer, arguments={"x": x}, watched=(made,), lets_nan_through=True)

    return case


def _net(
    function: Callable[[nn.Deployed], Any], arguments: Callable[[nn.Deployed], dict[str, Any]], **kind: Any
) -> Case:
    def case() -> Call:
        made = network(**kind)
        return Call(
            function=function(made), arguments=arguments(made), watched=(made, made.chip), lets_nan_through=True
        )

    return case


def _deploy() -> Call:
    made = chip()
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    arguments = {
        "model": model, "chip": made, "write": WRITE, "mapping": DifferentialPair(), "scaling": PerSampleScaling,
        "layers": {"0": nn.OnChip(tile_rows=5)}, "digital": ("2",), "name": "net", "replicas": {"0": 2},
    }  # fmt: skip
    return Call(function=nn.deploy, arguments=arguments, watched=(made, model), use=lambda net: net(torch.ones(2, 5)))


def _deploy_weights() -> Call:
    """NaN and the like in the weights of a model."""
    made = chip()
    model = torch.nn.Linear(5, 4)

    def deploy(weight: torch.Tensor) -> nn.Deployed:
        if not isinstance(weight, torch.Tensor) or weight.shape != (4, 5):
            weight = torch.rand(4, 5)  # torch refuses to assign it
        with torch.no_grad():
            model.weight.copy_(weight)
        return nn.deploy(model, made, write=WRITE)

    return Call(
        function=deploy, arguments={"weight": torch.rand(4, 5)}, watched=(made,), use=lambda net: net(torch.ones(2, 5))
    )


def _loss(net: nn.Deployed) -> Callable[..., Any]:
    """Of a function that takes anything: what torch's losses refuse is torch's affair."""
    return lambda y, labels: net.loss(lambda one, goal: one.sum() + goal.sum(), y, labels)


_X = torch.linspace(0, 1, 10).view(2, 5)
_CONV = {"in_channels": 2, "out_channels": 3, "kernel_size": (2, 2), "stride": (1, 1), "padding": (1, 0)}
NETWORKS: dict[str, Case] = {
    "nn.Linear": _layer(nn.Linear, {"in_features": 5, "out_features": 3, "bias": True, "backward": "array"}, 2, 5),
    "nn.Conv2d": _layer(nn.Conv2d, _CONV | {"dilation": (1, 1), "groups": 1, "bias": True}, 2, 2, 4, 4),
    "nn.LSTMCell": _layer(nn.LSTMCell, {"input_size": 4, "hidden_size": 3, "bias": True}, 2, 4),
    "nn.ConvLSTMCell": _layer(
        nn.ConvLSTMCell,
        {"in_channels": 1, "hidden_channels": 2, "kernel_size": 3, "hidden_kernel_size": 3, "padding": "same"},
        1, 1, 4, 4,
    ),
    **{
        f"nn.Linear.forward:{kind}": _forward(lambda made: nn.Linear(5, 3, chip=made, name="fc"), kind, 2, 5)
        for kind in KINDS
    },
    **{
        f"nn.Conv2d.forward:{kind}": _forward(
            lambda made: nn.Conv2d(2, 3, 2, chip=made, name="conv"), kind, 2, 2, 4, 4
        )
        for kind in KINDS
    },
    "nn.OnChip": lambda: Call(
        function=nn.OnChip,
        arguments={
            "mapping": DifferentialPair(), "scaling": FixedScaling(), "tile_rows": 5, "arrays": (1, 0), "corners": None,
            "write": WRITE, "backward": "array",
        },
        use=lambda one: nn.Linear(5, 3, chip=chip(), name="fc", on_chip=one)(_X),
    ),
    "nn.deploy": _deploy,
    "nn.deploy:weights": _deploy_weights,
    "nn.Deployed.forward": _net(lambda net: lambda x: net(x), lambda _: {"x": _X.clone()}),
    "nn.Deployed.forward:chips": _net(lambda net: lambda x: net(x), lambda _: {"x": _X.clone()}, n_chips=2),
    "nn.Deployed.loss": _net(
        _loss, lambda _: {"y": torch.rand(2, 2, 3), "labels": torch.tensor([0.0, 2.0])}, n_chips=2
    ),
    "nn.Deployed.matrix": _net(lambda net: net.matrix, lambda _: {"name": "0"}),
    "nn.calibrate_inputs": _net(
        lambda _: nn.calibrate_inputs, lambda net: {"net": net, "x": _X.clone(), "quantile": 0.9}
    ),
    "nn.calibrate": _net(
        lambda _: nn.calibrate,
        lambda net: {"net": net, "batches": [_X.clone()], "method": "quantile", "quantile": 0.9, "headroom": 1.1},
        **KINDS["converters"],
    ),
    "nn.calibrate_converters": _net(
        lambda _: nn.calibrate_converters,
        lambda net: {"net": net, "x": _X.clone(), "headroom": 1.1},
        dac=DAC(bits=8, v_max=0.2), adc=ADC(bits=8),
    ),
    "nn.BinaryStep": lambda: Call(
        function=nn.BinaryStep, arguments={"threshold": 0.1, "half_width": 1.0}, use=lambda step: step(_X)
    ),
    "nn.QuantisedReLU": lambda: Call(
        function=nn.QuantisedReLU, arguments={"bits": 3, "x_max": 2.0}, use=lambda made: made(_X).detach()
    ),
    "nn.MarginError": lambda: Call(
        function=nn.MarginError, arguments={"margin": 1.0},
        use=lambda error: error(torch.rand(2, 3), torch.eye(3)[:2]),
    ),
    "nn.ThresholdError": lambda: Call(
        function=nn.ThresholdError, arguments={"threshold": 5.0, "target": 10.0},
        use=lambda error: error(torch.rand(2, 3), torch.eye(3)[:2]),
    ),
    "nn.patches": lambda: Call(
        function=nn.patches,
        arguments={"x": torch.rand(2, 1, 4, 4), "kernel_size": (2, 2), "stride": (1, 1), "dilation": (1, 1)},
        lets_nan_through=True,
    ),
    "nn.merge_chips": lambda: Call(
        function=nn.merge_chips, arguments={"x": torch.rand(2, 3, 4), "chips": (2,)}, lets_nan_through=True
    ),
    "nn.split_chips": lambda: Call(
        function=nn.split_chips, arguments={"x": torch.rand(6, 4), "chips": (2,)}, lets_nan_through=True
    ),
}  # fmt: skip

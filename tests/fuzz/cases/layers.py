"""Convolutions, recurrent layers, attention and embeddings on a chip; composite layers; plans and registries."""

from collections.abc import Callable
from typing import Any

import torch

from ohmweave import nn
from ohmweave.mapping import DifferentialPair, FixedScaling
from tests.fuzz.cases.mapping import WRITE
from tests.fuzz.cases.networks import chip
from tests.fuzz.runner import Call, Case


def _constructor(kind: Any, arguments: dict[str, Any], *inputs: torch.Tensor) -> Case:
    """A layer is made on a chip, and applied to inputs."""

    def case() -> Call:
        made = chip()
        given = arguments | {"chip": made, "name": "fc", "on_chip": nn.OnChip(mapping=DifferentialPair())}
        return Call(function=kind, arguments=given, watched=(made,), use=lambda layer: layer(*inputs))

    return case


def _forward(kind: Any, arguments: dict[str, Any], **inputs: torch.Tensor) -> Case:
    """A layer on a chip is applied to nasty inputs."""

    def case() -> Call:
        made = chip()
        layer = kind(**arguments, chip=made, name="fc")
        given = {name: x.clone() for name, x in inputs.items()}
        return Call(function=lambda **x: layer(*x.values()), arguments=given, watched=(made,), lets_nan_through=True)

    return case


def _with_state(cell: nn.LSTMCell) -> Callable[..., Any]:
    return lambda x, h, c: cell(x, (h, c))


def _composite(kind: Any, like: Callable[[], torch.nn.Module], **inputs: Any) -> Case:
    """A composite layer is made of torch's, and applied to inputs."""

    def use(layer: torch.nn.Module) -> Any:
        return layer(*inputs.values())

    return lambda: Call(function=kind, arguments={"like": like()}, use=use)


def _composite_forward(kind: Any, like: Callable[[], torch.nn.Module], n_chips: int = 1, **inputs: Any) -> Case:
    """A deployed composite layer is applied to nasty inputs."""

    def case() -> Call:
        made = chip(n_chips=n_chips)
        torch.default_generator.manual_seed(1)
        net = nn.deploy(like(), made, write=WRITE, scaling=FixedScaling, mapping=DifferentialPair())
        given = {name: x.clone() if isinstance(x, torch.Tensor) else x for name, x in inputs.items()}

        def torchs(**x: Any) -> Any:
            """Torch's results, with the dimension of the one chip first."""
            return tuple(y if y is None else y[None] for y in like()(*x.values()))

        return Call(
            function=lambda **x: net(*x.values()), arguments=given, watched=(made, net), lets_nan_through=True,
            like=torchs if kind is nn.MultiheadAttention else None,
        )  # fmt: skip

    return case


def _model() -> torch.nn.Module:
    torch.default_generator.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))


def _plan() -> Call:
    made, model = chip(), _model()
    arguments = {
        "model": model, "chip": made, "x": torch.rand(2, 5), "write": WRITE, "mapping": DifferentialPair(),
        "scaling": FixedScaling, "layers": {"0": nn.OnChip(tile_rows=5)}, "digital": ("2",), "as_known": None,
        "name": "net", "replicas": {"0": 2},
    }  # fmt: skip
    return Call(
        function=nn.plan, arguments=arguments, watched=(made, model), use=lambda one: [str(one), one.share_on_chip],
        negative=False, lets_nan_through=True,
    )  # fmt: skip


def _balanced(x: Any) -> Any:
    """A network with as many replicas as fit."""
    return nn.deploy(_model(), chip(n_chips=2), write=WRITE, replicas=nn.Balanced(x)).on_chip


def _summed() -> Call:
    made = nn.deploy(_model(), chip(n_arrays=4), write=WRITE, replicas={"0": 2})
    made(torch.ones(3, 5)).sum().backward()

    def use(done: None) -> Any:
        return made.weights["0.0"].grad

    return Call(function=nn.sum_replica_gradients, arguments={"net": made}, watched=(made,), use=use)


def _shared(value: Any) -> Any:
    """A network on two chips that is given a tensor without a batch, as long as its batch, and returns it."""

    class Masked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(5, 5)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.fc(x), mask

    return nn.deploy(Masked(), chip(n_chips=2), write=WRITE)(torch.ones(5, 5), nn.Shared(value))


class _Own(torch.nn.Module):
    pass


def _registered(module: Any, build: Any, parameters: Any) -> Any:
    """An entry is made, but one for a type that nobody has: the registry is the program's."""
    entry = nn.ToLayers(module=module, build=build, parameters=parameters)
    return entry.module


_LSTM = {"input_size": 3, "hidden_size": 2, "num_layers": 1, "bidirectional": True}
_SEQUENCE = torch.linspace(-1, 1, 24).view(4, 2, 3)
_ATTENTION = {
    "query": torch.linspace(-1, 1, 24).view(3, 2, 4),
    "key": torch.rand(3, 2, 4),
    "value": torch.rand(3, 2, 4),
}
_CONVS: dict[str, tuple[Any, dict[str, Any], torch.Tensor]] = {
    "Conv1d": (
        nn.Conv1d,
        {
            "in_channels": 2, "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1,
            "groups": 2, "bias": True, "padding_mode": "reflect",
        },
        torch.linspace(-1, 1, 20).view(2, 2, 5),
    ),
    "Conv3d": (
        nn.Conv3d,
        {
            "in_channels": 1, "out_channels": 2, "kernel_size": (2, 2, 2), "stride": (1, 2, 1), "padding": (1, 0, 1),
            "dilation": (1, 1, 1), "groups": 1, "bias": True, "padding_mode": "zeros",
        },
        torch.linspace(-1, 1, 64).view(1, 1, 4, 4, 4),
    ),
    **{
        f"ConvTranspose{n}d": (
            kind,
            {
                "in_channels": 2, "out_channels": 2, "kernel_size": (2,) * n, "stride": (2,) * n, "padding": (1,) * n,
                "output_padding": (1,) * n, "groups": 2, "bias": True, "dilation": (1,) * n,
            },
            torch.rand(1, 2, *(3,) * n),
        )
        for n, kind in enumerate((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), start=1)
    },
}  # fmt: skip
_BILINEAR = {"in1_features": 3, "in2_features": 2, "out_features": 4, "bias": True, "backward": "array"}
_EMBEDDING = {"num_embeddings": 6, "embedding_dim": 3, "padding_idx": 1}
_RNN = {"input_size": 4, "hidden_size": 3, "bias": True, "nonlinearity": "tanh", "backward": "readout"}
_TOKENS = torch.tensor([[0, 1], [5, 2]])
_COMPOSITES: dict[str, tuple[Any, Callable[[], torch.nn.Module], dict[str, Any]]] = {
    "LSTM": (
        nn.LSTM,
        lambda: torch.nn.LSTM(**_LSTM),
        {"x": _SEQUENCE, "hx": (torch.zeros(2, 2, 2), torch.zeros(2, 2, 2))},
    ),
    "GRU": (nn.GRU, lambda: torch.nn.GRU(**_LSTM), {"x": _SEQUENCE, "hx": torch.zeros(2, 2, 2)}),
    "RNN": (nn.RNN, lambda: torch.nn.RNN(**_LSTM), {"x": _SEQUENCE, "hx": torch.zeros(2, 2, 2)}),
    "GRUCell": (nn.GRUCell, lambda: torch.nn.GRUCell(3, 2), {"x": torch.rand(2, 3), "hx": torch.zeros(2, 2)}),
    "MultiheadAttention": (
        nn.MultiheadAttention,
        lambda: torch.nn.MultiheadAttention(4, 2),
        _ATTENTION
        | {
            "key_padding_mask": torch.tensor([[False, False, True], [False, False, False]]),
            "need_weights": True,
            "attn_mask": torch.zeros(3, 3),
            "average_attn_weights": True,
        },
    ),
}

LAYERS: dict[str, Case] = {
    **{f"nn.{name}": _constructor(kind, arguments, x) for name, (kind, arguments, x) in _CONVS.items()},
    **{f"nn.{name}.forward": _forward(kind, arguments, x=x) for name, (kind, arguments, x) in _CONVS.items()},
    "nn.Bilinear": _constructor(nn.Bilinear, _BILINEAR, torch.rand(2, 3), torch.rand(2, 2)),
    "nn.Bilinear.forward": _forward(nn.Bilinear, _BILINEAR, x1=torch.rand(2, 3), x2=torch.rand(2, 2)),
    "nn.Embedding": _constructor(nn.Embedding, _EMBEDDING, _TOKENS),
    "nn.Embedding.forward": _forward(nn.Embedding, _EMBEDDING, tokens=_TOKENS),
    "nn.RNNCell": _constructor(nn.RNNCell, _RNN, torch.rand(2, 4), torch.rand(2, 3)),
    "nn.RNNCell.forward": _forward(nn.RNNCell, _RNN, x=torch.rand(2, 4), h=torch.rand(2, 3)),
    "nn.LSTMCell.forward": _forward(
        lambda **options: _with_state(nn.LSTMCell(4, 3, **options)), {}, x=torch.rand(2, 4), h=torch.rand(2, 3),
        c=torch.rand(2, 3),
    ),
    **{f"nn.{name}": _composite(kind, like, **inputs) for name, (kind, like, inputs) in _COMPOSITES.items()},
    **{
        f"nn.{name}.forward": _composite_forward(kind, like, **inputs)
        for name, (kind, like, inputs) in _COMPOSITES.items()
    },
    **{
        f"nn.{name}.forward:chips": _composite_forward(kind, like, 2, x=next(iter(inputs.values())))
        for name, (kind, like, inputs) in _COMPOSITES.items()
        if name != "MultiheadAttention"
    },
    "nn.LSTM:two layers": _composite(
        nn.LSTM, lambda: torch.nn.LSTM(**_LSTM | {"num_layers": 2}), x=_SEQUENCE,
        hx=(torch.zeros(4, 2, 2), torch.zeros(4, 2, 2)),
    ),
    "nn.plan": _plan,
    "nn.Balanced": lambda: Call(function=_balanced, arguments={"x": torch.rand(2, 5)}, lets_nan_through=True),
    "nn.sum_replica_gradients": _summed,
    "nn.Plan": lambda: Call(
        function=nn.Plan,
        arguments={
            "rows": (nn.LayerRow(name="fc", kind="Linear", on="chip", n_cells=40, n_tiles=1, n_arrays=1, macs=20),),
            "title": "Plan", "n_arrays": 1, "n_arrays_here": 2, "macs": 20, "problems": ("none",),
        },
        use=lambda one: [str(one), one.fits, one.refused, one.n_cells, one.share_on_chip], negative=False,
    ),
    "nn.LayerRow": lambda: Call(
        function=nn.LayerRow,
        arguments={
            "name": "fc", "kind": "Linear", "on": "chip", "note": "", "n_cells": 40, "n_tiles": 1, "n_arrays": 1,
            "macs": 20,
        },
        use=lambda row: str(row.texts()), negative=False,
    ),
    "nn.Shared": lambda: Call(
        function=_shared, arguments={"value": torch.rand(5)}, lets_nan_through=True
    ),
    "nn.ToLayers": lambda: Call(
        function=_registered, arguments={"module": _Own, "build": _Own, "parameters": lambda module: ()}
    ),
    "nn.register_composite": lambda: Call(
        function=nn.register_composite,
        arguments={"entry": nn.ToLayers(module=type("One", (_Own,), {}), build=_Own, parameters=lambda module: ())},
    ),
}  # fmt: skip

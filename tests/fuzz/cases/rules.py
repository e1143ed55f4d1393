"""Learning rules: their constructors, and steps with nasty gradients and hyperparameters."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from ohmweave import cells, nn, optim
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.programming import WriteVerify
from tests.fuzz.cases.arrays import CELL
from tests.fuzz.runner import Call, Case

STEP = 18e-6 / 99
WRITE = WriteVerify(tolerance=5e-7, max_pulses=20)
FINE = WriteVerify(tolerance=1e-7, max_pulses=20)  # below the steps of the rules, which it would take for reached else


def _layer(gate: bool) -> nn.Linear:
    chip = Chip(cells.wang2019() if gate else CELL, rows=32, cols=32, seed=1)
    torch.default_generator.manual_seed(1)
    mapping = DifferentialPair(g_unit=1e-5, lines="rows" if gate else "columns")
    return nn.Linear(3, 2, bias=False, chip=chip, name="fc", on_chip=nn.OnChip(mapping=mapping))


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def _gate(params: Any, **options: Any) -> optim.ArrayRule:
    return optim.GateControlled(params, torch.optim.SGD, **options)


MADE: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "SignPulse": (optim.SignPulse, lambda: {"cycle": "both"}),
    "Stellar": (optim.Stellar, lambda: {"gate": 0.4, "cycle": "alternate"}),
    "Manhattan": (optim.Manhattan, lambda: {"g_step": STEP, "write": FINE, "dead": 0.1}),
    "PulsedSGD": (
        optim.PulsedSGD,
        lambda: {"lr": 0.1, "g_step": STEP, "generator": _generator(), "max_pulses": 31, "draw": "coincidences"},
    ),
    "MixedPrecision": (optim.MixedPrecision, lambda: {"lr": 0.1, "g_step": STEP, "max_pulses": 31}),
    "ThresholdedWriteVerify": (
        optim.ThresholdedWriteVerify,
        lambda: {"lr": 1e-6, "threshold": 5e-7, "write": FINE},
    ),
    "AdaptiveWriteVerify": (
        optim.AdaptiveWriteVerify,
        lambda: {"lr": 1.0, "share": 0.5, "threshold": 5e-7, "write": WRITE},
    ),
    "TikiTakaV2": (
        optim.TikiTakaV2,
        lambda: {
            "fast_lr": 0.1, "lr": 0.5, "g_step": STEP, "generator": _generator(), "every": 1, "columns": 2,
            "write": WRITE, "n_zeroing": 2, "max_pulses": 31,
        },
    ),
    "GateControlled": (
        _gate, lambda: {"lr": 0.01, "r_vg": 1.5e4, "v_start": 1.6, "v_min": 0.5, "v_max": 2.5, "initialise": True}
    ),
}  # fmt: skip


def rule_on_layer(name: str) -> tuple[Any, optim.ArrayRule]:
    """The weight of a small layer, and a rule of `MADE` for it."""
    layer, (make, arguments) = _layer(name == "GateControlled"), MADE[name]
    return layer.weight, make([layer.weight], **arguments())


def _stepped(rule: optim.ArrayRule) -> Any:
    """Two steps with a usual gradient; conductances and counts afterwards."""
    (weight,) = rule.weights
    for _ in range(2):
        weight.grad = torch.tensor([[0.5, -0.2, 0.0], [0.1, 1.0, -1.0]])
        rule.step()
    return _facts(weight.matrix.chip)


def _facts(chip: Chip) -> list[torch.Tensor]:
    array: Any = chip.array
    return [array.bank.conductance_of(torch.arange(1024)), array.state_dict()["books.counts"].double()]


def _constructor(name: str) -> Case:
    def case() -> Call:
        layer, (make, arguments) = _layer(name == "GateControlled"), MADE[name]
        return Call(
            function=lambda **given: make([layer.weight], **given),
            arguments=arguments(),
            watched=(layer.matrix.chip,),
            use=_stepped,
            negative=False,
        )

    return case


def _step(name: str) -> Case:
    def case() -> Call:
        layer, (make, arguments) = _layer(name == "GateControlled"), MADE[name]
        rule = make([layer.weight], **arguments())

        def step(gradient: torch.Tensor) -> None:
            try:
                layer.weight.grad = gradient
            except (RuntimeError, TypeError):  # torch has refused it
                return
            rule.step()

        return Call(
            function=step,
            arguments={"gradient": torch.tensor([[0.5, -0.2, 0.0], [0.1, 1.0, -1.0]])},
            watched=(layer.matrix.chip, rule),
            use=lambda _: (_facts(layer.matrix.chip), _stepped(rule)),
            negative=False,
        )

    return case


def _group(name: str) -> Case:
    """A hyperparameter is changed in `param_groups`, as schedulers do."""

    def case() -> Call:
        layer, (make, arguments) = _layer(name == "GateControlled"), MADE[name]
        rule = make([layer.weight], **arguments())
        known = {key: value for key, value in rule.param_groups[0].items() if key in arguments()}

        def step(**changed: Any) -> None:
            before = dict(rule.param_groups[0])
            rule.param_groups[0].update(changed)
            layer.weight.grad = torch.ones(2, 3)
            try:
                rule.step()
            except BaseException:
                rule.param_groups[0].update(before)
                raise

        return Call(
            function=step, arguments=known, watched=(layer.matrix.chip, rule),
            use=lambda _: _facts(layer.matrix.chip), negative=False,
        )  # fmt: skip

    return case


def _load(name: str) -> Case:
    def case() -> Call:
        layer, (make, arguments) = _layer(name == "GateControlled"), MADE[name]
        rule = make([layer.weight], **arguments())
        return Call(
            function=rule.load_state_dict,
            arguments={"state_dict": rule.state_dict()},
            watched=(layer.matrix.chip, rule),
            use=lambda _: _stepped(rule),
            negative=False,
        )

    return case


@cache
def _compile() -> None:
    """Load the compiled loops, which may take longer than a call is given."""
    call = _epoch_call()
    call.function(**call.arguments)


def _epoch() -> Call:
    _compile()
    return _epoch_call()


def _epoch_call() -> Call:
    layer = _layer(gate=False)
    rule = optim.MixedPrecision([layer.weight], lr=0.1, g_step=STEP)
    return Call(
        function=lambda **given: optim.train_epoch(layer, rule, **given),
        arguments={
            "x": torch.tensor([[0.5, -0.2, 0.0], [0.1, 1.0, -1.0]]), "labels": torch.tensor([0, 1]), "batch_size": 1,
        },
        watched=(layer.matrix.chip, rule),
        use=lambda loss: (torch.tensor(loss), _facts(layer.matrix.chip)),
        negative=False,
    )  # fmt: skip


RULES: dict[str, Case] = {
    "optim.train_epoch": _epoch,
    **{f"optim.{name}": _constructor(name) for name in MADE},
    **{f"optim.{name}.step": _step(name) for name in MADE},
    **{f"optim.{name}.param_groups": _group(name) for name in MADE},
    **{f"optim.{name}.load_state_dict": _load(name) for name in MADE},
}

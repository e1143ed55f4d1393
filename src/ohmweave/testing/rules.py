"""`RuleContract`: tests that every learning rule must pass. Inherit it and implement `make_rule`.

    class TestMyRule(RuleContract):
        def make_rule(self, params):
            return MyRule(params, lr=0.1)

It does not import pytest, so any test runner that collects `test_*` methods of classes can run it.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch

from ohmweave.base import OhmweaveError, generator
from ohmweave.cells import Pulse, linear_steps
from ohmweave.mapping import CentredPair, Chip
from ohmweave.nn import Linear, OnChip
from ohmweave.programming import BlindWrite

G_MIN, G_MAX, LEVELS = 2e-6, 20e-6, 1_801
G_STEP = (G_MAX - G_MIN) / (LEVELS - 1)
"""S, the step of a pulse on the cells of `make_layers`; it changes a weight by 1 / 1,800."""
N_IN, N_OUT = 4, 3


class RuleContract:
    """Tests of a learning rule on small layers of a chip.

    A subclass implements `make_rule`. For other cells it overrides `make_layers` and `gradient`.

    Attributes:
        n_steps: number of steps after which the rule has moved every weight with a gradient of order 1.
    """

    n_steps: ClassVar[int] = 4

    def make_rule(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        """A new rule for `params`, the same each time; its random generators start from the same seeds."""
        raise NotImplementedError("a subclass of RuleContract gives `make_rule`")

    def make_layers(self, n_chips: int | None = None, *, noisy: bool = False, seed: int = 0) -> list[Linear]:
        """Two layers of `N_OUT` x `N_IN` weights on one new chip, float64, in the middle of the cells' window.

        Args:
            n_chips: as in `Chip`.
            noisy: whether the cells' pulses are noisy.
            seed: of the chip.
        """
        cell = linear_steps(g_min=G_MIN, g_max=G_MAX, levels=LEVELS, c2c=1.0 if noisy else 0.0)
        chip = Chip(cell, n_arrays=4, rows=N_IN, cols=2 * N_OUT, n_chips=n_chips, seed=seed, dtype=torch.float64)
        how = OnChip(mapping=CentredPair())
        layers = [Linear(N_IN, N_OUT, bias=False, chip=chip, name=name, on_chip=how) for name in ("a", "b")]
        for layer in layers:
            layer.program(torch.zeros(N_OUT, N_IN, dtype=torch.float64, device="cpu"), BlindWrite(g_step=G_STEP))
        return layers

    def gradient(self, layer: Linear, *names: str | int) -> torch.Tensor:
        """A gradient of the weight of `layer`, in its shape, of order 1 and nowhere near 0; names give its seed."""
        random = generator(0, "rule contract", *names)
        size = 1 + torch.rand(layer.weight.shape, generator=random, dtype=torch.float64, device="cpu")
        sign = torch.randint(2, layer.weight.shape, generator=random, device="cpu") * 2 - 1
        return size * sign

    def test_weights_move_against_the_gradient(self) -> None:
        """On ideal cells, every weight moves against its gradient."""
        for n_chips in (None, 2):
            layers, rule = self._started(n_chips)
            before = [layer.matrix.readout() for layer in layers]
            _steps(self, rule, layers, self.n_steps)
            for layer, start in zip(layers, before, strict=True):
                moved = layer.matrix.readout() - start
                wrong = moved * self.gradient(layer, layer.matrix.name) >= 0
                assert not wrong.any(), (
                    f"{int(wrong.sum())} of {wrong.numel()} weights of {layer.matrix.name!r} did not move against "
                    f"their gradient in {self.n_steps} steps"
                )

    def test_no_gradient_no_pulse(self) -> None:
        """A gradient of 0 sends no pulse and moves no cell."""
        layers, rule = self._started(2)
        for layer in layers:
            layer.weight.grad = torch.zeros_like(layer.weight)
        before, sent = _cells(layers), _pulses(layers)
        for _ in range(self.n_steps):
            rule.step()
        assert _pulses(layers) == sent, "a gradient of 0 sent pulses"
        assert torch.equal(_cells(layers), before), "a gradient of 0 moved cells"

    def test_weights_without_a_gradient_stay(self) -> None:
        """Entries of the gradient that are 0 leave the cells of their weights where they are."""
        layers, rule = self._started(2)
        grad = self.gradient(layers[0], "sparse")
        grad[..., 0, :] = 0.0
        layers[0].weight.grad = grad
        before = layers[0].matrix.conductance()
        for _ in range(self.n_steps):
            rule.step()
        moved = layers[0].matrix.placement.by_weight(layers[0].matrix.conductance() != before)
        by_weight = moved.any(-1).any(-2).mT  # (*chips, out, in)
        assert not by_weight[..., 0, :].any(), "cells of weights whose gradient is 0 were moved"
        assert by_weight[..., 1:, :].all(), "weights with a gradient were not moved"

    def test_frozen_weights_and_weights_without_grad_stay(self) -> None:
        """No `grad`, or `requires_grad_(False)`: the cells of that layer stay."""
        for freeze in (False, True):
            layers, rule = self._started(None)
            _set_gradients(self, layers)
            if freeze:
                layers[1].weight.requires_grad_(False)
            else:
                layers[1].weight.grad = None
            before = layers[1].matrix.conductance()
            for _ in range(self.n_steps):
                rule.step()
            same = torch.equal(layers[1].matrix.conductance(), before)
            assert same, f"a weight {'that is frozen' if freeze else 'without grad'} was moved"

    def test_chips_are_independent(self) -> None:
        """The pulses of a chip depend only on its own gradients."""
        ends = []
        for name in ("others", "differ"):
            layers, rule = self._started(3)
            for step in range(self.n_steps):
                for layer in layers:
                    grad = self.gradient(layer, name, step)
                    grad[1] = self.gradient(layer, "chip 1", step)[1]
                    layer.weight.grad = grad
                rule.step()
            ends.append([layer.matrix.conductance() for layer in layers])
        for one, other in zip(*ends, strict=True):
            assert torch.equal(one[1], other[1]), "a chip's cells depend on the gradients of other chips"
            assert not torch.equal(one[0], other[0]), "cells do not depend on their chip's gradients"

    def test_books_balance(self) -> None:
        """The array's counters of SET and RESET pulses grow by the numbers of pulses sent."""
        layers, rule = self._started(2)
        before = _pulses(layers)
        with _recorded(layers[0].matrix.chip) as calls:
            _steps(self, rule, layers, self.n_steps)
        n_set, n_reset = (sum(_sent(pulse, sign) for pulse in calls) for sign in (1, -1))
        after = _pulses(layers)
        found = after[0] - before[0], after[1] - before[1]
        assert n_set + n_reset > 0, "no pulse was sent"
        assert found == (n_set, n_reset), f"{(n_set, n_reset)} SET and RESET pulses were sent, {found} were counted"

    def test_bad_gradients_are_refused_before_any_pulse(self) -> None:
        """NaN or infinity in the last gradient: an error that names the layer, and no pulse for the first layer."""
        for bad in (float("nan"), float("inf"), float("-inf")):
            layers, rule = self._started(None)
            _set_gradients(self, layers)
            assert layers[1].weight.grad is not None
            layers[1].weight.grad[0, 1] = bad
            before, sent, state = _cells(layers), _pulses(layers), _packed(rule)
            message = _refusal(rule.step)
            assert "'b'" in message, f"the error must name the layer 'b', but is {message!r}"
            assert torch.equal(_cells(layers), before), "cells were moved before a gradient was refused"
            assert _pulses(layers) == sent, "pulses were sent before a gradient was refused"
            assert _packed(rule) == state, "the rule's state was changed before a gradient was refused"

    def test_a_resumed_run_equals_the_undisturbed_one(self) -> None:
        """A new rule with the state from a file sends the same pulses as the first: no cell differs, with noise."""
        layers, rule = self._started(2, noisy=True)
        _steps(self, rule, layers, 3)
        held = [layer.weight.detach().clone() for layer in layers]
        chip_state, file = layers[0].matrix.chip.state_dict(), io.BytesIO(_packed(rule))
        twins, twin_rule = self._started(2, noisy=True, seed=1)
        twins[0].matrix.chip.load_state_dict(chip_state)
        for twin, layer, weight in zip(twins, layers, held, strict=True):
            twin.matrix.g_per_w = layer.matrix.g_per_w
            _hold(twin, weight)
        twin_rule.load_state_dict(torch.load(file, weights_only=True))
        for one, its_layers in ((rule, layers), (twin_rule, twins)):
            _steps(self, one, its_layers, 4, first=3)
        differ = int((_cells(layers) != _cells(twins)).sum())
        assert differ == 0, f"{differ} cells of a resumed run differ from the undisturbed run"
        assert _packed(rule) == _packed(twin_rule), (
            "the state of a resumed rule differs from that of the undisturbed one"
        )

    def test_wrong_states_are_refused(self) -> None:
        """The state of more or other weights, or one with a part missing: an error, and nothing is changed."""
        layers, rule = self._started(None)
        _steps(self, rule, layers, 2)
        good = rule.state_dict()
        fewer, other = self._started(None, layers=1)[1], self._started(None, turned=True)[1]
        lacking = {name: part for name, part in good.items() if name != "rule"}
        before = _packed(rule)
        for state in (fewer.state_dict(), other.state_dict(), lacking, {}):
            _refusal(lambda state=state: rule.load_state_dict(state))  # type: ignore[misc]
            assert _packed(rule) == before, "a state that was refused changed the rule"
        for name in good["rule"]:
            shorter = {key: value for key, value in good["rule"].items() if key != name}
            _refusal(lambda part=shorter: rule.load_state_dict(good | {"rule": part}))  # type: ignore[misc]
        assert _packed(rule) == before, "a state that was refused changed the rule"
        rule.load_state_dict(good)

    def test_digital_parameters_are_refused(self) -> None:
        """The error names the parameters for a rule and for a torch optimizer, also for parameter groups."""
        layers = self.make_layers()
        bias = torch.nn.Parameter(torch.zeros(N_OUT, dtype=torch.float64, device="cpu"))
        messages = [
            _refusal(lambda: self.make_rule([layers[0].weight, bias])),
            _refusal(lambda: self.make_rule([{"params": [layers[0].weight]}, {"params": bias}])),
        ]
        for message in messages:
            for remedy in ("net.chip_parameters()", "net.digital_parameters()"):
                assert remedy in message, f"the error must name `{remedy}`, but is {message!r}"

    def test_unknown_hyperparameters_are_refused(self) -> None:
        """A misspelt key of a parameter group is not ignored."""
        group = {"params": [self.make_layers()[0].weight], "learning_rat": 0.1}
        message = _refusal(lambda: self.make_rule([group]))
        assert "learning_rat" in message, f"the error must name the key, but is {message!r}"

    def test_the_weight_is_fresh_after_a_step(self) -> None:
        """The next forward pass with a gradient sees the cells as they are."""
        layers, rule = self._started(2)
        _steps(self, rule, layers, self.n_steps)
        for layer in layers:
            x = torch.ones(2, N_IN, dtype=torch.float64, device="cpu", requires_grad=True)
            layer(x)
            assert torch.equal(layer.weight.detach(), layer.matrix.readout()), "a forward pass used an old readout"

    def test_closures(self) -> None:
        """A closure is called once, with gradients enabled, before the pulses; its loss is returned."""
        layers, rule = self._started(None)
        calls = []

        def closure() -> float:
            calls.append(torch.is_grad_enabled())
            _set_gradients(self, layers)
            return 2.5

        before = _cells(layers)
        losses = [rule.step(closure) for _ in range(self.n_steps)]
        assert losses == [2.5] * self.n_steps, f"`step` must return the closure's loss, but returned {losses}"
        assert calls == [True] * self.n_steps, "a closure must be called once a step, with gradients enabled"
        assert not torch.equal(_cells(layers), before), "the gradients that a closure computes were not used"

    def test_learning_rate_schedulers(self) -> None:
        """A scheduler changes the rate of a rule with `lr`, and the changed rate is in the saved state."""
        layers, rule = self._started(None)
        if "lr" not in rule.param_groups[0]:
            return
        first = rule.param_groups[0]["lr"]
        schedule = torch.optim.lr_scheduler.LambdaLR(rule, lambda n: 0.5 if n else 1.0)
        _steps(self, rule, layers, 1)
        schedule.step()
        assert rule.param_groups[0]["lr"] == 0.5 * first, "a scheduler did not change the rate"
        _steps(self, rule, layers, self.n_steps)
        state = rule.state_dict()
        twin = self._started(None)[1]
        twin.load_state_dict(state)
        assert twin.param_groups[0]["lr"] == 0.5 * first, "a changed rate was not restored"

    def test_repr_is_short(self) -> None:
        """At most three lines, which name the rule and its weights."""
        _, rule = self._started(None)
        text = repr(rule)
        assert text.count("\n") <= 2, f"repr must have at most three lines, but is {text!r}"
        assert type(rule).__name__ in text, f"repr must name the rule, but is {text!r}"

    def _started(
        self, n_chips: int | None, *, noisy: bool = False, seed: int = 0, layers: int = 2, turned: bool = False
    ) -> tuple[list[Linear], torch.optim.Optimizer]:
        """Layers on a new chip, and a rule on the first `layers` of them; `turned` gives them in reverse order."""
        made = self.make_layers(n_chips, noisy=noisy, seed=seed)
        weights = [layer.weight for layer in made[:layers]]
        return made, self.make_rule(weights[::-1] if turned else weights)


def _set_gradients(contract: RuleContract, layers: Sequence[Linear], *names: str | int) -> None:
    for layer in layers:
        layer.weight.grad = contract.gradient(layer, layer.matrix.name, *names)


def _steps(
    contract: RuleContract, rule: torch.optim.Optimizer, layers: Sequence[Linear], n: int, *, first: int | None = None
) -> None:
    """`n` steps on the layers' gradients: the same for each step, or of their own from step `first` on."""
    for step in range(n):
        _set_gradients(contract, layers, *(() if first is None else (first + step,)))
        rule.step()


def _cells(layers: Sequence[Linear]) -> torch.Tensor:
    """S, all cells of the chip."""
    array = layers[0].matrix.chip.array
    n_cells = (array.n_chips or 1) * array.n_arrays * array.rows * array.cols
    return array.readout(torch.arange(n_cells, device=layers[0].weight.device))


def _pulses(layers: Sequence[Linear]) -> tuple[int, int]:
    """SET and RESET pulses that the array has counted."""
    activity = layers[0].matrix.chip.array.books.activity
    return activity.n_set, activity.n_reset


def _sent(pulse: Pulse, sign: int) -> int:
    chosen = pulse.polarity * sign > 0
    return int(chosen.sum()) if pulse.n is None else int(pulse.n[chosen].sum())


@contextmanager
def _recorded(chip: Chip) -> Iterator[list[Pulse]]:
    """The pulses that are sent to the chip's array during the block."""
    calls: list[Pulse] = []
    send = chip.array.pulse

    def pulse(cells: torch.Tensor, pulse: Pulse) -> None:
        calls.append(pulse)
        send(cells, pulse)

    chip.array.pulse = pulse  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        del chip.array.pulse


def _packed(rule: torch.optim.Optimizer) -> bytes:
    """The rule's state as a file of tensors."""
    file = io.BytesIO()
    torch.save(rule.state_dict(), file)
    return file.getvalue()


def _hold(layer: Linear, weight: torch.Tensor) -> None:
    """Give a layer the readout that another one had."""
    layer.weight.restore(weight)


def _refusal(action: Callable[[], object]) -> str:
    """The text of the `OhmweaveError` that `action` raises."""
    try:
        action()
    except OhmweaveError as error:
        return str(error)
    raise AssertionError("nothing was refused")

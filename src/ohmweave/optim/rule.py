"""What all learning rules share: which parameters they take, their checks, their counters and their saved state."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.nn import ArrayWeight
from ohmweave.optim.saved_state import check_groups, check_own, check_weights

PATIENCE = 20
"""Steps with a gradient but without a pulse after which a rule warns."""

Check = Callable[[str, Any], None]
"""Raises an error that names the hyperparameter, given its name and value, if it is out of range."""

Checks = Mapping[str, Check]
"""The check of each hyperparameter, by name."""

WeightState = Callable[[Sequence[ArrayWeight]], Sequence[dict[str, torch.Tensor]]]
"""Makes the first state of each new weight; all or nothing if it raises."""

_TORCH_KEYS = {"params", "param_names", "initial_lr", "name"}
"""Keys of a parameter group that belong to torch, its schedulers or the user."""


class Move(NamedTuple):
    """A weight that has a gradient.

    Attributes:
        weight: on the chip.
        grad: `(*chips, out, in)`, finite.
        group: the weight's parameter group.
    """

    weight: ArrayWeight
    grad: torch.Tensor
    group: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the weight's placement on the chip."""
        return self.weight.matrix.name


class DropsSteps(ABC):
    """A rule that may send no pulse although the gradient is not 0: below a threshold, or by rounding to 0 pulses."""

    @abstractmethod
    def why_silent(self, move: Move) -> str:
        """The size of the largest step of this weight beside what it takes to send a pulse, in words."""


class ExtraState(ABC):
    """A rule with state besides that of single weights."""

    @abstractmethod
    def extra_state(self) -> dict[str, Any]:
        """Tensors, and words and numbers that must be the same when they are loaded."""

    @abstractmethod
    def check_extra(self, state: Mapping[str, Any]) -> None:
        """Raise `DataError` if `state`, whose names are right, cannot be loaded; change nothing."""

    @abstractmethod
    def load_extra(self, state: Mapping[str, Any]) -> None:
        """Take over a checked `state`."""


class ArrayRule(torch.optim.Optimizer, ABC):
    """A torch optimizer whose steps are pulses on the cells of weights on a chip.

    A subclass gives `send` and its table of checks, nothing else of this class is overridden. Every rule takes
    weights on a chip only, refuses a gradient that is NaN or infinite before any pulse is sent, and keeps all of its
    state in `state_dict()` as tensors, so that a run which is resumed from it sends the same pulses.

    Args:
        params: weights on a chip or parameter groups of them, as in torch.
        defaults: hyperparameters of a group that does not give its own.
        generator: of random pulses; its device is that of the weights.
        first_state: makes the state of weights that are added.

    Raises:
        OutOfRangeError: a parameter is not on a chip or given twice, or a hyperparameter is unknown or out of range.
    """

    checks: ClassVar[Checks] = {}
    """How each hyperparameter of a group is checked, by name."""
    unsaved: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that are objects, such as write schemes: arguments of the constructor, not part of the state."""

    def __init__(
        self,
        params: Iterable[Any],
        defaults: dict[str, Any],
        *,
        generator: torch.Generator | None = None,
        first_state: WeightState | None = None,
    ) -> None:
        self._generator, self._first_state = generator, first_state
        self._started = False
        # torch adds keys of its own to `defaults` when a state is loaded.
        self._names = tuple(defaults)
        self.n_steps = 0
        """Steps taken."""
        self._n_silent: int | None = 0
        """Steps that sent no pulse, until the first that does or the warning; then None."""
        super().__init__(params, defaults)
        self._start(self.weights)
        self._started = True

    @property
    def weights(self) -> list[ArrayWeight]:
        """All weights, group by group."""
        return [weight for group in self.param_groups for weight in group["params"]]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add weights with hyperparameters of their own; nothing is added if one is refused."""
        params = param_group["params"]
        group = param_group | {"params": [params] if isinstance(params, torch.Tensor) else list(params)}
        weights = [one[1] if isinstance(one, tuple) else one for one in group["params"]]
        check_on_chip(weights)
        check_hyperparameters(group, {name: self.defaults[name] for name in self._names}, self.checks)
        if self._generator is not None:
            _check_device(self._generator, weights)
        super().add_param_group(group)
        if self._started:
            try:
                self._start(weights)
            except BaseException:
                self.param_groups.pop()
                raise

    def _start(self, weights: Sequence[ArrayWeight]) -> None:
        if self._first_state is not None:
            self.state.update(zip(weights, self._first_state(weights), strict=True))

    @abstractmethod
    def send(self, moves: Sequence[Move]) -> bool:
        """Send the pulses of one step. Returns whether there was any."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the pulses that the gradients amount to.

        Args:
            closure: computes the loss and its gradients anew, as in torch.

        Returns:
            The closure's loss, or None.

        Raises:
            OutOfRangeError: a gradient is NaN or infinite; no pulse was sent then.
        """
        loss = _loss_of(closure)
        moves = self._moves()
        for move in moves:
            _check_finite(move)
        sent = self.send(moves) if moves else False
        self.n_steps += 1
        self._watch(moves, sent)
        return loss

    def _moves(self) -> list[Move]:
        """The weights that have a gradient and are not frozen."""
        found = []
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.requires_grad:
                    shape = (*weight.matrix.chip.chip_shape, *weight.matrix.shape)
                    found.append(Move(weight, weight.grad.reshape(shape), group))
        return found

    def _watch(self, moves: Sequence[Move], sent: bool) -> None:
        """Warn once if the first steps send no pulse."""
        if self._n_silent is None:
            return
        if sent:
            self._n_silent = None
        elif any(bool(move.grad.any()) for move in moves):
            self._n_silent += 1
            if self._n_silent >= PATIENCE:
                self._n_silent = None
                why = [self.why_silent(move) for move in moves] if isinstance(self, DropsSteps) else []
                warnings.warn(
                    f"{type(self).__name__} has sent no pulse in {PATIENCE} steps although gradients were not zero: "
                    + ("; ".join(why) or "all steps were rounded to 0"),
                    stacklevel=4,
                )

    def state_dict(self) -> dict[str, Any]:
        """All that the rule's future depends on but the cells, which are the chip's `state_dict`.

        Returns:
            `state` and `param_groups` as in torch, and `rule`: counters, the generator's state and what belongs to
            no single weight. `torch.load(weights_only=True)` reads it. Objects given to the constructor (write
            schemes) are not in it. As in torch, tensors are the rule's own, not copies.
        """
        whole = super().state_dict()
        for group in whole["param_groups"]:
            for name in self.unsaved:
                group.pop(name)
        return whole | {"rule": self._own_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken; objects given to the constructor stay as they are.

        Raises:
            DataError: it is the state of another rule or of other weights, or a part is missing or has another
                shape. Nothing is changed then.
        """
        own, like = state_dict.get("rule"), self._own_state()
        check_own(own, like)
        assert isinstance(own, Mapping)
        check_groups(state_dict, self.param_groups, needed=set(self._names) - set(self.unsaved))
        check_weights(state_dict, [self.state.get(weight, {}) for weight in self.weights])
        if isinstance(self, ExtraState):
            self.check_extra(own)
        objects = [{name: group[name] for name in self.unsaved} for group in self.param_groups]
        # torch takes tensors over as they are: without copies, two rules could share an accumulator.
        state = {i: {name: leaf.clone() for name, leaf in part.items()} for i, part in state_dict["state"].items()}
        super().load_state_dict({"state": state, "param_groups": state_dict["param_groups"]})
        for group, kept in zip(self.param_groups, objects, strict=True):
            group.update(kept)
        self.n_steps = int(own["n_steps"])
        n_silent = int(own["n_silent"])
        self._n_silent = None if n_silent < 0 else n_silent
        if self._generator is not None:
            self._generator.set_state(own["generator"].cpu().clone())
        if isinstance(self, ExtraState):
            self.load_extra(own)

    def _own_state(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "name": type(self).__name__,
            "weights": [[weight.matrix.name, *weight.shape] for weight in self.weights],
            "n_steps": torch.tensor(self.n_steps, dtype=torch.int64, device="cpu"),
            "n_silent": torch.tensor(-1 if self._n_silent is None else self._n_silent, device="cpu"),
        }
        if self._generator is not None:
            own["generator"] = self._generator.get_state()
        return own | (self.extra_state() if isinstance(self, ExtraState) else {})

    def __repr__(self) -> str:
        """Hyperparameters, weights and steps, a line a group."""
        lines = []
        for group in self.param_groups:
            shown = {name: group[name] for name in self._names if group[name] is not None and group[name] is not False}
            options = ", ".join(f"{name}={value!r}" for name, value in shown.items())
            names = ", ".join(weight.matrix.name for weight in group["params"])
            lines.append(f"{names}: {options}" if options else names)
        return f"{type(self).__name__}({'; '.join(lines)}; n_steps={self.n_steps})"


def one_of(*allowed: str) -> Check:
    """A check that a value is one of some words."""

    def check(name: str, value: Any) -> None:
        if value not in allowed:
            words = " or ".join(map(repr, allowed))
            raise OutOfRangeError(f"`{name}` must be {words}, but is {value!r}")

    return check


def check_write(name: str, value: Any) -> None:
    """Raise `OutOfRangeError` unless `value` can be called as a write scheme is."""
    if not callable(value):
        raise OutOfRangeError(f"`{name}` must be a write scheme such as `WriteVerify(...)`, but is {value!r}")


def check_on_chip(params: Sequence[Any]) -> None:
    """Raise `OutOfRangeError` unless all `params` are weights on a chip, each given once."""
    for parameter in params:
        if not isinstance(parameter, ArrayWeight):
            what = f"of shape {tuple(parameter.shape)}" if isinstance(parameter, torch.Tensor) else repr(parameter)
            raise OutOfRangeError(
                f"`params` must be weights on a chip, but one is not: {what}. Give a rule `net.chip_parameters()`, "
                "and a torch optimizer `net.digital_parameters()`"
            )
    if len({id(parameter) for parameter in params}) < len(params):
        raise OutOfRangeError("`params` must list each weight once, but has one several times")


def check_hyperparameters(group: Mapping[str, Any], defaults: Mapping[str, Any], checks: Checks) -> None:
    """Raise `OutOfRangeError` if a hyperparameter of a group is unknown or out of range."""
    if unknown := group.keys() - defaults.keys() - _TORCH_KEYS:
        raise OutOfRangeError(
            f"a group of `params` must have hyperparameters of {sorted(defaults)}, but has {sorted(unknown)}"
        )
    values = {**defaults, **group}
    for name, check in checks.items():
        check(name, values[name])


def _check_device(generator: torch.Generator, weights: Sequence[ArrayWeight]) -> None:
    for weight in weights:
        if weight.device.type != generator.device.type:
            raise OutOfRangeError(
                f"`generator` must be on the device of the weights, {weight.device}, but is on {generator.device}"
            )


def _check_finite(move: Move) -> None:
    """Raise `OutOfRangeError` if a gradient has an entry that is NaN or infinite."""
    # One such entry makes the sum so, and a sum is the cheapest pass. It may also overflow: then look closely.
    if math.isfinite(float(move.grad.sum())):
        return
    n_bad = int((~move.grad.isfinite()).sum())
    if n_bad:
        raise OutOfRangeError(
            f"the gradient of {move.name!r} must be finite, but {n_bad} of its {move.grad.numel()} entries are NaN or "
            f"infinite (weight of shape {tuple(move.weight.shape)}); no pulse was sent"
        )


def _loss_of(closure: Callable[[], float] | None) -> float | None:
    """What torch's optimizers do with a closure."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()

"""The base of all learning rules: checks of parameters and gradients, counters and saved state."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch

from ohmweave.base import DataError, NotCopied, OutOfRangeError, shown
from ohmweave.nn import ArrayWeight
from ohmweave.optim.hyperparameters import Checks, check_generator, check_hyperparameters, check_steps
from ohmweave.optim.saved_state import check_groups, check_own, check_weights

_MOST_STEPS = 2**53
PATIENCE = 20
"""Number of steps with a gradient but without a pulse after which a rule warns."""

WeightState = Callable[[Sequence[ArrayWeight]], Sequence[dict[str, torch.Tensor]]]
"""Makes the first state of each new weight. If it raises, it leaves nothing behind."""


class Move(NamedTuple):
    """A weight that has a gradient.

    Attributes:
        weight: the weight on the chip.
        grad: `(*chips, out, in)`, finite.
        group: the weight's parameter group.
    """

    weight: ArrayWeight
    grad: torch.Tensor
    group: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the weight's placement on the chip."""
        return self.weight.matrix.name


class DropsSteps(ABC):
    """A rule that may send no pulse for a gradient that is not 0: below a threshold, or after rounding to 0 pulses."""

    @abstractmethod
    def why_silent(self, move: Move) -> str:
        """The size of the largest step of this weight, and the size that is needed for a pulse, in words."""


class ExtraState(ABC):
    """A rule with state that does not belong to single weights."""

    @abstractmethod
    def extra_state(self) -> dict[str, Any]:
        """The state: tensors, and strings and numbers, which must be equal in a rule that loads it."""

    @abstractmethod
    def check_extra(self, state: Mapping[str, Any]) -> None:
        """Raise `DataError` if `state`, whose names are right, cannot be loaded; change nothing."""

    @abstractmethod
    def load_extra(self, state: Mapping[str, Any]) -> None:
        """Take over a checked `state`."""


class ArrayRule(NotCopied, torch.optim.Optimizer, ABC):
    """A torch optimizer whose steps are pulses on the cells of weights on a chip.

    A subclass implements `send` and the table `checks`, and overrides nothing else. Every rule takes weights on a chip
    only, and raises for a gradient that is NaN or infinite before it sends a pulse. All of its state is in
    `state_dict()` as tensors, so that a resumed run sends the same pulses. Pulses make weights stale; a rule does not
    read them out (see `ohmweave.nn.ArrayWeight`).

    Args:
        params: weights on a chip, or parameter groups of them, as in torch.
        defaults: hyperparameters of a group that does not have its own.
        generator: of random pulses, on the device of the weights.
        first_state: makes the state of weights that are added.

    Raises:
        OutOfRangeError: a parameter is not on a chip or given twice, or a hyperparameter is unknown or out of range.
    """

    checks: ClassVar[Checks] = {}
    """How each hyperparameter of a group is checked, by name."""
    unsaved: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that are objects, such as write schemes: arguments of the constructor that are not saved."""

    def __init__(
        self,
        params: Iterable[Any],
        defaults: dict[str, Any],
        *,
        generator: torch.Generator | None = None,
        first_state: WeightState | None = None,
    ) -> None:
        if generator is not None:
            check_generator(generator)
        self._generator, self._first_state = generator, first_state
        self._started = False
        # The names are kept here, because torch adds keys to `defaults` when it loads a state.
        self._names = tuple(defaults)
        self.n_steps = 0
        """Number of calls of `step()`."""
        self._n_silent: int | None = 0
        """Number of steps without a pulse; None after the first pulse or the warning."""
        super().__init__(params, defaults)
        self._start(self.weights)
        self._started = True

    @property
    def weights(self) -> list[ArrayWeight]:
        """All weights, group by group."""
        return [weight for group in self.param_groups for weight in group["params"]]

    @property
    def is_watched(self) -> bool:
        """True until the rule has sent a pulse, or has warned that it sends none."""
        return self._n_silent is not None

    @property
    def stream(self) -> torch.Generator | None:
        """The generator of random pulses."""
        return self._generator

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add weights with hyperparameters of their own; nothing is added if one is refused."""
        params = param_group["params"]
        group = param_group | {"params": [params] if isinstance(params, torch.Tensor) else list(params)}
        weights = [one[1] if isinstance(one, tuple) else one for one in group["params"]]
        check_on_chip(weights)
        check_hyperparameters(group, {name: self.defaults[name] for name in self._names}, self.checks)
        check_steps(group, self.defaults, weights)
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
        """Send the pulses of one step. Returns True if there was any."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the pulses for the present gradients.

        Args:
            closure: computes the loss and its gradients, as in torch.

        Returns:
            The closure's loss, or None.

        Raises:
            OutOfRangeError: a gradient is NaN or infinite, or a hyperparameter in `param_groups` is unknown or out of
                range (a learning rate may be 0); no pulse was sent then.
        """
        loss = _loss_of(closure)
        self.check_groups()
        moves = self._moves()
        for move in moves:
            _check_finite(move)
        sent = self.send(moves) if moves else False
        self.n_steps += 1
        self._watch(moves, sent)
        return loss

    def check_groups(self) -> None:
        """Check the hyperparameters of all groups, which schedulers and users change between steps.

        Raises:
            OutOfRangeError: one is unknown or out of range; a learning rate may be 0.
        """
        for group in self.param_groups:
            check_hyperparameters(group, {name: group.get(name) for name in self._names}, self.checks, paused=True)
            check_steps(group, self.defaults, group["params"])

    def count_step(self) -> None:
        """Count a step that was computed elsewhere, as `train_epoch` does."""
        self.n_steps += 1
        self._opt_called = True  # without it a scheduler of torch warns that there was no step before its own

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
        """The whole state of the rule; the cells are in the chip's `state_dict`.

        Returns:
            `state` and `param_groups` as in torch, and `rule`: counters, the state of the generator and other state
            that does not belong to a single weight. `torch.load(weights_only=True)` can read it. Objects given to the
            constructor (write schemes) are not in it. As in torch, the tensors are not copies.
        """
        whole = super().state_dict()
        for group in whole["param_groups"]:
            for name in self.unsaved:
                group.pop(name)
        return whole | {"rule": self._own_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state from `state_dict()`; objects given to the constructor stay as they are.

        Raises:
            DataError: the state is of another rule or of other weights, or a part is missing or has another shape.
                Nothing is changed then.
        """
        if not isinstance(state_dict, Mapping):
            raise DataError(f"`state_dict` must be a dictionary, but is {shown(state_dict)}")
        own, like = state_dict.get("rule"), self._own_state()
        check_own(own, like)
        assert isinstance(own, Mapping)
        if not 0 <= int(own["n_steps"]) <= _MOST_STEPS or int(own["n_silent"]) < -1:
            raise DataError(
                f"`state_dict['rule']` must count from 0 to {_MOST_STEPS:,} steps, but has n_steps "
                f"{int(own['n_steps'])}, n_silent {int(own['n_silent'])}"
            )
        check_groups(state_dict, self.param_groups, needed=set(self._names) - set(self.unsaved))
        for group in state_dict["param_groups"]:
            self._check_saved_group(group)
        if self._generator is not None:
            _check_stream(own["generator"], self._generator)
        check_weights(state_dict, [self.state.get(weight, {}) for weight in self.weights])
        if isinstance(self, ExtraState):
            self.check_extra(own)
        objects = [{name: group[name] for name in self.unsaved} for group in self.param_groups]
        # torch does not copy the tensors, so two rules could share an accumulator.
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

    def _check_saved_group(self, group: Mapping[str, Any]) -> None:
        """Raise `DataError` if a saved hyperparameter is unknown or out of range."""
        given = {name: self.defaults[name] for name in self._names} | dict(group)
        try:
            check_hyperparameters(given, {name: self.defaults[name] for name in self._names}, self.checks, paused=True)
        except (OutOfRangeError, TypeError) as error:
            raise DataError(
                f"`state_dict['param_groups']` must hold hyperparameters of this rule, but {error}"
            ) from None

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
        """Weights and hyperparameters of each group, and the number of steps."""
        lines = []
        for group in self.param_groups:
            shown = {name: group[name] for name in self._names if group[name] is not None and group[name] is not False}
            options = ", ".join(f"{name}={value!r}" for name, value in shown.items())
            names = ", ".join(weight.matrix.name for weight in group["params"])
            lines.append(f"{names}: {options}" if options else names)
        return f"{type(self).__name__}({'; '.join(lines)}; n_steps={self.n_steps})"


def _check_stream(state: torch.Tensor, like: torch.Generator) -> None:
    """Raise `DataError` unless `state` is that of a generator; only torch knows which bytes are."""
    try:
        torch.Generator(like.device).set_state(state.cpu().clone())
    except (RuntimeError, TypeError) as error:
        raise DataError(f"`state_dict['rule']['generator']` must be the state of a generator, but: {error}") from None


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


def _check_device(generator: torch.Generator, weights: Sequence[ArrayWeight]) -> None:
    for weight in weights:
        if weight.device.type != generator.device.type:
            raise OutOfRangeError(
                f"`generator` must be on the device of the weights, {weight.device}, but is on {generator.device}"
            )


def _check_finite(move: Move) -> None:
    """Raise `OutOfRangeError` if a gradient has an entry that is NaN or infinite."""
    # The sum is the cheapest test. It may overflow although all entries are finite, so check each of them then.
    if math.isfinite(float(move.grad.sum())):
        return
    n_bad = int((~move.grad.isfinite()).sum())
    if n_bad:
        raise OutOfRangeError(
            f"the gradient of {move.name!r} must be finite, but {n_bad} of its {move.grad.numel()} entries are NaN or "
            f"infinite (weight of shape {tuple(move.weight.shape)}); no pulse was sent"
        )


def _loss_of(closure: Callable[[], float] | None) -> float | None:
    """The loss of a closure, computed with gradients enabled as in torch's optimizers; None without a closure."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()

"""A torch optimizer that proposes changes of weights on a chip; it works on copies of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ohmweave.base import DataError, OutOfRangeError, shown
from ohmweave.nn import ArrayWeight
from ohmweave.optim.rule import Move
from ohmweave.optim.saved_state import check_groups


class Proposer:
    """A torch optimizer on copies of weights.

    Args:
        optimizer: class of the optimizer.
        groups: parameter groups of weights on a chip, with hyperparameters of the optimizer.
        options: hyperparameters for groups that do not have their own.
    """

    def __init__(
        self,
        optimizer: Callable[..., torch.optim.Optimizer],
        groups: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
    ) -> None:
        self._copies: dict[ArrayWeight, torch.nn.Parameter] = {}
        mine = []
        for group in groups:
            weights = [one[1] if isinstance(one, tuple) else one for one in group["params"]]
            copies = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
            self._copies.update(zip(weights, copies, strict=True))
            mine.append({name: value for name, value in group.items() if name != "param_names"} | {"params": copies})
        try:
            self.optimizer = optimizer(mine, **options)
        except (TypeError, ValueError) as error:
            raise OutOfRangeError(f"`options` must be hyperparameters of {shown(optimizer)}, but: {error}") from error
        self.defaults = dict(self.optimizer.defaults)
        """Hyperparameters of the optimizer."""
        self._before: dict[ArrayWeight, torch.Tensor] = {}

    @property
    def name(self) -> str:
        """Name of the optimizer's class."""
        return type(self.optimizer).__name__

    def propose(self, groups: Sequence[Mapping[str, Any]], moves: Sequence[Move]) -> None:
        """Let the optimizer step from the present weights; stale ones are read out again.

        Args:
            groups: parameter groups of the rule with their present hyperparameters, which a scheduler may have changed.
            moves: the weights that have a gradient; the others do not change.
        """
        for mine, group in zip(self.optimizer.param_groups, groups, strict=True):
            mine.update({name: value for name, value in group.items() if name not in ("params", "param_names")})
        gradients = {move.weight: move.grad for move in moves}
        for weight, copy in self._copies.items():
            self._before[weight] = weight.detach().clone()
            copy.copy_(self._before[weight])
            grad = gradients.get(weight)
            copy.grad = None if grad is None else grad.reshape(copy.shape)
        with torch.device("cpu"):  # torch's optimizers keep their step counters on the default device
            self.optimizer.step()

    def change(self, weight: ArrayWeight) -> torch.Tensor:
        """The last proposed change of `weight`, `(*chips, ...)` in its shape."""
        return self._copies[weight].detach() - self._before[weight]

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer."""
        return self.optimizer.state_dict()

    def check(self, state_dict: Mapping[str, Any]) -> None:
        """Raise `DataError` unless `state_dict` can be that of this optimizer: its groups, and tensors that fit."""
        check_groups(state_dict, self.optimizer.param_groups, needed=self.defaults)
        copies = list(self._copies.values())
        saved = state_dict.get("state")
        if not isinstance(saved, Mapping) or not set(saved) <= set(range(len(copies))):
            raise DataError(f"`state_dict['rule']['proposer']` must have a state of {len(copies)} weights, but has not")
        for i, part in saved.items():
            for name, leaf in part.items():
                if isinstance(leaf, torch.Tensor) and not _fits(leaf, copies[i]):
                    raise DataError(
                        f"`state_dict['rule']['proposer']['state'][{i}][{name!r}]` must fit a weight "
                        f"{tuple(copies[i].shape)} and be finite, but is {tuple(leaf.shape)} {leaf.dtype}"
                    )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over copies of a checked `state_dict`."""
        state = {
            i: {name: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for name, leaf in part.items()}
            for i, part in state_dict["state"].items()
        }
        self.optimizer.load_state_dict({**state_dict, "state": state})


def _fits(leaf: torch.Tensor, like: torch.Tensor) -> bool:
    """True if a state tensor can be broadcast to the weight `like` and is finite."""
    shapes = zip(reversed(leaf.shape), reversed(like.shape), strict=False)
    broadcast = leaf.dim() <= like.dim() and all(mine in (1, theirs) for mine, theirs in shapes)
    return broadcast and (not leaf.is_floating_point() or bool(leaf.isfinite().all()))

"""A damaged state of one of torch's optimizers is refused before it is loaded."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from ohmweave.base import DataError
from ohmweave.nn.optimizer_state import check_optimizer_state


def stepped(kind: Any = torch.optim.Adam, **options: Any) -> torch.optim.Optimizer:
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]
    made: torch.optim.Optimizer = kind(parameters, lr=0.01, **options)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    made.step()
    return made


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (torch.optim.Adam, {}),
        (torch.optim.AdamW, {"amsgrad": True}),
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.RMSprop, {"centered": True, "momentum": 0.5}),
    ],
)
def test_an_own_state_is_accepted_before_and_after_the_first_step(kind: Any, options: dict[str, Any]) -> None:
    one = stepped(kind, **options)
    check_optimizer_state(one, deepcopy(one.state_dict()), where="rule")
    fresh = kind([torch.nn.Parameter(torch.zeros(3, 2)), torch.nn.Parameter(torch.zeros(4))], lr=0.5, **options)
    check_optimizer_state(fresh, one.state_dict(), where="rule")


def test_keys_of_schedulers_are_accepted() -> None:
    one = stepped()
    saved = deepcopy(one.state_dict())
    saved["param_groups"][0]["initial_lr"] = 0.01
    check_optimizer_state(one, saved, where="rule")


def _set(path: str, value: Any) -> Any:
    def damage(state: dict[str, Any]) -> None:
        *parts, last = path.split(".")
        at: Any = state
        for part in parts:
            at = at[int(part) if part.isdigit() else part]
        at[int(last) if last.isdigit() else last] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_set("param_groups", []), r"rule.param_groups must be 1 groups"),
        (_set("param_groups.0.lr", -1.0), "must have 'lr' as 0.01, but it is -1.0"),
        (_set("param_groups.0.lr", float("nan")), "must have 'lr'"),
        (_set("param_groups.0.betas", (0.9, 1.5)), "must be hyperparameters of Adam"),
        (_set("param_groups.0.params", [1, 0]), "must number the parameters in order"),
        (_set("state.0.exp_avg", torch.zeros(2, 3)), "rule.state.0.exp_avg must fit its parameter"),
        (_set("state.0.exp_avg", torch.full((3, 2), torch.nan)), "rule.state.0.exp_avg must be finite"),
        (_set("state.1.exp_avg_sq", torch.full((4,), -1.0)), "rule.state.1.exp_avg_sq must be >= 0"),
        (_set("state.1.step", torch.tensor(-1.0)), "rule.state.1.step must be >= 0"),
        (_set("state.7", {}), "rule.state must be that of 2 parameters"),
        (_set("state.1", {"exp_avg": torch.zeros(4)}), "rule.state.1 must have"),
        (_set("state", 3), "rule.state must be that of 2 parameters"),
    ],
)
def test_damaged_states(damage: Any, message: str) -> None:
    one = stepped()
    state = deepcopy(one.state_dict())
    damage(state)
    with pytest.raises(DataError, match=message):
        check_optimizer_state(one, state, where="rule")


def test_what_is_no_state() -> None:
    with pytest.raises(DataError, match="rule must be the state of an optimizer"):
        check_optimizer_state(stepped(), [1, 2], where="rule")

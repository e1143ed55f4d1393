"""Hooks, buffers, attributes and flags that a layer on a chip takes over from the module that it replaces."""

import torch

from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.layer_registry import ToChip
from ohmweave.nn.module_hooks import HOOKS


def reasons_against(module: torch.nn.Module, entry: ToChip) -> list[str]:
    """Reasons why a module of a type with an entry cannot be replaced by a layer on a chip; empty if it can."""
    reason = entry.refuse(module)
    found = [] if reason is None else [reason]
    own = dict(module.named_parameters(recurse=False))
    if "forward" in vars(module):
        found.append("its forward function was replaced")
    hooked = [name for name, one in module.named_parameters(recurse=False) if has_gradient_hooks(one)]
    if hooked:
        # A gradient on a chip has the chips first, for which the hook was not written.
        found.append(f"its {' and '.join(hooked)} has gradient hooks: register them after deployment")
    if any(True for _ in module.children()):
        found.append("it has modules inside")
    missing = [name for name in entry.parameters if name not in module._parameters]
    if found or not missing:
        return found + [f"it has a parameter {name!r} of its own" for name in own if name not in entry.parameters]
    return [
        f"{', '.join(missing)} is no parameter of it (weight_norm, spectral_norm or pruning): make it permanent first, "
        "with torch.nn.utils.remove_weight_norm, remove_spectral_norm or prune.remove"
    ]


def has_gradient_hooks(parameter: torch.Tensor) -> bool:
    """True if hooks wait for the gradient of a parameter."""
    return bool(parameter._backward_hooks) or bool(parameter._post_accumulate_grad_hooks)


def hand_over_gradient_hooks(old: torch.nn.Module, new: torch.nn.Module) -> None:
    """Register the gradient hooks of the parameters of `old` on those of its copy `new`: `copy.deepcopy` loses them."""
    for one, twin in zip(old.parameters(), new.parameters(), strict=True):
        for hook in (one._backward_hooks or {}).values():
            twin.register_hook(hook)
        for hook in (one._post_accumulate_grad_hooks or {}).values():
            twin.register_post_accumulate_grad_hook(hook)


def hand_over(old: torch.nn.Module, new: ChipLayer, entry: ToChip) -> None:
    """Give `new` the bias values, frozen state, hooks, buffers, attributes and training flag of `old`."""
    bias = entry.bias(old)
    if bias is not None and new.bias is not None:
        with torch.no_grad():
            new.bias.copy_(bias.expand_as(new.bias))
    parameters = dict(old.named_parameters(recurse=False))
    assert any(name.startswith("weight") for name in entry.parameters)  # or the layer would be frozen below
    new.weight.requires_grad_(any(one.requires_grad for name, one in parameters.items() if name.startswith("weight")))
    if new.bias is not None:
        new.bias.requires_grad_(any(one.requires_grad for name, one in parameters.items() if name.startswith("bias")))
    for name in (*HOOKS, "_is_full_backward_hook"):
        new.__dict__[name] = old.__dict__[name]
    for name, buffer in old._buffers.items():
        new.register_buffer(name, buffer, persistent=name not in old._non_persistent_buffers_set)
    for name, value in vars(old).items():
        if name not in new._parameters:  # LSTMCell has a flag `bias`
            new.__dict__.setdefault(name, value)  # attributes that the user has set
    new.train(old.training)

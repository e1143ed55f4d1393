"""Where torch keeps the hooks that it calls while a module computes."""

import torch
from torch.nn.modules import module as torch_module

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_hooks",
    "_backward_pre_hooks",
)
"""Attributes of `torch.nn.Module`, each an `OrderedDict`."""

GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)
"""Attributes of `torch.nn.modules.module`, of the hooks of all modules; each an `OrderedDict`."""


def has_hooks(module: torch.nn.Module) -> bool:
    """True if torch calls hooks while `module` computes: its own, or those of all modules."""
    return any(module.__dict__[name] for name in HOOKS) or any(vars(torch_module)[name] for name in GLOBAL_HOOKS)

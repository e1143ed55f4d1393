"""Where torch keeps the hooks that it calls while a module computes."""

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

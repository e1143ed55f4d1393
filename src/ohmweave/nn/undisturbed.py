"""A model that is run to look at it, and is afterwards as it was."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ohmweave.nn.module_hooks import HOOKS

Watch = Callable[[str], Callable[..., Any]]
"""Makes a forward hook for the module of a name."""


@contextmanager
def undisturbed(model: torch.nn.Module, x: torch.Tensor, watches: Sequence[Watch | None] = ()) -> Iterator[None]:
    """Within this block only the hooks of `watches` are called. Afterwards all state is restored, random states too."""
    modules = list(model.modules())
    attributes = [dict(module.__dict__) for module in modules]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    contents = [
        (value, value.copy())
        for state in attributes
        for value in state.values()
        if type(value) in (list, dict, set, OrderedDict)
    ]
    devices = [x.device.index] if x.device.type == "cuda" else []
    try:
        for module in modules:
            module.__dict__.update({name: OrderedDict() for name in HOOKS})
        for watch in watches:
            for name, module in model.named_modules() if watch is not None else ():
                module.register_forward_hook(watch(name))  # type: ignore[misc]
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, state in zip(modules, attributes, strict=True):
            module.__dict__.clear()
            module.__dict__.update(state)
        for value, content in contents:
            value.clear()
            value.extend(content) if isinstance(value, list) else value.update(content)
        for buffer, content in buffers:
            buffer.copy_(content)

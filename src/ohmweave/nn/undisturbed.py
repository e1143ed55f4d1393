"""A model that is run to look at it, and is afterwards as it was."""

import copy
import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ohmweave.nn.module_hooks import HOOKS

Watch = Callable[[str], Callable[..., Any]]
"""Makes a forward hook for the module of a name."""

_CONTAINERS = (list, dict, set, OrderedDict, defaultdict, deque)
_PLAIN = (bool, int, float, str, type(None))


@contextmanager
def undisturbed(
    model: torch.nn.Module, x: torch.Tensor, watches: Sequence[Watch | None] = ()
) -> Iterator[set[tuple[torch.nn.Module, str]]]:
    """Within this block only the hooks of `watches` are called. Afterwards all state is restored.

    State is what modules have as attributes (numbers, containers, tensors, generators), buffers, and the random states
    of torch, NumPy and Python.

    Args:
        model: the model.
        x: a tensor on its device.
        watches: hooks for each module.

    Yields:
        A set that is empty until the block ends. Then it has the attributes with numbers, text or containers that were
        changed in the block: the module and the name.
    """
    modules = list(model.modules())
    attributes = [dict(module.__dict__) for module in modules]
    values = [value for state in attributes for value in state.values()]
    contents = {id(value): (value, value.copy()) for value in values if type(value) in _CONTAINERS}
    generators = [(value, value.get_state()) for value in values if isinstance(value, torch.Generator)]
    others = [(value, copy.deepcopy(_state_of(value))) for value in values if _state_of(value) is not None]
    tensors = [value for value in values if type(value) is torch.Tensor and not value.requires_grad]
    held = [(tensor, tensor.detach().clone()) for tensor in (*model.buffers(), *tensors)]
    devices = [x.device.index] if x.device.type == "cuda" else []
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that models draw from
    changed: set[tuple[torch.nn.Module, str]] = set()
    try:
        for module in modules:
            module.__dict__.update({name: OrderedDict() for name in HOOKS})
        for watch in watches:
            for name, module in model.named_modules() if watch is not None else ():
                module.register_forward_hook(watch(name))  # type: ignore[misc]
        with torch.random.fork_rng(devices=devices):
            yield changed
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        for module, state in zip(modules, attributes, strict=True):
            changed.update((module, name) for name in _changed(state, module.__dict__, contents))
            module.__dict__.clear()
            module.__dict__.update(state)
        for value, content in contents.values():
            value.clear()
            value.extend(content) if isinstance(value, list | deque) else value.update(content)
        for one, state_before in generators:
            one.set_state(state_before)
        for other, kept in others:
            _set_state(other, kept)
        with torch.no_grad():
            for tensor, content in held:
                if not torch.equal(tensor, content):
                    tensor.copy_(content)


def _changed(before: dict[str, Any], after: dict[str, Any], contents: dict[int, Any]) -> Iterator[str]:
    """Names of attributes with another value, or with a container of other elements."""
    for name, value in after.items():
        old = before.get(name)
        if value is old:
            if id(value) in contents and not _same_elements(value, contents[id(value)][1]):
                yield name
        elif type(value) in _CONTAINERS or (type(value) in _PLAIN and value != old):
            yield name


def _same_elements(value: Any, content: Any) -> bool:
    def elements(container: Any) -> list[Any]:
        return [*container.keys(), *container.values()] if isinstance(container, dict) else list(container)

    mine, old = elements(value), elements(content)
    return len(mine) == len(old) and all(one is other for one, other in zip(mine, old, strict=True))


def _state_of(generator: Any) -> Any:
    """The state of a generator of random numbers of Python or NumPy; None for anything else."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.bit_generator.state if isinstance(generator, np.random.Generator) else None


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.bit_generator.state = state

"""Other references to a layer that goes on a chip, through which a model would still compute with it in software."""

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ohmweave.base import WeightOnChipError
from ohmweave.nn.captures import captured
from ohmweave.nn.module_hooks import HOOKS


class Retired(torch.nn.Module):
    """The class of a layer in software after a layer on the chip has replaced it: any use raises."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Raise `WeightOnChipError`."""
        raise WeightOnChipError(
            f"a layer was called past the chip: it has been replaced by the layer {self.__dict__['place']!r} on the "
            "chip, but something holds the old one (a closure, a global); reach it as an attribute of the model"
        )

    def __getattr__(self, name: str) -> Any:
        """Raise for its weights and biases, too."""
        if name.startswith(("weight", "bias", "in_proj", "out_proj")):
            self.forward()
        raise AttributeError(name)


def replace_everywhere(
    model: torch.nn.Module,
    layers: Mapping[torch.nn.Module, torch.nn.Module],
    places: Mapping[torch.nn.Module, str],
) -> torch.nn.Module:
    """Replace layers in `model`, also in attributes, lists and dictionaries of its modules; in place.

    Args:
        model: the model, which is changed.
        layers: new layers by old ones. The old ones raise from now on.
        places: names of the new layers by old ones, for that error.

    Returns:
        `model`, or its replacement if it is one of `layers`.
    """
    by_id = {id(old): new for old, new in layers.items()}
    for module in list(model.modules()):
        if id(module) not in by_id:
            for name, value in list(vars(module).items()):
                module.__dict__[name] = _swapped(value, by_id)
    for old in layers:
        old.__dict__.update(_parameters={}, _buffers={}, _modules={}, place=places[old])
        old.__class__ = Retired
    return by_id.get(id(model), model)


def _swapped(value: Any, by_id: Mapping[int, torch.nn.Module]) -> Any:
    if isinstance(value, torch.nn.Module):
        return by_id.get(id(value), value)
    if isinstance(value, list):
        value[:] = [_swapped(item, by_id) for item in value]
    elif isinstance(value, dict):
        for key in value:
            value[key] = _swapped(value[key], by_id)
    elif type(value) in (tuple, set, frozenset):
        return type(value)(_swapped(item, by_id) for item in value)
    elif isinstance(value, functools.partial):
        return functools.partial(
            _swapped(value.func, by_id), *_swapped(value.args, by_id), **_swapped(dict(value.keywords), by_id)
        )
    elif isinstance(value, types.MethodType) and id(value.__self__) in by_id:
        new = by_id[id(value.__self__)]
        # The class's own `forward` would compute in software with the weight on the chip.
        return new.forward if value.__func__.__name__ == "forward" else types.MethodType(value.__func__, new)
    return value


def problems(model: torch.nn.Module, placed: Mapping[str, torch.nn.Module]) -> list[str]:
    """Reasons why a part of the model would still compute in software with a layer on the chip; empty if none would.

    Args:
        model: the model in software.
        placed: the layers that are to go on the chip, by name.
    """
    return [*_tied(model, placed), *captured(model, placed), *_unregistered(model)]


def _tied(model: torch.nn.Module, placed: Mapping[str, torch.nn.Module]) -> Iterator[str]:
    """Parameters that a placed layer shares with another module: on the chip their values would differ."""
    on_chip = {id(module) for module in placed.values()}
    owners: dict[int, list[tuple[str, torch.nn.Module]]] = {}
    for name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((f"{name}.{own}".removeprefix("."), module))
    for shared in owners.values():
        if len(shared) < 2 or not any(id(module) in on_chip for _, module in shared):
            continue
        if all(id(module) in on_chip and is_same_layer(shared[0][1], module) for _, module in shared):
            continue  # they become one layer on the chip
        names = ", ".join(name for name, _ in shared)
        layers = ", ".join(repr(name.rpartition(".")[0]) for name, _ in shared)
        yield (
            f"{names} are one tied parameter, which cells cannot be: name all of them in `digital=({layers})`, or "
            f"untie it, `{shared[-1][0]} = torch.nn.Parameter({shared[-1][0]}.detach().clone())`"
        )


def is_same_layer(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """True if two modules share all their parameters, compute the same and have neither hooks nor buffers."""
    if type(one) is not type(other) or one.extra_repr() != other.extra_repr():
        return False
    mine, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    plain = not any(module.__dict__[hooks] for module in (one, other) for hooks in HOOKS)
    return (
        plain
        and not any(True for module in (one, other) for _ in module.buffers())
        and mine.keys() == theirs.keys()
        and all(parameter is theirs[name] for name, parameter in mine.items())
    )


def _unregistered(model: torch.nn.Module) -> Iterator[str]:
    """Modules with parameters in a plain list or dictionary, where torch does not find them."""
    known = {id(module) for module in model.modules()}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            for item in items if attribute not in ("_modules", "_parameters", "_buffers") else ():
                if isinstance(item, torch.nn.Module) and id(item) not in known and any(True for _ in item.parameters()):
                    yield (
                        f"{attribute} of {name or 'the model itself'} holds a {type(item).__name__} that torch does "
                        "not register: use torch.nn.ModuleList or ModuleDict"
                    )

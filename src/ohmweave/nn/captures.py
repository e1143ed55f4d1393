"""Objects of a model that hold a placed layer or its weight where `deploy` cannot replace it.

`copy.deepcopy` does not copy closures, default arguments, globals and attributes of classes. A model that reaches a
layer through one of them would go on computing in software with the layer that was to be placed.
"""

import dis
import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

_DEPTH = 4
"""How many objects, one inside the other, are followed: partials, lists, holders of a layer."""

_OWN = ("_modules", "_parameters", "_buffers", "_flat_weights")
"""Attributes of a module in which torch registers its parts; `deploy` replaces those, or the module with them."""


def captured(model: torch.nn.Module, placed: Mapping[str, torch.nn.Module]) -> Iterator[str]:
    """Reasons why the model would still compute in software, each naming the object that holds a layer or a weight.

    Args:
        model: the model in software.
        placed: the layers that are to go on the chip, by name.
    """
    search = _Search(model, placed.values())
    seen_classes: set[type] = set()
    for name, module in model.named_modules():
        where = name or "the model itself"
        for attribute, value in vars(module).items():
            if attribute in _OWN:
                continue
            for what in search.found_in(value, replaceable=True):
                yield (
                    f"{attribute} of {where} has {what} and would go on using it in software: make it a method, or "
                    "reach the layer as an attribute of the model"
                )
        for kind in type(module).__mro__:
            if kind not in seen_classes and not kind.__module__.startswith("torch."):
                seen_classes.add(kind)
                yield from _of_class(kind, search)


def _of_class(kind: type, search: "_Search") -> Iterator[str]:
    """Layers that methods and attributes of a class hold."""
    if kind is object:
        return
    for attribute, value in vars(kind).items():
        if attribute == "__init__":
            continue  # it has run before
        for what in search.found_in(value, replaceable=False):
            yield (
                f"{attribute} of the class {kind.__name__} has {what} and would go on using it in software: reach the "
                "layer as an attribute of the model, `self.`"
            )


class _Search:
    """A search for modules around placed layers, and for their parameters."""

    def __init__(self, model: torch.nn.Module, placed: Iterable[torch.nn.Module]) -> None:
        on_chip = {id(module) for module in placed}
        self._around = {id(one) for one in model.modules() if any(id(part) in on_chip for part in one.modules())}
        self._weights = {
            id(one) for module in model.modules() if id(module) in on_chip for one in module.parameters(recurse=False)
        }

    def found_in(self, value: Any, *, replaceable: bool) -> Iterator[str]:
        """What `value` holds, in words.

        Args:
            value: an attribute.
            replaceable: True if `deploy` replaces layers in this attribute itself.
        """
        yield from self._walk(value, "", replaceable, 0)

    def _walk(self, value: Any, path: str, replaceable: bool, depth: int) -> Iterator[str]:
        if isinstance(value, torch.nn.Module):
            if id(value) in self._around and not replaceable:
                yield f"a layer of the model{path}"
        elif isinstance(value, torch.Tensor):
            if id(value) in self._weights:
                yield f"a weight of the model{path}"
        elif depth < _DEPTH:
            for part, below, can_be_replaced in _parts(value, path, replaceable):
                yield from self._walk(part, below, can_be_replaced, depth + 1)


def _parts(value: Any, path: str, replaceable: bool) -> Iterator[tuple[Any, str, bool]]:
    """Objects that `value` holds: the object, where it is in words, and whether `deploy` replaces a layer there."""
    if isinstance(value, types.FunctionType):
        yield from ((one, path, False) for one in _of_function(value))
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__, path, False
    elif isinstance(value, property):
        yield from ((one, path, False) for one in (value.fget, value.fset))
    elif isinstance(value, types.MethodType):
        yield value.__func__, path, False
        yield value.__self__, path, replaceable
    elif isinstance(value, functools.partial):
        yield from ((one, path, replaceable) for one in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((one, path, replaceable) for one in value)
    elif isinstance(value, dict):
        yield from ((one, path, replaceable) for one in value.values())
    elif _is_holder(value):
        # `copy.deepcopy` copies it with the layer inside, and nothing replaces the layer there.
        inside = f" in a {type(value).__name__}"
        yield from ((one, inside, False) for one in vars(value).values())


def _is_holder(value: Any) -> bool:
    """True for an object of a class of the user's, with attributes."""
    kind = type(value)
    known = kind.__module__.partition(".")[0] in ("builtins", "torch", "types", "functools", "collections", "weakref")
    return not known and not isinstance(value, type | types.ModuleType) and "__dict__" in dir(value)


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    """Contents of the closure, default arguments, and modules and tensors among the globals that the code names."""
    for cell in function.__closure__ or ():
        if _is_filled(cell):
            yield cell.cell_contents
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for name in _names_in(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, torch.nn.Module | torch.Tensor | functools.partial | list | tuple | dict):
            yield value


def _names_in(code: types.CodeType) -> Iterator[str]:
    """Names of globals that a function's code and the functions inside it use; `co_names` has attributes as well."""
    yield from (one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True

"""`to_chip`: the registry from torch's module types to layers on a chip. A new kind of layer is one new entry.

    TO_CHIP = register_layer(ToChip(module=torch.nn.Linear, build=..., weight=..., bias=..., refuse=...))

This is in the file of the layer. Other packages declare entries as entry points of the group `ohmweave.layers`,
which are loaded at the first `deploy`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ohmweave.base import OutOfRangeError, load_plugins
from ohmweave.mapping import Chip
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.on_chip import OnChip


@dataclass(frozen=True, slots=True, kw_only=True)
class ToChip:
    """How modules of one type become layers on a chip.

    Attributes:
        module: the type. Subclasses of it have no entry, because they may compute anything.
        build: function of (module, chip, name, on_chip) that returns the layer, with a bias if the module has one. It
            does not copy values.
        weight: function of the module that returns the weight in the shape that the layer's `program` takes.
        bias: function of the module that returns the bias `(out,)`, or None.
        parameters: names of the module's parameters from which `weight` and `bias` are made.
        refuse: function of the module that returns the reason why it cannot be put on a chip, or None if it can.
        groups: function of the module that returns the groups of its outputs, as `Matrix` takes them; for `plan`.
        unasked: False leaves the module digital unless `layers` of `deploy` names it.
    """

    module: type[torch.nn.Module]
    build: Callable[[Any, Chip, str, OnChip], ChipLayer]
    weight: Callable[[Any], torch.Tensor]
    bias: Callable[[Any], torch.Tensor | None]
    parameters: tuple[str, ...] = ("weight", "bias")
    refuse: Callable[[Any], str | None] = lambda module: None
    unasked: bool = True
    groups: Callable[[Any], int] = lambda module: 1


_ENTRIES: dict[type[torch.nn.Module], ToChip] = {}
_plugins_loaded = False


def register_layer(entry: ToChip) -> ToChip:
    """Make `deploy` put modules of the type `entry.module` on chips.

    Raises:
        OutOfRangeError: the type has another entry already.
    """
    if _ENTRIES.setdefault(entry.module, entry) is not entry:
        raise OutOfRangeError(f"`entry` must be of a type without an entry, but {entry.module.__name__} has one")
    return entry


def to_chip(module: torch.nn.Module) -> ToChip | None:
    """The entry for the type of a module, or None. The entry's `refuse` says if this module can be placed."""
    return _entries().get(type(module))


def placeable_types() -> list[str]:
    """Names of the types that have an entry."""
    return [kind.__name__ for kind in _entries()]


def _entries() -> dict[type[torch.nn.Module], ToChip]:
    global _plugins_loaded
    if not _plugins_loaded:
        for name, entry in load_plugins("layers").items():
            if not isinstance(entry, ToChip):
                raise OutOfRangeError(f"the entry point {name!r} of ohmweave.layers must be a ToChip, but is {entry!r}")
            register_layer(entry)
        _plugins_loaded = True
    return _ENTRIES

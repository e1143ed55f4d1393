"""Chip, cells, placements, layers and rules as JSON values: they must be equal for a saved state to be loaded."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from ohmweave.arrays import Array, SimulatedArray
from ohmweave.mapping import Chip
from ohmweave.nn.weight import ArrayWeight

_SHOWN = 5
"""Number of differences that a message lists."""


def weights_of(net: torch.nn.Module) -> dict[str, ArrayWeight]:
    """The weights on chips by parameter name; a shared weight is listed once."""
    return {name: one for name, one in net.named_parameters() if isinstance(one, ArrayWeight)}


def chips_of(net: torch.nn.Module) -> list[Chip]:
    """The chips of the weights of `net`, each once."""
    return list(dict.fromkeys(weight.matrix.chip for weight in weights_of(net).values()))


def fingerprint(net: torch.nn.Module, rules: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """The fingerprint of a network, its chips and its rules."""
    chips = chips_of(net)
    layers = {
        name: {
            "placement": weight.matrix.name,
            "chip": chips.index(weight.matrix.chip),
            "shape": list(weight.shape),
            "dtype": str(weight.dtype),
            "mapping": as_json(weight.matrix.mapping),
            "scaling": type(weight.matrix.scaling).__name__,
            # Stride, padding, dilation and the like: layers of equal shapes may compute something else.
            "computes": repr(net.get_submodule(name.rpartition(".")[0])),
        }
        for name, weight in weights_of(net).items()
    }
    return {
        "layers": layers,
        "modules": {name: type(module).__name__ for name, module in net.named_modules()},
        "chips": [_chip(chip) for chip in chips],
        "rules": [type(rule).__name__ for rule in rules],
    }


def _chip(chip: Chip) -> dict[str, Any]:
    array = chip.array
    sizes = {
        "n_chips": array.n_chips,
        "n_arrays": array.n_arrays,
        "rows": array.rows,
        "cols": array.cols,
        "v_read": array.v_read,
    }
    placed = {
        name: {
            "tiles": as_json(placement.tiles),
            "row_gain": as_json(placement.row_gain),
            "col_gain": as_json(placement.col_gain),
        }
        for name, placement in chip.placed.items()
    }
    return {"array": type(array).__name__, **sizes, **_parts(array), "placed": placed}


def _parts(array: Array) -> dict[str, Any]:
    """Cell, converters, wires and access devices of a simulated array; nothing for other arrays."""
    if not isinstance(array, SimulatedArray):
        return {}
    return {
        "cell": as_json(array.cell),
        "dac": as_json(array.dac),
        "adc": as_json(array.adc),
        "wires": as_json(array.wires),
        "access": as_json(array.access),
        "readout": array.readout_by,
    }


def as_json(part: Any) -> Any:
    """A dataclass by its fields, a tensor by its numbers, other objects by the names of their classes."""
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if is_dataclass(part) and not isinstance(part, type):
        return {"kind": type(part).__name__, **{one.name: as_json(getattr(part, one.name)) for one in fields(part)}}
    if isinstance(part, torch.Tensor):
        return part.tolist()
    if isinstance(part, dict):
        return {str(key): as_json(value) for key, value in part.items()}
    if isinstance(part, tuple | list):
        return [as_json(one) for one in part]
    return {"kind": type(part).__name__}


def differences(saved: Any, here: Any, *, ignore_extra_placements: bool = False) -> list[str]:
    """Differences between two fingerprints in words, the first few of them.

    Args:
        saved: fingerprint from the file.
        here: fingerprint of the network.
        ignore_extra_placements: True accepts placements that are in the file but not on the chips here.
    """
    found = []
    for where, theirs, mine in _compare(saved, here, ""):
        extra = mine is _MISSING and ".placed." in where
        if not (extra and ignore_extra_placements):
            found.append(f"{where} is {_short(theirs)} in the file, but {_short(mine)} here")
    return found if len(found) <= _SHOWN else [*found[:_SHOWN], f"and {len(found) - _SHOWN} more"]


_MISSING = object()


def _compare(saved: Any, here: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(saved, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*saved, *here]):
            below = f"{where}.{key}" if where else str(key)
            yield from _compare(saved.get(key, _MISSING), here.get(key, _MISSING), below)
    elif isinstance(saved, list) and isinstance(here, list) and len(saved) == len(here):
        for index, (theirs, mine) in enumerate(zip(saved, here, strict=True)):
            yield from _compare(theirs, mine, f"{where}[{index}]")
    elif not _equal(saved, here):
        yield where, saved, here


def _equal(saved: Any, here: Any) -> bool:
    if isinstance(saved, float) and isinstance(here, float) and saved != saved and here != here:
        return True  # both NaN
    return isinstance(saved, bool) == isinstance(here, bool) and bool(saved == here)


def _short(value: Any) -> str:
    if value is _MISSING:
        return "missing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

"""Nested dictionaries and lists with tensors in them, split into tensors by name and JSON values."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from ohmweave.base import DataError


def pack(value: Any) -> tuple[dict[str, torch.Tensor], Any]:
    """The tensors of `value` by name, and a structure of JSON values in which these names replace the tensors.

    The name of a tensor is its path of keys, as in "state.0.v_gate".

    Raises:
        DataError: a part is neither a dictionary, list, tuple, tensor, number, word nor None.
    """
    tensors: dict[str, torch.Tensor] = {}
    return tensors, _pack(value, "", tensors)


def _pack(value: Any, where: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        while where in tensors:  # keys with dots in them may collide
            where += "'"
        tensors[where] = value
        return {"tensor": where}
    if isinstance(value, Mapping):
        # A list of pairs, because JSON would turn keys that are numbers into strings.
        pairs = [[_key(key, where), _pack(part, _below(where, key), tensors)] for key, part in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_pack(part, _below(where, index), tensors) for index, part in enumerate(value)]}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # JSON has no numbers for infinity, minus infinity and NaN.
        return value if math.isfinite(value) else {"float": repr(value)}
    raise DataError(f"a state must be made of tensors, numbers and words to be saved, but {where!r} is {value!r}")


def _key(key: Any, where: str) -> str | int:
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise DataError(f"the keys of a state must be words or numbers to be saved, but {where!r} has {key!r}")
    return key


def _below(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)


def unpack(structure: Any, tensors: Mapping[str, torch.Tensor], *, where: str) -> Any:
    """Inverse of `pack`; `where` names the structure in messages.

    Raises:
        DataError: the structure is not one that `pack` gives, or a tensor is missing.
    """
    if structure is None or isinstance(structure, bool | int | float | str):
        return structure
    if isinstance(structure, dict) and len(structure) == 1:
        ((kind, part),) = structure.items()
        if kind == "tensor" and isinstance(part, str) and part in tensors:
            return tensors[part]
        if kind == "dict" and isinstance(part, list) and all(isinstance(one, list) and len(one) == 2 for one in part):
            return {_key(key, where): unpack(one, tensors, where=where) for key, one in part}
        if kind in ("list", "tuple") and isinstance(part, list):
            parts = [unpack(one, tensors, where=where) for one in part]
            return parts if kind == "list" else tuple(parts)
        if kind == "float" and part in ("inf", "-inf", "nan"):
            return float(part)
    raise DataError(f"{where} must be a state that `save` wrote, but has {str(structure)[:100]!r}")

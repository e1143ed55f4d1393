"""JSON values with one canonical spelling, so that equal content has equal bytes and an equal hash."""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

from ohmweave.base.errors import ExperimentError

JSON: TypeAlias = Any
"""None, bool, int, float, str, or lists and string-keyed mappings of them. Checked by `plain`."""


def plain(value: JSON, name: str = "value") -> JSON:
    """`value` as plain dicts, lists and scalars; tuples, arrays and tensors become lists.

    Args:
        value: what to convert.
        name: used in error messages; the place inside is added, as in `result.stages[2]`.

    Raises:
        ExperimentError: a number is NaN, infinite or an integer beyond the floats, a key is not text, or a
            type has no JSON form.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return _within_floats(int(value), name)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExperimentError(f"`{name}` must be a finite number, but is {float(value)!r}; write None if unknown")
        return float(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ExperimentError(f"keys of `{name}` must be text, but one is {key!r}")
        return {key: plain(part, f"{name}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, f"{name}[{index}]") for index, part in enumerate(value)]
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return plain(value.tolist(), name)
    raise ExperimentError(f"`{name}` must have a JSON form, but is a {type(value).__name__}")


def _within_floats(value: int, name: str) -> int:
    try:
        float(value)
    except OverflowError:
        raise ExperimentError(
            f"`{name}` must be below 1.8e308, but is an integer of {value.bit_length()} bits"
        ) from None
    return value


def canonical(value: JSON, name: str = "value") -> str:
    """One line of JSON: keys sorted, no spaces, ASCII, floats in their shortest exact form. Raises as `plain`."""
    return json.dumps(plain(value, name), sort_keys=True, separators=(",", ":"), allow_nan=False)

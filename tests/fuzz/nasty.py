"""Values that no argument should be: perturbations of valid arguments, one place at a time."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

NAN, INF = float("nan"), float("inf")
# Sizes between 2^31 and 2^40 cells would be allocated if they were accepted, so the integers start beyond them.
NUMBERS: tuple[Any, ...] = (NAN, INF, -INF, -1, 0, -0.5, 0.5, 1e-320, 1e30, 1e308, 2**40, 2**63, 10**400)
NUMPY: tuple[Any, ...] = (np.int64(-1), np.int32(0), np.float32("nan"), np.float64("inf"), np.bool_(True))
WRONG_TYPES: tuple[Any, ...] = (None, "", "nan", "µ" * 100_000, True, (), [], {}, 1j, b"2", object())


@dataclass(frozen=True)
class Nasty:
    """A perturbed value.

    Attributes:
        value: the value.
        wrong_type: True if it is of another type than a valid one: a TypeError that names the argument is right.
        same: True if it is equal to the valid value, only of NumPy's type: it must be accepted.
    """

    value: Any
    wrong_type: bool = False
    same: bool = False


def perturbed(value: Any, rng: random.Random) -> Nasty:
    """`value`, wrong in one place."""
    if rng.random() < 0.1 and not isinstance(value, torch.Tensor):
        return Nasty(rng.choice(WRONG_TYPES), wrong_type=True)
    if isinstance(value, bool):
        return Nasty(rng.choice((None, 2, "yes", NAN, np.bool_(value))), wrong_type=True)
    if isinstance(value, int | float):
        return _number(value, rng)
    if isinstance(value, torch.Tensor):
        return _tensor(value, rng)
    if isinstance(value, str | Path):
        return Nasty(rng.choice(("", "no such word", "µ" * 100_000, "\0", "../x", None, 3)), wrong_type=True)
    if isinstance(value, tuple | list) and len(value):
        return _sequence(value, rng)
    if isinstance(value, dict) and value:
        return _mapping(value, rng)
    return Nasty(rng.choice(WRONG_TYPES), wrong_type=True)


def _number(value: float, rng: random.Random) -> Nasty:
    if rng.random() < 0.1:
        return Nasty(np.int64(value) if isinstance(value, int) else np.float64(value), same=True)
    chosen = rng.choice(NUMBERS + NUMPY)
    fractional = isinstance(value, int) and not isinstance(chosen, int | np.integer)
    return Nasty(chosen, wrong_type=fractional or isinstance(chosen, np.bool_))


def _sequence(value: Any, rng: random.Random) -> Nasty:
    """One entry perturbed, or one too few, one too many, or the first twice; named tuples keep their type."""
    named = isinstance(value, tuple) and type(value) is not tuple
    entries, kind = list(value), rng.randrange(6)
    if named or kind < 3:
        at = rng.randrange(len(entries))
        inner = perturbed(entries[at], rng)
        entries[at] = inner.value
        made = type(value)(*entries) if named else type(value)(entries)
        return Nasty(made, wrong_type=inner.wrong_type, same=inner.same)
    changed = {3: entries[:-1], 4: [*entries, entries[-1]], 5: [entries[0]] * len(entries)}[kind]
    return Nasty(type(value)(changed), wrong_type=True)


def _mapping(value: dict[Any, Any], rng: random.Random) -> Nasty:
    name, changed = rng.choice(sorted(value, key=str)), dict(value)
    kind = rng.randrange(4)
    if kind == 0:
        del changed[name]
        return Nasty(changed, wrong_type=True)
    if kind == 1:
        changed["no such name"] = changed[name]
        return Nasty(changed, wrong_type=True)
    inner = perturbed(changed[name], rng)
    changed[name] = inner.value
    return Nasty(changed, wrong_type=inner.wrong_type, same=inner.same)


def _tensor(value: torch.Tensor, rng: random.Random) -> Nasty:
    kind = rng.randrange(9)
    if kind < 5 and value.numel():
        return Nasty(_poked(value, rng))
    if kind == 5:
        return Nasty(value.reshape(-1)[:0] if value.dim() < 2 else value[..., :0, :])
    if kind == 6:
        shapes = (value[..., None], value.reshape(-1), value[None], value.repeat(*[1] * (value.dim() - 1), 2))
        return Nasty(rng.choice(shapes) if value.dim() else value[None])
    if kind == 7:
        return Nasty(value.to(rng.choice((torch.float64, torch.int32, torch.bool, torch.complex64, torch.float16))))
    return Nasty(rng.choice((None, "x", 1.0, value.tolist(), value.numpy())), wrong_type=True)


def _poked(value: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """One entry, or all, set to a nasty number; of integers also one that repeats another."""
    poked = value.clone()
    flat = poked.view(-1)
    at = slice(None) if rng.random() < 0.2 else rng.randrange(flat.numel())
    if value.dtype == torch.bool:
        flat[at] = ~flat[at]
    elif value.is_floating_point():
        flat[at] = rng.choice((NAN, INF, -INF, -1.0, 0.0, 50.0, 1e-30, 1e30, -1e-9, 0.3))
    else:
        limit = torch.iinfo(value.dtype).max
        flat[at] = rng.choice((-1, 0, limit, min(2**40, limit), min(2**62, limit), int(flat[-1]), 7))
    return poked

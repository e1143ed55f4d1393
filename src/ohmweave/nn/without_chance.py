"""A block in which torch's random functions return constants, so that two runs of a model can be compared."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_CONSTANT = 0.5
"""In place of random floating-point numbers: within the range of `rand`, and allowed in a logarithm."""


class _WithoutChance(TorchDispatchMode):
    """Replaces the results of random functions; all others are called as they are."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name in _KNOWN:
            return _KNOWN[name](func, args, kwargs)
        names = [one.name for one in func._schema.arguments]
        if "dropout_p" in names and names.index("dropout_p") < len(args):  # fused attention
            at = names.index("dropout_p")
            return func(*args[:at], 0.0, *args[at + 1 :], **kwargs)
        if "dropout_p" in names:
            return func(*args, **{**kwargs, "dropout_p": 0.0})
        found = func(*args, **kwargs)
        of_others = any(isinstance(one, torch.Tensor) for one in args[1:])
        if isinstance(found, torch.Tensor) and found.is_floating_point() and not of_others:
            found.fill_(_CONSTANT)
        return found


def _dropped(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`native_dropout` that drops nothing; the factor of the kept numbers is the same in all runs."""
    return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)


def _permuted(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    found: torch.Tensor = func(*args, **kwargs).sort().values
    return found


def _drawn(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """`multinomial`: the most likely classes, in their order."""
    found: torch.Tensor = func(*args, **kwargs)
    order = args[0].argsort(dim=-1, descending=True, stable=True)
    n = min(found.shape[-1], order.shape[-1])
    drawn: torch.Tensor = order[..., :1].expand(found.shape) if n < found.shape[-1] else order[..., :n]
    return drawn


def _integers(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    found: torch.Tensor = func(*args, **kwargs)
    integers = [one for one in args if isinstance(one, int)]
    low = integers[0] if func._schema.overload_name.startswith("low") else 0
    return found.fill_(low)


def _leaky(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`rrelu_with_noise` with its mean slope."""
    return func(args[0], args[1], *args[2:4], False)


_KNOWN: dict[str, Callable[..., Any]] = {
    "bernoulli": lambda func, args, kwargs: torch.ones_like(args[0]),
    "bernoulli_": lambda func, args, kwargs: args[0].fill_(1),
    "normal": lambda func, args, kwargs: func(*args, **kwargs).fill_(_CONSTANT),
    "native_dropout": _dropped,
    "poisson": lambda func, args, kwargs: args[0].floor(),
    "multinomial": _drawn,
    "randperm": _permuted,
    "randint": _integers,
    "randint_like": _integers,
    "rrelu_with_noise": _leaky,
}


@contextmanager
def without_chance() -> Iterator[None]:
    """Within this block dropout drops nothing and random numbers are constants, whatever their shape."""
    with _WithoutChance():  # type: ignore[no-untyped-call]
        yield

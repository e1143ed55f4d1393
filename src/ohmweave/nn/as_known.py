"""Modules of other classes that compute as a known layer does: subclasses of it, and layers of other packages.

The forward function of a subclass may compute anything, so it is placed only on request. Then it is compared with the
known layer once, on random inputs, before anything is placed.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.nn.copied import copied
from ohmweave.nn.module_hooks import HOOKS
from ohmweave.nn.nests import tree_leaves
from ohmweave.nn.references import replace_everywhere
from ohmweave.nn.undisturbed import undisturbed
from ohmweave.nn.without_chance import without_chance

Equal: TypeAlias = Callable[[Any], torch.nn.Module]
"""From a module to an equal module of a known class."""

AsKnown: TypeAlias = Mapping[type[torch.nn.Module], type[torch.nn.Module] | Equal]
"""By class: the class that it inherits from and computes as, or a function of a module of it that returns an equal
module of a known class."""

_TOLERANCE = 1e-3
"""Relative to the largest output: another order of the same sum rounds otherwise."""


def as_known_layers(model: torch.nn.Module, as_known: AsKnown) -> torch.nn.Module:
    """A copy of `model` in which modules of the classes in `as_known` are of known classes; it shares its parameters.

    Args:
        model: it is not changed.
        as_known: as in `deploy`.

    Returns:
        The copy, with its modules in the same order and under the same names; `model` if `as_known` is empty.

    Raises:
        OutOfRangeError: the model has no module of a class, a class does not inherit from the one given for it, a
            function returns no module, or a module computes something else than the known one.
    """
    if not as_known:
        return model
    shared: dict[int, object] = {id(one): one for one in (*model.parameters(), *model.buffers())}
    twin = copied(model, shared)
    names = {module: name for name, module in twin.named_modules()}
    for kind in as_known:
        if kind not in {type(module) for module in names}:
            raise OutOfRangeError(f"`as_known` must have classes of the model's modules, but has {kind.__name__}")
    # Compared before anything is replaced, because a known module may share its attributes with the module.
    known = {
        module: _known(module, as_known[type(module)], name)
        for module, name in names.items()
        if type(module) in as_known
    }
    return replace_everywhere(twin, known, {module: names[module] or "model" for module in known})


def equals_of(
    model: torch.nn.Module, as_known: AsKnown
) -> dict[type[torch.nn.Module], Callable[[Any], torch.nn.Module]]:
    """The functions in `as_known`, after a comparison of each module with its equal.

    Args:
        model: it is not changed.
        as_known: as in `NoiseAware`.

    Raises:
        OutOfRangeError: as `as_known_layers`, or an equal is no linear layer or convolution.
    """
    as_known_layers(model, as_known)
    found: dict[type[torch.nn.Module], Equal] = {}
    for kind, target in as_known.items():
        if isinstance(target, type):
            if not issubclass(target, torch.nn.Linear | torch.nn.Conv2d):
                raise OutOfRangeError(
                    f"`as_known` of {kind.__name__} must be Linear, Conv2d or a function here, but is {target.__name__}"
                )
            continue
        equal = target(next(module for module in model.modules() if type(module) is kind))
        if not isinstance(equal, torch.nn.Linear | torch.nn.modules.conv._ConvNd):
            raise OutOfRangeError(
                f"`as_known` of {kind.__name__} must return a linear layer or a convolution here, but returns "
                f"{type(equal).__name__}"
            )
        found[kind] = target
    return found


def _known(
    module: torch.nn.Module, target: type[torch.nn.Module] | Callable[[Any], torch.nn.Module], name: str
) -> torch.nn.Module:
    """A module of a known class with the parameters, hooks and flags of `module`."""
    kind = type(module).__name__
    if isinstance(target, type):
        if not issubclass(type(module), target):
            raise OutOfRangeError(
                f"`as_known` must give {kind} a class that it inherits from, but gives {target.__name__}: give a "
                f"function of the {kind} that returns an equal {target.__name__}"
            )
        new: torch.nn.Module = torch.nn.Module.__new__(target)
        new.__dict__.update(module.__dict__)
        # Dictionaries of its own: those of the old module are emptied when it is replaced.
        new.__dict__.update(
            {part: copy.copy(module.__dict__[part]) for part in ("_parameters", "_buffers", "_modules")}
        )
    else:
        new = target(module)
        if not isinstance(new, torch.nn.Module):
            raise OutOfRangeError(f"`as_known` of {kind} must return a module, but returns {new!r}")
        new.train(module.training)
        for hooks in (*HOOKS, "_is_full_backward_hook"):
            new.__dict__[hooks] = module.__dict__[hooks]
    if differs(module, new):
        raise OutOfRangeError(
            f"`as_known` says that {kind} computes as {type(new).__name__} does, but {name or 'the model itself'!r} "
            "gives other numbers: give a function that returns an equal module of a known class, or name it in "
            "`digital`"
        )
    return new


def differs(module: torch.nn.Module, known: torch.nn.Module) -> bool:
    """True if the two give other outputs for a random input, or the first none. False if no input of it is known."""
    weight = next(iter(known.parameters()), None)
    if weight is None:
        return False
    for args in _inputs_of(known, weight):
        found = []
        for one in (known, module):
            with undisturbed(one, weight), torch.no_grad(), without_chance():
                try:
                    found.append(tree_leaves(one(*args)))
                except Exception:  # noqa: BLE001 - of any kind
                    # The known layer would run where the module does not. If both do not, there is nothing to compare.
                    if found:
                        return True
                    break
        if len(found) == 2 and not _are_equal(*found):
            return True
    return False


def _are_equal(theirs: list[Any], mine: list[Any]) -> bool:
    if len(mine) != len(theirs):
        return False
    for own, want in zip(mine, theirs, strict=True):
        if not isinstance(own, torch.Tensor) or not isinstance(want, torch.Tensor):
            if own is not want:
                return False
        elif own.shape != want.shape or not bool((own - want).abs().amax() <= _TOLERANCE * want.abs().amax()):
            return False
    return True


def _inputs_of(known: torch.nn.Module, weight: torch.Tensor) -> list[tuple[Any, ...]]:
    """Random arguments of a known layer, with and without those that may be left out."""
    chance = generator(0, "as_known", device=weight.device)

    def random(*shape: int) -> torch.Tensor:
        numbers = torch.randn(math.prod(shape), generator=chance, device=weight.device, dtype=torch.float32)
        return numbers.view(shape).to(weight.dtype)

    if isinstance(known, torch.nn.Linear):
        return [(random(3, known.in_features),)]
    if isinstance(known, torch.nn.modules.conv._ConvNd):
        reach = zip(known.kernel_size, known.dilation, known.stride, strict=True)
        return [(random(2, known.in_channels, *(d * (k - 1) + 2 + s for k, d, s in reach)),)]
    if isinstance(known, torch.nn.RNNBase):
        return _of_recurrent(known, random)
    if isinstance(known, torch.nn.RNNCellBase):
        x, h = random(3, known.input_size), random(3, known.hidden_size)
        return [(x,), (x, (h, h.flip(0))) if isinstance(known, torch.nn.LSTMCell) else (x, h)]
    if isinstance(known, torch.nn.MultiheadAttention):
        sizes = (known.embed_dim, known.kdim, known.vdim)
        query, key, value = (random(3, 3, size) for size in sizes)
        hidden = torch.ones(3, 3, dtype=torch.bool, device=weight.device).triu(1)
        return [(query, key, value), (query, key, value, None, False, hidden)]
    if isinstance(known, torch.nn.Bilinear):
        return [(random(3, known.in1_features), random(3, known.in2_features))]
    if isinstance(known, torch.nn.Embedding):
        return [(torch.arange(min(64, known.num_embeddings), device=weight.device).view(-1, 1),)]
    return []


def _of_recurrent(known: torch.nn.RNNBase, random: Callable[..., torch.Tensor]) -> list[tuple[Any, ...]]:
    """A sequence alone, and with a state."""
    n_layers = known.num_layers * (2 if known.bidirectional else 1)
    x = random(3, 3, known.input_size)  # as many samples as time steps: either may come first
    h = random(n_layers, 3, known.proj_size or known.hidden_size)
    state = (h, random(n_layers, 3, known.hidden_size)) if isinstance(known, torch.nn.LSTM) else h
    return [(x,), (x, state)]

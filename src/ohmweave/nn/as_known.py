"""Modules of other classes that compute as a known layer does: subclasses of it, and layers of other packages.

The forward function of a subclass may compute anything, so it is placed only on request. Then it is compared with the
known layer once, on a random input, before anything is placed.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from ohmweave.base import OutOfRangeError, generator
from ohmweave.nn.module_hooks import HOOKS
from ohmweave.nn.references import replace_everywhere
from ohmweave.nn.undisturbed import undisturbed

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
    shared = {id(one): one for one in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
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
    """True if the two give other outputs for a random input. False if no input is known, or the module takes none."""
    x = _input_of(known)
    if x is None:
        return False
    found = []
    for one in (module, known):
        with undisturbed(one, x), torch.no_grad():
            try:
                found.append(one(x))
            except Exception:  # noqa: BLE001 - the module may want further arguments
                return False
    mine, theirs = found
    if mine.shape != theirs.shape:
        return True
    return bool((mine - theirs).abs().max() > _TOLERANCE * theirs.abs().max())


def _input_of(known: torch.nn.Module) -> torch.Tensor | None:
    """A random input of a linear layer or a convolution."""
    if isinstance(known, torch.nn.Linear):
        shape: tuple[int, ...] = (3, known.in_features)
    elif isinstance(known, torch.nn.modules.conv._ConvNd):
        reach = zip(known.kernel_size, known.dilation, known.stride, strict=True)
        shape = (2, known.in_channels, *(d * (k - 1) + 2 + s for k, d, s in reach))
    else:
        return None
    weight = known.weight
    chance = generator(0, "as_known", device=weight.device)
    numbers = torch.randn(math.prod(shape), generator=chance, device=weight.device, dtype=torch.float32)
    return numbers.view(shape).to(weight.dtype)

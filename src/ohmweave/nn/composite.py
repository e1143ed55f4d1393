"""Layers of several matrices, taken apart into one layer for each matrix: recurrent layers and attention.

`deploy` and `NoiseAware` replace a module such as `torch.nn.LSTM` by a `CompositeLayer` that computes the same. Each of
its weights is in a `torch.nn.Linear` of its own, named as torch names the weight. These are then placed as all linear
layers are. A new kind is one new entry:

    TO_LAYERS = register_composite(ToLayers(module=torch.nn.GRUCell, build=GRUCell, parameters=...))
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from ohmweave.base import OutOfRangeError, check_fields, shown
from ohmweave.nn.copied import copied
from ohmweave.nn.hand_over import has_gradient_hooks
from ohmweave.nn.module_hooks import HOOKS
from ohmweave.nn.references import replace_everywhere


class CompositeLayer(torch.nn.Module):
    """A layer of torch with one `torch.nn.Linear`, or one layer on a chip, for each of its matrices.

    Attributes:
        digital_products: products of activations that no array computes, in words; empty if there are none.
    """

    digital_products = ""


class SequenceLayer(CompositeLayer):
    """A composite layer that couples the time steps of a sequence.

    Where its input has the chips merged into the time, `(chips * time, batch, in)`, `forward` cannot know it.
    `check_apart` finds out, and `chip_by_chip` then calls `with_chips_first` in place of `forward`.

    Attributes:
        batch_first: as in torch.
    """

    batch_first: bool

    def with_chips_first(self, n_chips: int, *args: Any, **kwargs: Any) -> Any:
        """As `forward`, of `(n_chips * time, batch, in)` or, without a batch, `(n_chips * time, in)`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ToLayers:
    """How modules of one type are taken apart.

    Attributes:
        module: the type. Subclasses of it have no entry, because they may compute anything.
        build: function of the module that returns the composite layer. The layer has the module's own parameters, not
            copies of them.
        parameters: function of the module that returns the names of all its parameters that `build` uses.
    """

    module: type[torch.nn.Module]
    build: Callable[[Any], CompositeLayer]
    parameters: Callable[[Any], Sequence[str]]

    def __post_init__(self) -> None:
        """Check the kinds of the fields."""
        check_fields(self)


_ENTRIES: dict[type[torch.nn.Module], ToLayers] = {}


def register_composite(entry: ToLayers) -> ToLayers:
    """Make `deploy` and `NoiseAware` take modules of the type `entry.module` apart.

    Raises:
        OutOfRangeError: the type has another entry already.
    """
    if not isinstance(entry, ToLayers):
        raise TypeError(f"`entry` must be a ToLayers, but is {shown(entry)}")
    if _ENTRIES.setdefault(entry.module, entry) is not entry:
        raise OutOfRangeError(f"`entry` must be of a type without an entry, but {entry.module.__name__} has one")
    return entry


def composite_types() -> list[str]:
    """Names of the types that are taken apart."""
    return [kind.__name__ for kind in _ENTRIES]


def linear_of(weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.nn.Linear:
    """A linear layer with these parameters, not copies: `weight` `(out, in)`, `bias` `(out,)`."""
    assert isinstance(weight, torch.nn.Parameter)  # tensors in torch's own annotations
    assert bias is None or isinstance(bias, torch.nn.Parameter)
    out_features, in_features = weight.shape
    layer = torch.nn.Linear(in_features, out_features, bias=bias is not None, device="meta")
    layer.weight = weight
    layer.bias = bias  # type: ignore[assignment]
    return layer


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenApart:
    """A model with its composite layers in the places of torch's.

    Attributes:
        original: the model as it was given.
        model: a copy with composite layers, which has the parameters and buffers of `original` themselves; `original`
            if no module was taken apart.
        modules: the modules of `original` that were taken apart, and their submodules, by name.
        refused: reasons why modules of a type with an entry were not taken apart, by name.
    """

    original: torch.nn.Module
    model: torch.nn.Module
    modules: Mapping[str, torch.nn.Module] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def in_original(self, placed: Sequence[str]) -> dict[str, torch.nn.Module]:
        """The modules of `original` that are replaced if the layers `placed` of `model` go on a chip, by name."""
        inside = tuple(f"{name}." if name else "" for name in self.modules)
        alone = [name for name in placed if not (inside and name.startswith(inside))]
        return {name: self.original.get_submodule(name) for name in alone} | dict(self.modules)


def take_apart(model: torch.nn.Module, digital: Sequence[str] = ()) -> TakenApart:
    """Replace all modules with an entry by composite layers, in a copy of the model that shares its parameters.

    Args:
        model: any model; it is not changed.
        digital: names of modules that stay as they are, with all that is inside them.
    """
    found, refused = _with_entries(model, digital)
    if not found:
        return TakenApart(original=model, model=model, refused=refused)
    shared: dict[int, object] = {id(one): one for one in (*model.parameters(), *model.buffers())}
    twin = copied(model, shared)
    copies = dict(zip(model.modules(), twin.modules(), strict=True))
    new = {copies[old]: built(copies[old], entry) for old, entry in found.values()}
    names = {copies[old]: name or "model" for name, (old, _) in found.items()}
    inside = {
        f"{name}.{part}".strip("."): module
        for name, (old, _) in found.items()
        for part, module in old.named_modules(remove_duplicate=False)
    }
    return TakenApart(original=model, model=replace_everywhere(twin, new, names), modules=inside, refused=refused)


@contextmanager
def apart_in_place(model: torch.nn.Module, parts: Mapping[str, CompositeLayer]) -> Iterator[torch.nn.Module]:
    """Within this block the modules named in `parts` are replaced by them in `model`.

    Args:
        model: the model, which is as before afterwards.
        parts: composite layers by name of the module, of `composites_of`.

    Yields:
        `model`, or its replacement if it is named itself.
    """
    with ExitStack() as undo:
        for name, part in parts.items():
            part.train(model.get_submodule(name).training)
            if name:
                parent, _, own = name.rpartition(".")
                holder = model.get_submodule(parent)._modules
                undo.callback(holder.__setitem__, own, holder[own])
                holder[own] = part
        yield parts.get("", model)


def composites_of(model: torch.nn.Module, digital: Sequence[str] = ()) -> dict[str, CompositeLayer]:
    """A composite layer for each module of `model` that can be taken apart, with its parameters, by name."""
    found, _ = _with_entries(model, digital)
    return {name: built(module, entry) for name, (module, entry) in found.items()}


def _with_entries(
    model: torch.nn.Module, digital: Sequence[str]
) -> tuple[dict[str, tuple[torch.nn.Module, ToLayers]], dict[str, str]]:
    """Modules to take apart, and reasons against others, by name."""
    found: dict[str, tuple[torch.nn.Module, ToLayers]] = {}
    refused: dict[str, str] = {}
    for name, module in model.named_modules():
        entry = _ENTRIES.get(type(module))
        if entry is None or any(name == skip or name.startswith(skip + ".") for skip in digital):
            continue
        reasons = reasons_to_keep(module, entry)
        if reasons:
            refused[name] = ", ".join(reasons)
        else:
            found[name] = (module, entry)
    return found, refused


def reasons_to_keep(module: torch.nn.Module, entry: ToLayers) -> list[str]:
    """Reasons why a module must stay one module; empty if it can be taken apart."""
    reasons = []
    if any("forward" in vars(one) for one in module.modules()):
        reasons.append("its forward function was replaced")
    own = dict(module.named_parameters())
    hooked = [name for name, one in own.items() if has_gradient_hooks(one)]
    if hooked:
        reasons.append(f"its {' and '.join(hooked)} has gradient hooks: register them after deployment")
    wanted = entry.parameters(module)
    missing = [name for name in wanted if name not in own]
    if missing:
        reasons.append(
            f"{', '.join(missing)} is no parameter of it (weight_norm, spectral_norm or pruning): make it permanent "
            "first, with torch.nn.utils.remove_weight_norm, remove_spectral_norm or prune.remove"
        )
    return reasons + [f"it has a parameter {name!r} of its own" for name in own if name not in wanted and not missing]


def built(old: torch.nn.Module, entry: ToLayers) -> CompositeLayer:
    """The composite layer, with hooks, buffers, training flag and the user's attributes of `old`."""
    new = entry.build(old)
    for name in (*HOOKS, "_is_full_backward_hook"):
        new.__dict__[name] = old.__dict__[name]
    for name, buffer in old._buffers.items():
        new.register_buffer(name, buffer, persistent=name not in old._non_persistent_buffers_set)
    for name, value in vars(old).items():
        if not name.startswith("_") and name not in new._modules and name not in new._parameters:
            new.__dict__.setdefault(name, value)
    return new.train(old.training)

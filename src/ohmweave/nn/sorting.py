"""What of a model goes on a chip, what stays digital, and what can do neither unless the caller says more."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch.nn.modules.lazy import LazyModuleMixin

from ohmweave.base import OutOfRangeError, UnplaceableLayerError
from ohmweave.nn.as_known import AsKnown, as_known_layers
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.composite import CompositeLayer, TakenApart, composite_types, take_apart
from ohmweave.nn.copied import check_plain
from ohmweave.nn.hand_over import reasons_against
from ohmweave.nn.layer_registry import ToChip, placeable_types, to_chip
from ohmweave.nn.on_chip import OnChip
from ohmweave.nn.references import is_same_layer, problems
from ohmweave.nn.replicas import Replicas, with_replicas

ALWAYS_DIGITAL = (
    torch.nn.modules.batchnorm._NormBase,
    torch.nn.LayerNorm,
    torch.nn.GroupNorm,
    torch.nn.RMSNorm,
    torch.nn.PReLU,
    CompositeLayer,  # its own parameters; those in the layers inside are placed
)
"""Layers with parameters but without a matrix: they stay digital and need not be named in `digital`."""


MOST_LISTED = 5
"""Layers that an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of the model that goes on the chip, with its registry entry and placement.

    Attributes:
        name: of the module.
        module: in software.
        entry: of its type in the registry.
        how: its placement.
        twins: other modules with the same parameters that compute the same; they become the same layer on the chip.
        of: the layer of which it is a replica, by name; "" for a layer without replicas.
        alone: True if its arrays must hold nothing else.
    """

    name: str
    module: torch.nn.Module
    entry: ToChip
    how: OnChip = field(default_factory=OnChip)
    twins: tuple[torch.nn.Module, ...] = ()
    of: str = ""
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Parameters that can neither be placed nor stay digital without a word of the caller.

    Attributes:
        name: of the module; "" for the model itself.
        kind: its class.
        why: the reason.
        digital: names for the argument `digital`.
        as_known: the classes for the argument `as_known`, `{MyLinear: Linear}`; "" if it does not help.
    """

    name: str
    kind: str
    why: str
    digital: tuple[str, ...]
    as_known: str = ""

    def __str__(self) -> str:
        """Module, class and reason."""
        return f"{self.name or 'the model itself'} ({self.kind}{': ' if self.why else ''}{self.why})"

    @property
    def remedy(self) -> str:
        """The argument of `deploy` that helps."""
        digital = f"`digital={self.digital!r}`" if self.digital else "deploy its layers instead"
        return f"`as_known={{{self.as_known}}}` or {digital}" if self.as_known else digital


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """The parts of a model.

    Attributes:
        model: the model with composite layers taken apart; the layers are modules of it.
        layers: that go on the chip, in the order of the model.
        digital: names of layers with parameters, and of parameters, that stay in software.
        refused: the rest.
        problems: reasons why the model would go on computing in software with a placed layer.
    """

    model: torch.nn.Module
    layers: tuple[Layer, ...]
    digital: tuple[str, ...]
    refused: tuple[Refusal, ...]
    problems: tuple[str, ...]

    def check(self) -> None:
        """Raise `UnplaceableLayerError` if the model cannot be deployed."""
        if self.refused:
            names = _patterns(dict.fromkeys(name for one in self.refused for name in one.digital), self.model)
            kinds = list(dict.fromkeys(one.as_known for one in self.refused if one.as_known))
            text = (
                f"these layers have parameters that cannot be put on a chip: {_first(map(str, self.refused), '; ')}. "
            )
            text += "Name them in `digital` to leave them as they are"
            text += f", `digital={names!r}`" if names else ""
            if kinds:
                text += f", or give `as_known={{{_first(kinds)}}}` if they compute as known layers do"
            if self.problems:  # all that a user has to change, in one error
                text += f". Besides, {'; '.join(self.problems)}"
            raise UnplaceableLayerError(f"{text}. `ow.plan(model, chip)` shows all layers")
        if not self.layers:
            known = ", ".join(sorted([*placeable_types(), *composite_types()]))
            raise UnplaceableLayerError(f"the model has no layer to put on a chip: none of {known}")
        if self.problems:
            raise UnplaceableLayerError(f"the model cannot be put on a chip as it is: {'; '.join(self.problems)}")


def _patterns(names: Collection[str], model: torch.nn.Module) -> tuple[str, ...]:
    """Few names for `digital` that name these parameters and modules and no others; () if there are none.

    Many names are shown as patterns of their last two parts, such as "*.layer_norm.weight".
    """
    if len(names) <= MOST_LISTED:
        return tuple(names)
    others = {name for name, _ in (*model.named_modules(), *model.named_parameters(remove_duplicate=False))}
    others -= set(names)
    found = tuple(dict.fromkeys(f"*.{'.'.join(name.split('.')[-2:])}" for name in names))
    covered = all(any(fnmatch.fnmatchcase(name, one) for one in found) for name in names)
    if len(found) > 2 * MOST_LISTED or not covered or any(fnmatch.filter(others, one) for one in found):
        return ()
    return found


def _first(texts: Iterable[str], comma: str = ", ") -> str:
    """The first of these texts, and how many more there are."""
    all_of_them = list(texts)
    left = len(all_of_them) - MOST_LISTED
    return comma.join(all_of_them[:MOST_LISTED]) + (f"{comma}and {left} more" if left > 0 else "")


def sort_layers(
    model: torch.nn.Module,
    *,
    layers: Mapping[str, OnChip],
    digital: Sequence[str],
    as_known: AsKnown,
    default: OnChip,
    replicas: Mapping[str, int] | None = None,
) -> Sorted:
    """Sort the parts of a model, as `deploy` and `plan` do.

    Args:
        model: it is not changed.
        layers: as in `deploy`.
        digital: as in `deploy`.
        as_known: as in `deploy`.
        default: placement of layers that are not in `layers`.
        replicas: number of copies by name of a layer; None: one of each.

    Raises:
        OutOfRangeError: an argument names what the model does not have.
    """
    check_plain(model)
    known = as_known_layers(model, as_known)
    inside = {name for name, _ in take_apart(known).model.named_modules() if name}
    modules, parameters = _named(known, inside, (digital,) if isinstance(digital, str) else digital)
    apart = with_replicas(take_apart(known, modules), replicas or {}, digital=modules)
    _check_names("layers", layers, {name for name, _ in apart.model.named_modules() if name})
    found = list(_sorted(apart, modules, parameters, layers))
    placed = [one for one in found if isinstance(one, Layer)]
    on_chip = [layer.name for layer in placed]
    for name in layers:
        if name not in on_chip and not any(one.startswith(f"{name}.") for one in on_chip):
            raise OutOfRangeError(f"`layers` must name layers that go on the chip, {on_chip}, but has {name!r}")
    given = replace(apart, original=model, modules={name: model.get_submodule(name) for name in apart.modules})
    return Sorted(
        model=apart.model,
        layers=tuple(
            replace(one, how=_how(one.name, layers).over(default), of=_replicated(apart.model, one.name))
            for one in _untied(placed)
        ),
        digital=tuple(one for one in found if isinstance(one, str)),
        refused=tuple(one for one in found if isinstance(one, Refusal)),
        problems=tuple(problems(model, given.in_original(on_chip))),
    )


def _check_names(argument: str, given: Collection[str], names: Collection[str]) -> None:
    for name in given:
        if name not in names:
            raise OutOfRangeError(f"`{argument}` must name layers of the model, {sorted(names)}, but has {name!r}")


def _named(model: torch.nn.Module, inside: Collection[str], digital: Sequence[str]) -> tuple[list[str], set[str]]:
    """Modules and parameters that `digital` names, also by patterns such as "*.gamma".

    A matrix of a layer of several matrices is a module here: `inside` has the names of all modules once such layers are
    taken apart.

    Raises:
        OutOfRangeError: a name is of neither, or of a parameter of a layer that goes on the chip as a whole.
    """
    names = {name for name, _ in model.named_modules() if name} | set(inside)
    raw = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    modules: list[str] = []
    parameters: set[str] = set()
    for pattern in digital:
        of_modules = [name for name in names if name == pattern or fnmatch.fnmatchcase(name, pattern)]
        of_parameters = [name for name in raw - names if name == pattern or fnmatch.fnmatchcase(name, pattern)]
        if not of_modules and not of_parameters:
            raise OutOfRangeError(
                f"`digital` must name layers of the model, {sorted(names)}, or parameters of modules that are no "
                f"layers, but has {pattern!r}"
            )
        modules += of_modules
        for name in of_parameters:
            owner = name.rpartition(".")[0]
            if to_chip(model.get_submodule(owner)) is not None and owner not in of_modules:
                raise OutOfRangeError(
                    f"`digital` must name the layer {owner!r} as a whole, but has its parameter {name!r} alone"
                )
            parameters.add(name)
    return modules, parameters


def _sorted(
    apart: TakenApart, digital: Collection[str], parameters: Collection[str], asked: Collection[str]
) -> Iterator[Layer | Refusal | str]:
    """Layers to place, refusals, and names of what stays digital, in the order of the model."""
    inside: list[str] = []  # quantised layers, whose parts are not named
    for name, module in apart.model.named_modules():
        own = [f"{name}.{one}".removeprefix(".") for one, _ in module.named_parameters(recurse=False)]
        entry, kind = to_chip(module), type(module).__name__
        if _is_inside(name, digital):
            yield from [name] if own else []
        elif (why := _never(module, own)) is not None and not _is_inside(name, inside):
            inside += [name] if _is_quantised(module) else []
            yield Refusal(name=name, kind=kind, why=why, digital=(name,) if name else tuple(own))
        elif entry is not None and (entry.unasked or name in asked):
            if reasons := reasons_against(module, entry):
                yield Refusal(name=name, kind=kind, why=", ".join(reasons), digital=(name,) if name else ())
            yield Layer(name=name, module=module, entry=entry)
        elif isinstance(module, ALWAYS_DIGITAL) or entry is not None:
            yield from [name] if own else []
        elif own:
            yield from (one for one in own if one in parameters)
            left = [one for one in own if one not in parameters]
            if left:
                yield _refusal(name, module, left, apart.refused.get(name, ""))


def _is_inside(name: str, modules: Collection[str]) -> bool:
    """True for one of these modules, and for what is inside them."""
    return any(name == one or name.startswith(f"{one}.") for one in modules)


def _never(module: torch.nn.Module, own: Sequence[str]) -> str | None:
    """Why a module cannot be placed in the state that it is in, or None."""
    if isinstance(module, ChipLayer):
        return "it is on a chip already"
    if own and isinstance(module, LazyModuleMixin):  # of a usual class as soon as its sizes are known
        return "its sizes are not known before the first call: call the model once before it is deployed"
    if _is_quantised(module):
        return (
            "it is quantised: deploy the model before, and choose the levels of its cells by `mapping`, such as "
            "DifferentialPair(levels=15)"
        )
    return None


def _is_quantised(module: torch.nn.Module) -> bool:
    """True for a quantised layer of torch, which has its weight packed and no parameters."""
    return type(module).__module__.startswith(("torch.ao.nn.quantized.", "torch.ao.nn.intrinsic.quantized."))


def _refusal(name: str, module: torch.nn.Module, own: Sequence[str], why: str) -> Refusal:
    """Why a module with the parameters `own` cannot be placed, and what helps."""
    kind, digital, as_known = type(module), (name,) if name else tuple(own), ""
    known = [base for base in kind.__mro__[1:] if base.__name__ in [*placeable_types(), *composite_types()]]
    if not why and torch.nn.utils.parametrize.is_parametrized(module):
        why = "its weight is parametrized: make it permanent, with torch.nn.utils.parametrize.remove_parametrizations"
    elif not why and known and known[0].__module__.startswith("torch."):
        why = f"a subclass of {known[0].__name__}, whose forward may compute something else"
        as_known = f"{kind.__name__}: torch.nn.{known[0].__name__}"
    elif not why and not kind.__module__.startswith("torch.nn.modules."):
        one = len(own) == 1
        why = f"{', '.join(own)} {'is a parameter' if one else 'are parameters'} of no layer that is known"
        # The module may have layers inside, which go on the chip if only its own parameters are named.
        digital = tuple(own)
        if not any(True for _ in module.children()) and any(p.dim() > 1 for p in module.parameters()):
            as_known = f"{kind.__name__}: function that returns an equal torch.nn.Linear"
    elif not why:
        why = "no layer on a chip computes it"
    return Refusal(name=name, kind=kind.__name__, why=why, digital=digital, as_known=as_known)


def _untied(placed: Sequence[Layer]) -> Iterator[Layer]:
    """The layers, each once: modules that share their parameters and compute the same become one layer."""
    left = list(placed)
    while left:
        first, *others = left
        same = [one for one in others if is_same_layer(first.module, one.module)]
        left = [one for one in others if one not in same]
        yield replace(first, twins=tuple(one.module for one in same))


def _replicated(model: torch.nn.Module, name: str) -> str:
    """The layer of which the layer `name` is a replica, or ""."""
    of = name.rpartition(".")[0]
    return of if of and isinstance(model.get_submodule(of), Replicas) else ""


def _how(name: str, layers: Mapping[str, OnChip]) -> OnChip:
    """What `layers` says of the layer `name`, or of the modules around it, such as an LSTM around its matrices."""
    how = layers.get(name, OnChip())
    while name:
        name = name.rpartition(".")[0]
        how = how.over(layers.get(name, OnChip()))
    return how

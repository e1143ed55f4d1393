"""`deploy`: any torch model's layers on a chip, per layer as asked; nothing is skipped silently."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ohmweave.base import OhmweaveError, OutOfRangeError, UnplaceableLayerError
from ohmweave.mapping import Chip, Corner, DifferentialPair, InputScaling, Matrix, PerSampleScaling, WeightMapping
from ohmweave.nn.conv import Conv2d
from ohmweave.nn.linear import Linear
from ohmweave.nn.lstm import LSTMCell
from ohmweave.nn.product import fold_chips, unfold_chips
from ohmweave.nn.weight import ArrayWeight, matrix_of
from ohmweave.programming import Write, WriteReport


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChip:
    """How one layer goes on the chip; None takes what `deploy` was given for all layers.

    Attributes:
        mapping, tile_rows, arrays, corners: as in `Matrix`.
        scaling: makes the layer's own input scaling, such as `FixedScaling`.
        write: how its cells are written; None here and in `deploy` leaves them as they are.
    """

    mapping: WeightMapping | None = None
    scaling: Callable[[], InputScaling] | None = None
    tile_rows: int | None = None
    arrays: Sequence[int] | None = None
    corners: Sequence[Corner] | None = None
    write: Write | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """A layer of the model, with what was decided for it."""

    name: str
    module: torch.nn.Module
    how: OnChip = field(default_factory=OnChip)


class Deployed(torch.nn.Module):
    """A model whose layers stand on a chip: takes one batch, returns `(*chips, batch, ...)`.

    Attributes of the model (`net.fc`) are reached as before.

    Attributes:
        chip: the chip.
        reports: the bill of writing each layer.
        on_chip, digital: names of the layers on the chip, and of those with parameters that stayed digital.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        chip: Chip,
        reports: Mapping[str, WriteReport],
        on_chip: Sequence[str],
        digital: Sequence[str],
    ) -> None:
        super().__init__()
        self.model = model
        self.chip = chip
        self.reports = dict(reports)
        self.on_chip = tuple(on_chip)
        self.digital = tuple(digital)

    def __getattr__(self, name: str) -> Any:
        """Names that the wrapper does not know are the model's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """`(batch, ...)`, the same for all chips, to `(*chips, batch, ...)`; other arguments go to the model."""
        chips = self.chip.chip_shape
        y: torch.Tensor = self.model(fold_chips(x.expand(*chips, *x.shape), chips), *args, **kwargs)
        return unfold_chips(y, chips)

    def matrix(self, name: str) -> Matrix:
        """The cells of the layer `name`.

        Raises:
            OutOfRangeError: no layer of that name is on the chip.
        """
        found = matrix_of(self.weights[name]) if name in self.on_chip else None
        if found is None:
            raise OutOfRangeError(f"`name` must be one of {list(self.on_chip)}, but is {name!r}")
        return found

    @property
    def weights(self) -> dict[str, ArrayWeight]:
        """The weights on the chip, by layer."""
        found = {name: self.model.get_submodule(name).weight for name in self.on_chip}
        return {name: weight for name, weight in found.items() if isinstance(weight, ArrayWeight)}

    def refresh(self) -> None:
        """Read all weights out again, after time has passed, say."""
        for weight in self.weights.values():
            weight.refresh()


_PLACEABLE = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.LSTMCell)

_HARMLESS = (torch.nn.modules.batchnorm._NormBase, torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.PReLU)
"""Layers with parameters that are digital by nature: they are listed, but need no permission."""


def deploy(
    model: torch.nn.Module,
    chip: Chip,
    *,
    write: Write | None,
    mapping: WeightMapping | None = None,
    scaling: Callable[[], InputScaling] = PerSampleScaling,
    layers: Mapping[str, OnChip] | None = None,
    digital: Sequence[str] = (),
) -> Deployed:
    """Put every `torch.nn.Linear`, `Conv2d` and `LSTMCell` of a model on a chip, and write their weights.

    Args:
        model: any model; it is copied, not changed.
        chip: where the weights go, in the order in which the model lists its layers.
        write: how cells are written, `WriteVerify(...)` say. None writes nothing: the model gives the shape alone,
            its weights are what the cells happen to be, and learning starts there; the mapping must then have a
            scale of its own, `g_unit`.
        mapping: weights to conductances, for all layers; None is an analogue differential pair.
        scaling: makes the input scaling of a layer.
        layers: what is different for single layers, by name.
        digital: names of layers that stay as they are.

    Raises:
        UnplaceableLayerError: a layer has parameters, cannot be placed, and is not in `digital`; all are named.
        OutOfRangeError: `layers` or `digital` names a layer that the model does not have, `layers` one that does not
            go on the chip, or a layer that is not to be written has no `g_unit`.
        ChipFullError: a layer finds no room.

    After an error nothing is placed, and no cell is written.
    """
    layers = layers or {}
    names = {name for name, _ in model.named_modules() if name}
    for argument, given in (("layers", layers), ("digital", digital)):
        for name in given:
            if name not in names:
                raise OutOfRangeError(f"`{argument}` must name layers of the model, {sorted(names)}, but has {name!r}")
    placeable, left = _sort(model, layers, digital)
    on_chip = [layer.name for layer in placeable]
    for name in layers:
        if name not in on_chip:
            raise OutOfRangeError(f"`layers` must name layers that go on the chip, {on_chip}, but has {name!r}")
    default = OnChip(mapping=mapping or DifferentialPair(), scaling=scaling, write=write)
    twin = copy.deepcopy(model).requires_grad_(True)
    placeable = [replace(layer, how=_merge(layer.how, default)) for layer in placeable]
    placed = _place_all(placeable, chip)
    reports = {
        layer.name: placed[layer.module].program(_weight_of(layer.module), layer.how.write)
        for layer in placeable
        if layer.how.write is not None
    }
    for name, module in model.named_modules(remove_duplicate=False):  # a layer may have several names
        if module in placed:
            twin = _put(twin, name, placed[module])
    return Deployed(twin, chip, reports, on_chip, left)


def _sort(
    model: torch.nn.Module, layers: Mapping[str, OnChip], digital: Sequence[str]
) -> tuple[list[_Layer], list[str]]:
    """Layers to place, and names of those with parameters that stay digital; raises for what is neither."""
    placeable, left, refused = [], [], []
    for name, module in model.named_modules():
        own = any(True for _ in module.parameters(recurse=False))
        if any(name == skip or name.startswith(skip + ".") for skip in digital):
            left += [name] if own else []
        elif _can_be_placed(module):
            placeable.append(_Layer(name=name, module=module, how=layers.get(name, OnChip())))
        elif isinstance(module, _HARMLESS):
            left += [name] if own else []
        elif own:
            refused.append(f"{name or 'the model itself'} ({type(module).__name__})")
    if refused:
        raise UnplaceableLayerError(
            f"these layers have parameters that cannot be put on a chip: {', '.join(refused)}; "
            "name them in `digital` to leave them as they are"
        )
    if not placeable:
        names = ", ".join(kind.__name__ for kind in _PLACEABLE)
        raise UnplaceableLayerError(f"the model has no layer to put on a chip: none of {names}")
    return placeable, left


def _can_be_placed(module: torch.nn.Module) -> bool:
    """Exactly torch's own layers: a subclass may do anything."""
    if type(module) is torch.nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros"
    return type(module) in _PLACEABLE


def _merge(how: OnChip, default: OnChip) -> OnChip:
    chosen = {name: getattr(how, name) for name in OnChip.__dataclass_fields__}
    return OnChip(**{name: getattr(default, name) if value is None else value for name, value in chosen.items()})


def _weight_of(module: torch.nn.Module) -> torch.Tensor:
    """The matrix that the layer on the chip is to hold."""
    if isinstance(module, torch.nn.LSTMCell):
        return torch.cat([module.weight_ih, module.weight_hh], dim=1).detach()
    assert isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    return module.weight.detach()


def _bias_of(module: torch.nn.Module) -> torch.Tensor | None:
    if isinstance(module, torch.nn.LSTMCell):
        return (module.bias_ih + module.bias_hh).detach() if module.bias else None
    assert isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    return None if module.bias is None else module.bias.detach()


def _place_all(layers: Sequence[_Layer], chip: Chip) -> dict[torch.nn.Module, Linear | Conv2d | LSTMCell]:
    """Room for all layers, by the module that each stands for, or for none."""
    placed: dict[torch.nn.Module, Linear | Conv2d | LSTMCell] = {}
    try:
        for layer in layers:
            placed[layer.module] = _place(layer, chip)
            if layer.how.write is None and placed[layer.module].matrix.mapping.g_unit is None:
                raise OutOfRangeError(
                    f"`write` must be given, or the mapping of {layer.name} have `g_unit`, but is None"
                )
    except OhmweaveError:
        for one in placed.values():
            chip.remove(one.matrix.name)
        raise
    return placed


def _place(layer: _Layer, chip: Chip) -> Linear | Conv2d | LSTMCell:
    module, how = layer.module, layer.how
    bias = _bias_of(module)
    assert how.scaling is not None
    common: dict[str, Any] = {
        "chip": chip,
        "name": layer.name or "model",
        "mapping": how.mapping,
        "scaling": how.scaling(),
        "tile_rows": how.tile_rows,
        "arrays": how.arrays,
        "corners": how.corners,
        "bias": bias is not None,
    }
    placed: Linear | Conv2d | LSTMCell
    if isinstance(module, torch.nn.Linear):
        placed = Linear(module.in_features, module.out_features, **common)
    elif isinstance(module, torch.nn.LSTMCell):
        placed = LSTMCell(module.input_size, module.hidden_size, **common)
    else:
        assert isinstance(module, torch.nn.Conv2d)
        placed = Conv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,  # type: ignore[arg-type]
            module.stride,  # type: ignore[arg-type]
            module.padding,  # type: ignore[arg-type]
            module.dilation,  # type: ignore[arg-type]
            **common,
        )
    if bias is not None and placed.bias is not None:
        placed.bias.data.copy_(bias.expand_as(placed.bias))
    return placed


def _put(model: torch.nn.Module, name: str, layer: torch.nn.Module) -> torch.nn.Module:
    """`model` with `layer` under `name`; without a name, the layer is the model."""
    if not name:
        return layer
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, layer)
    return model

"""`deploy`: put the layers of a torch model on a chip; layers that cannot be placed are refused by name."""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ohmweave.base import DeployError, DeployInterrupted, OutOfRangeError, UnplaceableLayerError, shown
from ohmweave.mapping import Chip, DifferentialPair, InputScaling, PerSampleScaling, WeightMapping
from ohmweave.nn.chip_batch_norm import normalise_chip_by_chip
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.deployed import Deployed
from ohmweave.nn.hand_over import hand_over, hand_over_gradient_hooks, reasons_against
from ohmweave.nn.layer_registry import ToChip, placeable_types, to_chip
from ohmweave.nn.modes import outside_autocast, outside_inference_mode
from ohmweave.nn.on_chip import OnChip
from ohmweave.nn.references import problems, replace_everywhere
from ohmweave.programming import (
    Write,
    WriteInterrupted,
    WriteReport,
    WriteStoppedError,
    defer_settling,
    warn_if_many_failed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """A layer of the model that goes on the chip, with its registry entry and placement."""

    name: str
    module: torch.nn.Module
    entry: ToChip
    how: OnChip = field(default_factory=OnChip)


_ALWAYS_DIGITAL = (torch.nn.modules.batchnorm._NormBase, torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.PReLU)
"""Layers with parameters but without a matrix: they stay digital and need not be named in `digital`."""

_INSTEAD: dict[type[torch.nn.Module], str] = {
    torch.nn.LSTM: ": it computes all time steps at once; use torch.nn.LSTMCell and call it once in each time step",
}
"""What to use in place of a type that cannot be placed, for the error."""


def deploy(
    model: torch.nn.Module,
    chip: Chip,
    *,
    write: Write | None,
    mapping: WeightMapping | None = None,
    scaling: InputScaling | Callable[[], InputScaling] = PerSampleScaling,
    layers: Mapping[str, OnChip] | None = None,
    digital: Sequence[str] = (),
    name: str | None = None,
) -> Deployed:
    """Put every layer of a model that has an entry in the registry on a chip, and write its weights.

    These layers are `torch.nn.Linear`, `Conv2d`, `LSTMCell` and those of installed packages. Hooks, buffers,
    attributes, frozen parameters and training flags are kept. A write that waits (`t_settle`) does not wait after every
    layer: when all cells are written, the chip waits once, for the longest of the layers' waits. The reports are of the
    verify reads before that wait. Finally the weights are read out once.

    Args:
        model: any model; it is copied, not changed.
        chip: the chip; layers are placed on it in the order of the model.
        write: write scheme, for instance `WriteVerify(...)`. None writes nothing: the model gives only the shapes, its
            weights are those of the cells as they are, and training starts there. The mapping must then have a scale
            of its own, `g_unit`.
        mapping: weights to conductances, for all layers; None is an analogue differential pair.
        scaling: input scaling of a layer, as in `OnChip`.
        layers: other choices for single layers, by name.
        digital: names of layers that stay in software.
        name: prefix of the names of the placements, `name.layer`, so that one chip can hold several models.

    Returns:
        The network: input `(batch, ...)`, output `(*chips, batch, ...)`.

    Raises:
        UnplaceableLayerError: a layer has parameters, cannot be placed, and is not in `digital`; or a part of the
            model would still use a placed layer in software. All are named, with the reasons.
        OutOfRangeError: `layers` or `digital` names a layer that the model does not have, `layers` one that does not
            go on the chip, a placement of that name is on the chip, a weight is NaN or infinite, the mapping does
            not fit the cells, or a layer that is not to be written has no `g_unit`.
        ChipFullError: the chip has no room for a layer.
        DeployError, DeployInterrupted: the array failed, or Ctrl-C was pressed, while cells were written; `reports`
            has the writes until then.

    After an error nothing is placed. Before any error but the last two no pulse is sent.
    """
    _check_arguments(model, chip, layers, digital, name)
    default = OnChip(mapping=DifferentialPair() if mapping is None else mapping, scaling=scaling, write=write)
    plan, left = _plan(model, layers or {}, digital, default)
    with outside_inference_mode(), outside_autocast(chip.array.device.type):
        twin, reports = _on_chip(model, chip, plan, "" if name is None else f"{name}.")
    return Deployed(twin, chip, reports, [layer.name for layer in plan], left)


def _check_arguments(model: object, chip: object, layers: object, digital: object, name: object) -> None:
    """Raise `TypeError` where an argument of `deploy` is of another kind."""
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"`model` must be a torch.nn.Module, but is {shown(model)}")
    if not isinstance(chip, Chip):
        raise TypeError(f"`chip` must be a Chip, but is {shown(chip)}")
    if layers is not None and not (
        isinstance(layers, Mapping) and all(isinstance(one, OnChip) for one in layers.values())
    ):
        raise TypeError(f"`layers` must be OnChip by the name of a layer, but is {shown(layers)}")
    if isinstance(digital, str) or not isinstance(digital, Collection):
        raise TypeError(f"`digital` must be names of layers, but is {shown(digital)}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"`name` must be text or None, but is {shown(name)}")


def _on_chip(
    model: torch.nn.Module, chip: Chip, plan: Sequence[_Layer], prefix: str
) -> tuple[torch.nn.Module, dict[str, WriteReport]]:
    """A copy of `model` with its layers on the chip, and the reports of their writes; all or nothing."""
    for layer in plan:  # before cells are placed and read
        _check_alone(layer)
    twin = copy.deepcopy(model)
    hand_over_gradient_hooks(model, twin)
    shells = _place_all(plan, chip, prefix)
    try:
        for layer, shell in zip(plan, shells, strict=True):
            _check(layer, shell)
        reports = _write_all(plan, shells, chip)
        warn_if_many_failed(reports)
        twin = _assembled(model, twin, plan, shells)
    except BaseException:
        for shell in shells:
            chip.remove(shell.matrix.name)
        raise
    if chip.chip_shape:
        normalise_chip_by_chip(twin, chip.chip_shape[0])
    return twin, reports


def _plan(
    model: torch.nn.Module, layers: Mapping[str, OnChip], digital: Sequence[str], default: OnChip
) -> tuple[list[_Layer], list[str]]:
    """Layers to place, with their placements, and names of layers with parameters that stay digital."""
    names = {name for name, _ in model.named_modules() if name}
    for argument, given in (("layers", layers), ("digital", digital)):
        for name in given:
            if name not in names:
                raise OutOfRangeError(f"`{argument}` must name layers of the model, {sorted(names)}, but has {name!r}")
    placeable, left = _sort(model, digital)
    on_chip = [layer.name for layer in placeable]
    for name in layers:
        if name not in on_chip:
            raise OutOfRangeError(f"`layers` must name layers that go on the chip, {on_chip}, but has {name!r}")
    found = problems(model, {layer.name: layer.module for layer in placeable})
    if found:
        raise UnplaceableLayerError(f"the model cannot be put on a chip as it is: {'; '.join(found)}")
    return [replace(layer, how=layers.get(layer.name, OnChip()).over(default)) for layer in placeable], left


def _sort(model: torch.nn.Module, digital: Sequence[str]) -> tuple[list[_Layer], list[str]]:
    """Layers to place, and names of layers with parameters that stay digital; raises if a layer is neither."""
    placeable, left, refused = [], [], []
    for name, module in model.named_modules():
        own = any(True for _ in module.parameters(recurse=False))
        entry = to_chip(module)
        if any(name == skip or name.startswith(skip + ".") for skip in digital):
            left += [name] if own else []
        elif isinstance(module, ChipLayer):
            refused.append(f"{name or 'the model itself'} ({type(module).__name__}: it is on a chip already)")
        elif entry is not None:
            reasons = reasons_against(module, entry)
            if reasons:
                refused.append(f"{name or 'the model itself'} ({type(module).__name__}: {', '.join(reasons)})")
            placeable.append(_Layer(name=name, module=module, entry=entry))
        elif isinstance(module, _ALWAYS_DIGITAL):
            left += [name] if own else []
        elif own:
            refused.append(f"{name or 'the model itself'} ({type(module).__name__}{_INSTEAD.get(type(module), '')})")
    if refused:
        raise UnplaceableLayerError(
            f"these layers have parameters that cannot be put on a chip: {', '.join(refused)}; "
            "name them in `digital` to leave them as they are, or build the model from layers that can be placed: "
            f"{', '.join(placeable_types())}"
        )
    if not placeable:
        raise UnplaceableLayerError(f"the model has no layer to put on a chip: none of {', '.join(placeable_types())}")
    return placeable, left


def _place_all(plan: Sequence[_Layer], chip: Chip, prefix: str) -> list[ChipLayer]:
    """Place all layers, or none if there is an error."""
    shells: list[ChipLayer] = []
    try:
        for layer in plan:
            shell = layer.entry.build(layer.module, chip, prefix + (layer.name or "model"), layer.how)
            shells.append(shell)
    except BaseException:
        for shell in shells:
            chip.remove(shell.matrix.name)
        raise
    return shells


def _check_alone(layer: _Layer) -> None:
    """Raise `OutOfRangeError` if a weight or bias is NaN or infinite, or a layer has no scale."""
    mapping = layer.how.mapping
    if layer.how.write is None and mapping is not None and mapping.g_unit is None:
        raise OutOfRangeError(f"`write` must be given, or the mapping of {layer.name!r} have `g_unit`, but is None")
    parts = {"weight": layer.entry.weight(layer.module), "bias": layer.entry.bias(layer.module)}
    for what, part in parts.items():
        n_bad = 0 if part is None else int((~torch.isfinite(part.detach())).sum())
        if n_bad:
            raise OutOfRangeError(f"`{what}` of {layer.name!r} must be finite, but {n_bad} entries are NaN or infinite")


def _check(layer: _Layer, shell: ChipLayer) -> None:
    """Raise before any pulse if the layer cannot be written."""
    weight = layer.entry.weight(layer.module).detach()
    shell.matrix.check(weight.reshape(shell.matrix.shape))


def _write_all(plan: Sequence[_Layer], shells: Sequence[ChipLayer], chip: Chip) -> dict[str, WriteReport]:
    """Write layer after layer, wait once, and read the weights out."""
    reports: dict[str, WriteReport] = {}
    longest, current = 0.0, ""
    try:
        for layer, shell in zip(plan, shells, strict=True):
            if layer.how.write is None:
                continue
            current = layer.name
            write, wait = defer_settling(layer.how.write)
            longest = max(longest, wait)
            reports[current] = shell.program(layer.entry.weight(layer.module).detach(), write)
        if longest > 0:
            chip.wait(longest)
        for layer, shell in zip(plan, shells, strict=True):
            if layer.how.write is not None:
                shell.weight.refresh()
    except (WriteStoppedError, WriteInterrupted) as stopped:
        reports[current] = stopped.report
        _stop(stopped, current, reports)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a driver may raise anything; `_stop` raises it again
        _stop(error, current, reports)
    return reports


def _stop(error: BaseException, layer: str, reports: Mapping[str, WriteReport]) -> None:
    """Raise `DeployInterrupted` for Ctrl-C and `DeployError` for anything else, with the reports."""
    done = f"while {layer!r} was written; nothing stays placed, `reports` of this error holds what was done"
    if isinstance(error, KeyboardInterrupt):
        raise DeployInterrupted(f"`deploy` was interrupted {done}", reports) from error
    raise DeployError(f"`deploy` failed {done}: {error}", reports) from error


def _assembled(
    model: torch.nn.Module, twin: torch.nn.Module, plan: Sequence[_Layer], shells: Sequence[ChipLayer]
) -> torch.nn.Module:
    """The copy `twin` of `model` with the layers on the chip in their places."""
    # `modules` lists a model and its copy in the same order.
    copies = dict(zip(model.modules(), twin.modules(), strict=True))
    for layer, shell in zip(plan, shells, strict=True):
        hand_over(copies[layer.module], shell, layer.entry)
    return replace_everywhere(twin, {copies[layer.module]: shell for layer, shell in zip(plan, shells, strict=True)})

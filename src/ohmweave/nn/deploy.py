"""`deploy`: put the layers of a torch model on a chip; layers that cannot be placed are refused by name."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import torch

from ohmweave.arrays.converters.signs import check_sign_pair
from ohmweave.base import DeployError, DeployInterrupted, OhmweaveError, OutOfRangeError, shown
from ohmweave.mapping import Chip, DifferentialPair, InputScaling, PerSampleScaling, WeightMapping
from ohmweave.mapping.unread import unread_copy
from ohmweave.nn.apart_arrays import holders, how_apart
from ohmweave.nn.as_known import AsKnown
from ohmweave.nn.balanced import Balanced, with_balance
from ohmweave.nn.chip_batch_norm import normalise_chip_by_chip
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.copied import copied
from ohmweave.nn.deployed import Deployed
from ohmweave.nn.hand_over import hand_over, hand_over_gradient_hooks
from ohmweave.nn.modes import outside_autocast, outside_inference_mode
from ohmweave.nn.on_chip import OnChip
from ohmweave.nn.references import replace_everywhere
from ohmweave.nn.sorting import Layer, sort_layers
from ohmweave.programming import (
    CheckedWrite,
    Write,
    WriteInterrupted,
    WriteReport,
    WriteStoppedError,
    defer_settling,
    warn_if_many_failed,
)

_WriteAll: TypeAlias = Callable[[Sequence[Layer], Sequence[ChipLayer], Chip], dict[str, WriteReport]]


def deploy(
    model: torch.nn.Module,
    chip: Chip,
    *,
    write: Write | None,
    mapping: WeightMapping | None = None,
    scaling: InputScaling | Callable[[], InputScaling] = PerSampleScaling,
    layers: Mapping[str, OnChip] | None = None,
    digital: Sequence[str] = (),
    as_known: AsKnown | None = None,
    replicas: Mapping[str, int] | Balanced | None = None,
    name: str | None = None,
) -> Deployed:
    """Put every layer of a model that has an entry in the registry on a chip, and write its weights.

    These layers are torch's linear layers, convolutions, recurrent layers and attention, and those of installed
    packages. Hooks, buffers, attributes, frozen parameters and training flags are kept. `plan` shows what would go
    where. A write that waits (`t_settle`) does not wait after every layer: when all cells are written, the chip waits
    once, for the longest of the layers' waits. The reports are of the verify reads before that wait. Finally the
    weights are read out once.

    Args:
        model: any model; it is copied, not changed.
        chip: the chip; layers are placed on it in the order of the model.
        write: write scheme, for instance `WriteVerify(...)`. None writes nothing: the model gives only the shapes, its
            weights are those of the cells as they are, and training starts there. The mapping must then have a scale
            of its own, `g_unit`.
        mapping: weights to conductances, for all layers; None is an analogue differential pair.
        scaling: input scaling of a layer, as in `OnChip`.
        layers: other choices for single layers, by name.
        digital: names of layers that stay in software, with all that is inside them, and of parameters that belong to
            no layer, such as a class token; also patterns, `"*.gamma"`.
        as_known: classes of modules that compute as a known layer does: `{MyLinear: torch.nn.Linear}` for a subclass of
            it, or a function of such a module that returns an equal module of a known class. A linear layer or
            convolution is compared with it on a random input.
        replicas: copies of single layers, by name, each on cells and arrays of its own, that share the work: the rows
            of a convolution's output are divided among them, the samples of a linear layer go to them in turn. They
            become layers of their own, `name.0`, `name.1`, ..., which are written, read, billed and trained one by one.
            `Balanced(x)` makes the slowest layers as fast as the arrays of the chip allow.
        name: prefix of the names of the placements, `name.layer`, so that one chip can hold several models.

    Returns:
        The network: input `(batch, ...)`, output `(*chips, batch, ...)`.

    Raises:
        UnplaceableLayerError: a layer has parameters, cannot be placed, and is not in `digital`; or a part of the
            model would still use a placed layer in software. All are named, with the reasons.
        OutOfRangeError: `layers` or `digital` names a layer that the model does not have, `layers` one that does not
            go on the chip, a class in `as_known` computes something else, a placement of that name is on the chip, a
            weight is NaN or infinite, the mapping does not fit the cells, or a layer that is not to be written has no
            `g_unit`.
        ChipFullError: the chip has no room for a layer.
        DeployError, DeployInterrupted: the array failed, or Ctrl-C was pressed, while cells were written; `reports`
            has the writes until then.

    After an error nothing is placed. Before any error but the last two no pulse is sent.
    """
    check_arguments(model, chip, layers, digital, name)
    default = OnChip(mapping=DifferentialPair() if mapping is None else mapping, scaling=scaling, write=write)
    sort = partial(sort_layers, model, layers=layers or {}, digital=digital, as_known=as_known or {}, default=default)
    parts = with_balance(sort, replicas, chip)
    parts.check()
    with outside_inference_mode(), outside_autocast(chip.array.device.type):
        twin, reports = _on_chip(parts.model, chip, parts.layers, "" if name is None else f"{name}.")
    return Deployed(twin, chip, reports, [layer.name for layer in parts.layers], parts.digital)


def check_arguments(model: object, chip: object, layers: object, digital: object, name: object) -> None:
    """Raise `TypeError` where an argument of `deploy` or `plan` is of another kind."""
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"`model` must be a torch.nn.Module, but is {shown(model)}")
    if not isinstance(chip, Chip):
        raise TypeError(f"`chip` must be a Chip, but is {shown(chip)}")
    if layers is not None and not (
        isinstance(layers, Mapping) and all(isinstance(one, OnChip) for one in layers.values())
    ):
        raise TypeError(f"`layers` must be OnChip by the name of a layer, but is {shown(layers)}")
    if not isinstance(digital, str | Collection):
        raise TypeError(f"`digital` must be names of layers, but is {shown(digital)}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"`name` must be text or None, but is {shown(name)}")


def refusal(model: torch.nn.Module, chip: Chip, plan: Sequence[Layer], prefix: str) -> OhmweaveError | None:
    """What `deploy` would raise for these layers before it sends a pulse, found on a copy of the chip; None if nothing.

    Args:
        model: with the layers in it; it is not changed.
        chip: the chip; no cell of it is read, and nothing is placed on it.
        plan: the layers.
        prefix: of the names of the placements.
    """
    try:
        with outside_inference_mode(), outside_autocast(chip.array.device.type):
            _on_chip(model, unread_copy(chip), plan, prefix, write_all=lambda *given: {})
    except OhmweaveError as error:
        return error
    return None


def _on_chip(
    model: torch.nn.Module, chip: Chip, plan: Sequence[Layer], prefix: str, *, write_all: _WriteAll | None = None
) -> tuple[torch.nn.Module, dict[str, WriteReport]]:
    """A copy of `model` with its layers on the chip, and the reports of their writes; all or nothing."""
    for layer in plan:  # before cells are placed and read
        _check_alone(layer)
    twin = copied(model)
    hand_over_gradient_hooks(model, twin)
    shells = _place_all(plan, chip, prefix)
    try:
        for layer, shell in zip(plan, shells, strict=True):
            _check(layer, shell)
        reports = (write_all or _write_all)(plan, shells, chip)
        warn_if_many_failed(reports)
        twin = _assembled(model, twin, plan, shells)
    except BaseException:
        for shell in shells:
            chip.remove(shell.matrix.name)
        raise
    if chip.chip_shape:
        normalise_chip_by_chip(twin, chip.chip_shape[0])
    return twin, reports


def _place_all(plan: Sequence[Layer], chip: Chip, prefix: str) -> list[ChipLayer]:
    """Place all layers, or none if there is an error."""
    shells: list[ChipLayer] = []
    replicated = any(layer.of or layer.alone for layer in plan)
    try:
        for layer in plan:
            how = how_apart(layer, chip, holders(chip, prefix, plan)) if replicated else layer.how
            shell = layer.entry.build(layer.module, chip, prefix + (layer.name or "model"), how)
            shells.append(shell)
    except BaseException:
        for shell in shells:
            chip.remove(shell.matrix.name)
        raise
    return shells


def _check_alone(layer: Layer) -> None:
    """Raise `OutOfRangeError` if a weight or bias is NaN or infinite, or a layer has no scale."""
    mapping = layer.how.mapping
    if layer.how.write is None and mapping is not None and mapping.g_unit is None:
        raise OutOfRangeError(f"`write` must be given, or the mapping of {layer.name!r} have `g_unit`, but is None")
    parts = {"weight": layer.entry.weight(layer.module), "bias": layer.entry.bias(layer.module)}
    for what, part in parts.items():
        n_bad = 0 if part is None else int((~torch.isfinite(part.detach())).sum())
        if n_bad:
            raise OutOfRangeError(f"`{what}` of {layer.name!r} must be finite, but {n_bad} entries are NaN or infinite")


def _check(layer: Layer, shell: ChipLayer) -> None:
    """Raise before any pulse if the layer cannot be written."""
    weight = layer.entry.weight(layer.module).detach()
    shell.matrix.check(weight.reshape(shell.matrix.shape))
    books = shell.matrix.chip.array.books
    check_sign_pair(shell.matrix.placement, dac=books.dac, adc=books.adc)
    if isinstance(layer.how.write, CheckedWrite):
        layer.how.write.check(shell.matrix.chip.array)


def _write_all(plan: Sequence[Layer], shells: Sequence[ChipLayer], chip: Chip) -> dict[str, WriteReport]:
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
                current = layer.name
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
    model: torch.nn.Module, twin: torch.nn.Module, plan: Sequence[Layer], shells: Sequence[ChipLayer]
) -> torch.nn.Module:
    """The copy `twin` of `model` with the layers on the chip in their places."""
    # `modules` lists a model and its copy in the same order.
    copies = dict(zip(model.modules(), twin.modules(), strict=True))
    for layer, shell in zip(plan, shells, strict=True):
        hand_over(copies[layer.module], shell, layer.entry)
    shell_of = {
        copies[module]: shell
        for layer, shell in zip(plan, shells, strict=True)
        for module in (layer.module, *layer.twins)
    }
    return replace_everywhere(twin, shell_of, {old: shell.matrix.name for old, shell in shell_of.items()})

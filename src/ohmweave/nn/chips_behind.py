"""Networks whose input begins with the time, `(time, batch, ...)`, with the chips merged into the batch behind it.

Merged into the first dimension, the chips are in the time: layers without `batch_first` then run chip by chip, but
masks `(time, time)`, further inputs with a time of their own, and `x.size(0)` have other sizes than on one chip. Merged
into the second dimension, `(time, chips * batch, ...)`, all of these are as on one chip. Layers on the chip must know
then which of their inputs have the chips behind the first dimension: a run with all chips and one with a chip alone
tell. Both ways are tried, and both are checked against each chip alone. Source: ours.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from ohmweave.nn.chip_batch import in_software, repeating_masks
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.undisturbed import undisturbed

Behind: TypeAlias = tuple[tuple[ChipLayer, frozenset[int]], ...]
"""Layers, each with the numbers of dimensions of the outputs that have the chips in their second dimension."""

Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
"""(args, kwargs)."""

_Sizes: TypeAlias = dict[ChipLayer, list[tuple[int, ...]]]


@contextmanager
def chips_behind(layers: Behind, n_chips: int) -> Iterator[None]:
    """Within this block inputs of `layers` have the chips in their second dimension.

    Args:
        layers: see `Behind`.
        n_chips: chips for which attention repeats a mask of one chip, or 1; see `chip_batch.repeating_masks`.
    """
    for layer, dims in layers:
        layer.__dict__["behind"] = dims
    try:
        with repeating_masks(n_chips):
            yield
    finally:
        for layer, _ in layers:
            del layer.__dict__["behind"]


def merged_behind(
    value: torch.Tensor, n_chips: int, sizes: tuple[int, int], *, square: bool
) -> tuple[torch.Tensor, int | None]:
    """A further tensor with the chips merged into its batch, and the dimension of the batch; None if it has none.

    Args:
        value: `(steps, batch, ...)` or `(chips, steps, batch, ...)` with any number of steps, such as the input of a
            decoder or a recurrent state; `(batch, steps)` or `(batch * heads, steps, steps)`, such as masks;
            `(batch,)`, such as lengths.
        n_chips: number of chips.
        sizes: (time, batch) of the input.
        square: what a tensor is whose shape fits several of these: True reads `(batch, ...)`, False `(steps, batch,
            ...)`. Masks with two dimensions have no batch, which attention supplies: with True all of them, with False
            those whose batch may be a time.
    """
    shape, (time, batch) = tuple(value.shape), sizes
    second = len(shape) > 1 and shape[1] == batch
    is_mask = len(shape) == 2 and (value.is_floating_point() or value.dtype == torch.bool)
    if is_mask and (square or (second and batch in (time, shape[0]))):
        return value, None
    if len(shape) == 1:
        return (value.repeat(n_chips), 0) if shape[0] == batch else (value, None)
    if len(shape) > 3 and (shape[0], shape[2]) == (n_chips, batch) and not second:
        return value.transpose(0, 1).flatten(1, 2), 1
    if second and not (square and shape[0] % batch == 0):
        return value.unsqueeze(1).expand(-1, n_chips, *shape[1:]).flatten(1, 2), 1
    whole = shape[0] == batch or (len(shape) == 3 and shape[0] % batch == 0)
    return (value.repeat(n_chips, *(1,) * (len(shape) - 1)), 0) if whole else (value, None)


def find_behind(model: torch.nn.Module, x: torch.Tensor, n_chips: int, calls: tuple[Call, Call]) -> Behind:
    """The layers on the chip whose outputs have the chips in their second dimension, as their inputs then have.

    Args:
        model: with layers on chips. Its state is restored afterwards.
        x: an input.
        n_chips: number of chips.
        calls: arguments of the model with all chips, and with one chip alone.

    Returns:
        Each such layer with the numbers of dimensions of these outputs.
    """
    together, alone = _sizes(model, x, calls[0], None), _sizes(model, x, calls[1], 0)
    found: dict[ChipLayer, set[int]] = {}
    for layer, sizes in together.items():
        for whole, part in zip(sizes, alone.get(layer, []), strict=False):
            second = len(whole) == len(part) > 1 and whole[0] == part[0] and whole[1] == n_chips * part[1]
            if second:
                found.setdefault(layer, set()).add(len(whole))
    return tuple((layer, frozenset(dims)) for layer, dims in found.items())


def _sizes(model: torch.nn.Module, x: torch.Tensor, call: Call, alone: int | None) -> _Sizes:
    """The shapes of the outputs of each layer on the chip, call by call, in a run in software."""
    found: _Sizes = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if isinstance(module, ChipLayer) and isinstance(output, torch.Tensor):
                found.setdefault(module, []).append(tuple(output.shape))

        return hook

    with torch.no_grad(), undisturbed(model, x, (watch,)), in_software(alone=alone):
        model(*call[0], **call[1])
    return found

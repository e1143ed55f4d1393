"""`Balanced`: as many replicas of the slowest layers as the arrays of a chip allow."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ohmweave.base import ChipFullError, OutOfRangeError, check_tensor
from ohmweave.mapping import Chip
from ohmweave.mapping.replication import replicas_within
from ohmweave.mapping.trial import Trial
from ohmweave.nn.replicas import MOST_REPLICAS, not_replicable
from ohmweave.nn.sorting import Layer, Sorted
from ohmweave.nn.undisturbed import undisturbed


@dataclass(frozen=True, slots=True, eq=False)
class Balanced:
    """For `replicas` of `deploy`: each layer on arrays of its own, and replicas of the slowest while there are arrays.

    The time of a layer is that of its reads for an image, one for each row vector and tile; those of tiles on different
    arrays are at the same time.

    Args:
        x: an input of the model, `(batch, ...)`: the reads of each layer are counted by it, in software.

    Raises:
        TypeError: `x` is not a tensor.
        OutOfRangeError: it has no batch.

    Source: ours; replicated kernels are those of Yao et al., Nature 577, 641 (2020).
    """

    x: torch.Tensor

    def __post_init__(self) -> None:
        """Check the input."""
        if check_tensor("x", self.x).dim() < 1 or not len(self.x):
            raise OutOfRangeError("`x` must have a batch of one or more samples, but has none")


def with_balance(sort: Callable[..., Sorted], replicas: Mapping[str, int] | Balanced | None, chip: Chip) -> Sorted:
    """The parts of a model with the replicas that were asked for.

    Args:
        sort: function of `replicas` that returns the parts.
        replicas: as in `deploy`.
        chip: that will hold them.

    Raises:
        ChipFullError: the chip has too few empty arrays for one of each layer.
        OutOfRangeError: `layers` chooses arrays.
    """
    if not isinstance(replicas, Balanced):
        return sort(replicas=replicas)
    parts = sort()
    if parts.refused or not parts.layers:
        return parts
    balanced = sort(replicas=_balanced(parts, replicas.x, chip))
    return replace(balanced, layers=tuple(replace(layer, alone=True) for layer in balanced.layers))


def _balanced(parts: Sorted, x: torch.Tensor, chip: Chip) -> dict[str, int]:
    """Copies of each layer, by name."""
    empty = set(range(chip.array.n_arrays)) - {tile.array for one in chip.placed.values() for tile in one.tiles}
    n_vectors, limits = _vectors(parts, x)
    durations, sizes = [], []
    for layer in parts.layers:
        if layer.how.arrays is not None or layer.how.corners is not None:
            raise OutOfRangeError(
                f"`layers` must not choose arrays or corners with `replicas=Balanced(...)`, but does for {layer.name!r}"
            )
        on_array = _tiles_by_array(layer, chip, sorted(empty))
        sizes.append(len(on_array))
        durations.append(n_vectors[layer.name] * max(on_array.values()))
    if sum(sizes) > len(empty):
        raise ChipFullError(
            f"no room for each layer on arrays of its own, which `replicas=Balanced(...)` needs: they take "
            f"{sum(sizes)} arrays, but {len(empty)} of the {chip.array.n_arrays} of the chip are empty"
        )
    found = replicas_within(durations, sizes, len(empty), limits=[limits[layer.name] for layer in parts.layers])
    return {layer.name: n for layer, n in zip(parts.layers, found, strict=True) if n > 1}


def _tiles_by_array(layer: Layer, chip: Chip, empty: Sequence[int]) -> Counter[int]:
    """How many tiles of the layer each array gets, if it is placed on empty arrays."""
    weight, how = layer.entry.weight(layer.module), layer.how
    assert how.mapping is not None  # the default has one
    tiles, fits = Trial(chip).place(
        (weight.shape[0], weight.numel() // weight.shape[0]),
        how.mapping,
        groups=layer.entry.groups(layer.module),
        tile_rows=how.tile_rows,
        arrays=empty,
    )
    if not fits:
        raise ChipFullError(f"no room for {layer.name!r} on the {len(empty)} empty arrays of the chip")
    return Counter(tile.array for tile in tiles)


@torch.no_grad()
def _vectors(parts: Sorted, x: torch.Tensor) -> tuple[dict[str, float], dict[str, int]]:
    """Row vectors of each layer for an image, and the most replicas that it can have, by name."""
    seen: dict[str, float] = {layer.name: 0.0 for layer in parts.layers}
    rows: dict[str, int] = {}
    modules = dict(parts.model.named_modules())

    def count(name: str) -> Callable[..., None]:
        def after(module: torch.nn.Module, args: Any, output: Any) -> None:
            is_image = isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d)
            channels = 1 if not isinstance(output, torch.Tensor) else output.shape[1 if is_image else -1]
            seen[name] += output.numel() / channels / len(x) if isinstance(output, torch.Tensor) else 1.0
            rows[name] = output.shape[2] if is_image else MOST_REPLICAS

        return after

    with undisturbed(parts.model, x):
        for layer in parts.layers:
            for module in (layer.module, *layer.twins):
                module.register_forward_hook(count(layer.name))
        try:
            parts.model(x)
        except RuntimeError as error:
            raise OutOfRangeError(f"`x` must be an input of the network, which fails with it: {error}") from error
    limits = {name: rows.get(name, 1) if not_replicable(modules, name, ()) is None else 1 for name in seen}
    return {name: max(n, 1e-9) for name, n in seen.items()}, limits

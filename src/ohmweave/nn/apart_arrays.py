"""The arrays that a layer may take: replicas of one layer are on different arrays, so that they are read at once."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from ohmweave.base import ChipFullError
from ohmweave.mapping import Chip
from ohmweave.nn.on_chip import OnChip
from ohmweave.nn.sorting import Layer

_OTHER = "/"


def how_apart(layer: Layer, chip: Chip, taken: Mapping[int, Collection[str]]) -> OnChip:
    """How `layer` is placed: as it says; a replica not beside another of the same layer, others beside replicas last.

    Args:
        layer: to be placed.
        chip: that will hold it.
        taken: what each array holds, as `holders` finds it.

    Raises:
        ChipFullError: each array that it may take holds another replica of it, or must be empty and is not.
    """
    replicated = {array for array, held in taken.items() if not all(one.startswith(_OTHER) for one in held)}
    if not layer.of and not layer.alone and not replicated:
        return layer.how
    allowed = list(range(chip.array.n_arrays) if layer.how.arrays is None else layer.how.arrays)
    if not layer.of and not layer.alone:
        # What shares an array with a replica waits for it, and makes one machine of all replicas that it is beside.
        return replace(layer.how, arrays=sorted(allowed, key=lambda array: array in replicated))
    empty = [array for array in allowed if not taken.get(array)]
    others = [array for array in allowed if taken.get(array) and layer.of not in taken[array]]
    arrays = empty if layer.alone else empty + others
    if not arrays:
        holds = "nothing else" if layer.alone else "no other replica of it, or they could not be read at the same time"
        raise ChipFullError(
            f"no room for {layer.name!r}: it must have an array that holds {holds}, but of the "
            f"{chip.array.n_arrays} arrays of the chip there is none left: give fewer `replicas`, or a chip with more "
            "`n_arrays`"
        )
    return replace(layer.how, arrays=arrays)


def holders(chip: Chip, prefix: str, layers: Collection[Layer]) -> dict[int, set[str]]:
    """By array, what it holds: the layer of which there is a replica, or "/" and the name of any other matrix.

    Args:
        chip: with all that is placed on it.
        prefix: of the names of the placements.
        layers: that are being placed.
    """
    of = {f"{prefix}{layer.name}": layer.of for layer in layers if layer.of}
    found: dict[int, set[str]] = {}
    for name, placement in chip.placed.items():
        for tile in placement.tiles:
            found.setdefault(tile.array, set()).add(of.get(name, f"{_OTHER}{name}"))
    return found


def take(taken: dict[int, set[str]], layer: Layer, arrays: Collection[int]) -> None:
    """Add to `taken` that `layer` has tiles on `arrays`."""
    for array in arrays:
        taken.setdefault(array, set()).add(layer.of or f"{_OTHER}{layer.name}")

"""The schedule of a network on a chip, from where its layers stand and what one call of it reads.

Tiles of one layer on different arrays are read at the same time, tiles on one array one after another. Layers that
share an array are one machine of the schedule: they cannot work on two images at once. Replicas of a layer divide each
image among them, or take images in turn.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from ohmweave.arrays import Placement
from ohmweave.base import OhmweaveError, OutOfRangeError, check_fields, check_integer, integer, positive
from ohmweave.cost.chip_costs import chip_costs
from ohmweave.cost.components import ComponentCosts
from ohmweave.cost.ledger import Bill, chips_of, ledger
from ohmweave.cost.schedule import Job, Schedule, schedule
from ohmweave.mapping import Chip
from ohmweave.mapping.replication import ReplicaSet


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStage:
    """A layer of a network on a chip, as a stage of its schedule.

    Attributes:
        name: of the matrix on the chip.
        duration: s, of its reads for one image.
        n_reads: intervals of one array for one image, in which the others of the layer are read too.
        cells: of one chip.
        arrays: that hold its tiles.
        machine: name of the arrays that work on one image at a time: those of all layers that share one.
        replica_of: its neighbours in the stages with the same text are replicas of the same layer; "" for a layer
            without replicas.
        take_turns: True if each image is read by one of the replicas, and `duration` is that of its images; False if
            all replicas work on each image.
    """

    name: str
    duration: Annotated[float, positive("s")]
    n_reads: Annotated[float, positive()]
    cells: Annotated[int, integer(at_least=1)]
    arrays: tuple[int, ...]
    machine: str
    replica_of: str = ""
    take_turns: bool = False

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        for array in self.arrays:
            check_integer("arrays", array, at_least=0)


def network_stages(net: torch.nn.Module, x: Any, *, costs: ComponentCosts | None = None) -> tuple[LayerStage, ...]:
    """The layers of a network on one chip (or on several equal ones) with the time that each takes for an image.

    The network is called once, under a meter: its reads are counted on the chip's books.

    Args:
        net: a deployed network, or any module whose layers are on one `Chip`.
        x: an input `(batch, ...)`; the times are means over the batch.
        costs: durations of a read; None: `chip_costs(chip)`.

    Returns:
        The stages of all layers that were read, in the order in which they were placed.

    Raises:
        OhmweaveError: `net` has no layers on a chip, or layers on several kinds of chip.
        OutOfRangeError: `x` is not a tensor with a batch, or no layer was read.
    """
    if not isinstance(x, torch.Tensor) or x.dim() < 1 or not len(x):
        raise OutOfRangeError("`x` must be a tensor with a batch of one or more samples")
    chip = _only_chip(net)
    with torch.no_grad(), ledger(net, costs=costs) as bill:
        net(x)
    sets = [module for module in net.modules() if isinstance(module, ReplicaSet)]
    return stages_of_bill(bill, chip, len(x), costs=costs, replicas=sets)


def stages_of_bill(
    bill: Bill,
    chip: Chip,
    n_images: int,
    *,
    costs: ComponentCosts | None = None,
    phase: str = "inference",
    replicas: Sequence[ReplicaSet] = (),
) -> tuple[LayerStage, ...]:
    """The stages of a network whose reads of `n_images` images were counted on `bill` under `phase`.

    Args:
        bill: of the chip.
        chip: that holds the layers.
        n_images: that were computed, on each of its chips.
        costs: as in `network_stages`.
        phase: of the bill.
        replicas: the sets of replicas among the layers; without them replicas are layers that follow one another.

    Raises:
        OutOfRangeError: nothing was read in this phase, or `n_images` is not >= 1.
    """
    check_integer("n_images", n_images, at_least=1)
    t_read = (costs or chip_costs(chip)).t_read
    n = n_images * (chip.chip_shape[0] if chip.chip_shape else 1)
    counted = {layer: usage.n_reads for (during, layer), usage in bill.usage.items() if during == phase}
    read = {name: placement for name, placement in chip.placed.items() if counted.get(name)}
    if not read:
        raise OutOfRangeError(f"`phase` must be one in which layers were read, but nothing was read in {phase!r}")
    machines = _machines(read)
    set_of = {name: one for one in replicas for name in one.replica_names}
    stages = []
    for name, placement in read.items():
        on_array, one = Counter(tile.array for tile in placement.tiles), set_of.get(name)
        turns = one is not None and one.take_turns
        # Replicas that take turns read the images of the whole set.
        n_counted = sum(counted.get(other, 0.0) for other in one.replica_names) if one and turns else counted[name]
        # Every tile is read equally often, and those of one array wait for each other.
        reads = n_counted / n * max(on_array.values()) / len(placement.tiles)
        stages.append(
            LayerStage(
                name=name,
                duration=reads * t_read,
                n_reads=reads,
                cells=placement.cells.numel(),
                arrays=tuple(sorted(on_array)),
                machine=machines[name],
                replica_of="" if one is None else one.replica_names[0],
                take_turns=turns,
            )
        )
    return tuple(stages)


def network_schedule(
    net: torch.nn.Module, x: Any, *, n_images: int = 8, costs: ComponentCosts | None = None
) -> Schedule:
    """When each layer works on which of `n_images` images that follow each other through the network.

    An image enters a layer when it has left the one before and the arrays are free, so that layers on different arrays
    work on different images at once. Branches of a network that could be computed side by side follow one another: the
    latency is an upper bound for them.

    Args:
        net: as in `network_stages`.
        x: likewise.
        n_images: of the schedule, >= 1; 1 for the latency of an image alone.
        costs: likewise.

    Returns:
        The schedule: `latency`, `throughput`, `utilisation`; `ohmweave.plot.timeline` draws it.

    Raises:
        OhmweaveError, OutOfRangeError: as `network_stages`, or `n_images` is not >= 1.
    """
    check_integer("n_images", n_images, at_least=1, at_most=10_000)
    return schedule_of(network_stages(net, x, costs=costs), n_images=n_images)


def schedule_of(stages: Sequence[LayerStage], *, n_images: int) -> Schedule:
    """The schedule of `n_images` images that pass the stages in order.

    Raises:
        OutOfRangeError: there are no stages, or `n_images` is not >= 1.
    """
    check_integer("n_images", n_images, at_least=1, at_most=10_000)
    if isinstance(stages, str) or not stages or not all(isinstance(stage, LayerStage) for stage in stages):
        raise OutOfRangeError("`stages` must be one or more of `network_stages`")
    layers = [
        list(group) for _, group in itertools.groupby(enumerate(stages), lambda one: one[1].replica_of or f"/{one[0]}")
    ]
    jobs: list[Job] = []
    for image in range(n_images):
        before: tuple[int, ...] = ()
        for replicas in layers:
            working = [stage for _, stage in replicas]
            if working[0].take_turns:
                working = [working[image % len(working)]]
            first = len(jobs)
            jobs += [
                Job(name=stage.name, machine=stage.machine, duration=stage.duration, image=image, needs=before)
                for stage in working
            ]
            before = tuple(range(first, len(jobs)))
    return schedule(jobs)


def _only_chip(net: torch.nn.Module) -> Chip:
    chips = list(dict.fromkeys(chips_of(net))) if isinstance(net, torch.nn.Module) else []
    if len(chips) != 1:
        raise OhmweaveError(f"`net` must be a network with its layers on one chip, but is on {len(chips)}")
    return chips[0]


def _machines(placed: dict[str, Placement]) -> dict[str, str]:
    """By layer, the name of its group: layers that share an array, directly or through others, are one group."""
    groups: list[tuple[set[int], list[str]]] = []
    for name, placement in placed.items():
        arrays, names = {tile.array for tile in placement.tiles}, [name]
        for group in [one for one in groups if one[0] & arrays]:
            groups.remove(group)
            arrays, names = arrays | group[0], group[1] + names
        groups.append((arrays, names))
    return {name: " + ".join(names) for _, names in groups for name in names}

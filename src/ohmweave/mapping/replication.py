"""Replicas: several copies of one matrix on a chip that share its reads, and how many of each layer fit."""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Sequence


class ReplicaSet(ABC):
    """Capability of a module whose layers on a chip hold the same matrix and share its reads."""

    @property
    @abstractmethod
    def replica_names(self) -> tuple[str, ...]:
        """The names of the matrices on the chip, replica 0 first; empty if they are not on a chip."""

    @property
    @abstractmethod
    def take_turns(self) -> bool:
        """True if each image is read by one replica, in turn; False if the replicas divide each image."""


def replicas_within(
    durations: Sequence[float], sizes: Sequence[int], room: int, *, limits: Sequence[int] | None = None
) -> list[int]:
    """Numbers of replicas that make the slowest stage as fast as `room` allows.

    The slowest stage gets one more replica, again and again, until no further replica of it fits. This is optimal: a
    faster pipeline needs at least as many replicas of every stage as were given so far, and one more of the slowest.

    Args:
        durations: s, of each stage with one replica; `n` replicas take `1 / n` of it.
        sizes: what one replica of each stage takes of the room.
        room: for all replicas together, at least the sum of the sizes.
        limits: the most replicas of each stage; None: no limit.

    Returns:
        Replicas of each stage, at least 1. Source: ours.
    """
    found, left = [1] * len(durations), room - sum(sizes)
    slowest = [(-duration, index) for index, duration in enumerate(durations)]
    heapq.heapify(slowest)
    while slowest:
        index = slowest[0][1]
        if sizes[index] > left or (limits is not None and found[index] >= limits[index]):
            return found
        found[index] += 1
        left -= sizes[index]
        heapq.heapreplace(slowest, (-durations[index] / found[index], index))
    return found

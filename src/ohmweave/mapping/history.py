"""When cells may have changed: what a kept readout is compared with.

A readout of a matrix is stamped. The stamp differs from today's once pulses went to the matrix, time passed, or the
array did anything that no matrix reported, for instance because pulses were sent to it directly.
"""

from typing import TypeAlias

from ohmweave.arrays import Array, CoupledCells

Stamp: TypeAlias = tuple[int, int]
"""Changes of all cells of the chip, and changes of the cells of one matrix, so far."""


class History:
    """Counts of changes of the cells of one chip.

    Args:
        array: of the chip; its counters of pulses and of time show changes that no matrix reported.
    """

    def __init__(self, array: Array) -> None:
        self._array = array
        self._all = 0
        self._own: dict[str, int] = {}
        self._coupled = isinstance(array, CoupledCells) and array.pulses_couple
        self._counted: tuple[int, float] | None = None  # before the first stamp there is nothing to compare with

    def stamp(self, name: str) -> Stamp:
        """The stamp of a readout of the matrix `name` that is taken now."""
        counters = self._counters()
        if counters != self._counted:
            self._all += 1
            self._counted = counters
        return self._all, self._own.get(name, 0)

    def before_pulses(self) -> None:
        """Must be called before pulses of a matrix, to tell them from pulses that went to the array directly."""
        counters = self._counters()
        if counters != self._counted:
            self._all += 1

    def after_pulses(self, name: str) -> None:
        """Pulses may have changed cells of the matrix `name`; of all matrices, where the pulses are not confined."""
        self._own[name] = self._own.get(name, 0) + 1
        counters = self._counters()
        waited = self._counted is None or counters[1] != self._counted[1]
        if self._coupled or waited:  # a write may have waited, which all cells feel
            self._all += 1
        self._counted = counters

    def all_changed(self) -> None:
        """All cells may have changed: time passed, or a saved state was loaded."""
        self._all += 1
        self._counted = self._counters()

    def _counters(self) -> tuple[int, float]:
        books = self._array.books
        return books.version, books.activity.duration

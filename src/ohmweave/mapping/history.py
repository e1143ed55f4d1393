"""Detection of stale readouts: counts of the changes of a chip's cells.

A readout of a matrix is kept with a stamp. It is stale if the present stamp of the matrix is another: because pulses
were sent to the matrix, because time has passed, or because the array was used directly (its books then show pulses or
waits that no matrix has reported).
"""

from typing import TypeAlias

from ohmweave.arrays import Array, CoupledCells

Stamp: TypeAlias = tuple[int, int]
"""(Number of changes that concern all cells of the chip, number of changes of the cells of one matrix)."""


class History:
    """Counts of changes of the cells of one chip.

    Args:
        array: of the chip; its counts of pulses and of time reveal changes that no matrix has reported.
    """

    def __init__(self, array: Array) -> None:
        self._array = array
        self._all = 0
        self._own: dict[str, int] = {}
        self._floor = 0  # the first number of a name; above all numbers of names that were removed, which are forgotten
        self._coupled = isinstance(array, CoupledCells) and array.pulses_couple
        self._counted: tuple[int, float] | None = None  # before the first stamp there is nothing to compare with

    def stamp(self, name: str) -> Stamp:
        """The stamp of a readout of the matrix `name` that is taken now."""
        counters = self._counters()
        if counters != self._counted:
            self._all += 1
            self._counted = counters
        return self._all, self._own.setdefault(name, self._floor)

    def before_pulses(self) -> None:
        """Must be called before pulses of a matrix, to distinguish them from pulses sent directly to the array."""
        counters = self._counters()
        if counters != self._counted:
            self._all += 1

    def after_pulses(self, name: str) -> None:
        """Record that cells of the matrix `name` may have changed; of all matrices if pulses disturb other cells."""
        self._own[name] = self._own.get(name, self._floor) + 1
        counters = self._counters()
        waited = self._counted is None or counters[1] != self._counted[1]
        if self._coupled or waited:  # a write may have waited, and time changes all cells
            self._all += 1
        self._counted = counters

    def removed(self, name: str) -> None:
        """Record that the cells of the matrix `name` are free: all its readouts are stale."""
        self._floor = max(self._floor, self._own.pop(name, 0)) + 1

    def all_changed(self) -> None:
        """Record that all cells may have changed: time has passed, or a saved state was loaded."""
        self._all += 1
        self._counted = self._counters()

    def _counters(self) -> tuple[int, float]:
        books = self._array.books
        return books.version, books.activity.duration

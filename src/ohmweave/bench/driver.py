"""What a board must do, in the words of a bench: select lines, apply voltages, sense currents, pulse, ground.

A driver is a subclass of `Driver`. What only some boards can do is a class of its own here, which the driver inherits
from as well: gates, a thermometer, a current compliance, drivers at the columns, batches of vectors.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ohmweave.base import OhmweaveError
from ohmweave.bench.board import Board


class DriverError(OhmweaveError):
    """A driver returned something that is no measurement, or a board refused a command; the message says which."""


class Driver(ABC):
    """A board with crossbars, one operation at a time.

    `DriverArray` calls the methods in the order `select`, (`gate`), `apply`, `sense` for a read and `select`, (`gate`),
    `pulse` for programming, and `ground` after each of its calls, also after an error or Ctrl-C. Lines are counted from
    0. All voltages are within the data sheet when they arrive here.

    Raises:
        TypeError: a class that does not define all methods is instantiated; the message names what is missing.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse half a driver, by the names of what is missing."""
        if missing := sorted(cls.__abstractmethods__):
            raise TypeError(
                f"`{cls.__name__}` must define {', '.join(f'`{name}`' for name in missing)} to be a driver, but does "
                "not: docs/bench.md says what each has to do"
            )
        return super().__new__(cls)

    @property
    @abstractmethod
    def board(self) -> Board:
        """The data sheet. A class attribute `board = Board(...)` is enough."""

    @abstractmethod
    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        """Connect lines of one crossbar to sources and meters; other lines are left at 0 V or open.

        Args:
            array: index of the crossbar.
            rows: indices of the row lines, ascending; the voltages of `apply` are in this order.
            cols: indices of the column lines, ascending; the currents of `sense` are in this order.
        """

    @abstractmethod
    def apply(self, v: Sequence[float]) -> None:
        """Drive the selected rows with `v`, V, one number a row, while the selected columns are at 0 V."""

    @abstractmethod
    def sense(self) -> Sequence[float]:
        """A, the current out of each selected column, positive for positive voltages.

        A column that cannot be measured (an open line, a meter at its end) is NaN.
        """

    @abstractmethod
    def pulse(self, v: float, width: float) -> None:
        """Send one pulse to the selected cell; one row and one column are selected.

        Args:
            v: V, across the cell from its row to its column: positive for SET, negative for RESET.
            width: s.
        """

    @abstractmethod
    def ground(self) -> None:
        """Put all lines and gates at 0 V and deselect them; it must work in any state, also twice in a row."""


class Gated(ABC):
    """A board whose cells have transistors (1T1R) with driven gates."""

    @abstractmethod
    def gate(self, v: float) -> None:
        """Drive the gates of the selected cells with `v`, V, until the next `select` or `ground`."""


class Thermometer(ABC):
    """A board, or the stage that its chip is on, with a thermometer."""

    @abstractmethod
    def temperature(self) -> float:
        """K."""


class Compliance(ABC):
    """A board that limits the current of its sources."""

    @abstractmethod
    def limit_current(self, i: float) -> None:
        """Limit the magnitude of the current of each source to `i`, A, from now on."""


class DrivenColumns(ABC):
    """A board that can drive columns and sense rows, for transposed reads."""

    @abstractmethod
    def apply_columns(self, v: Sequence[float]) -> None:
        """Drive the selected columns with `v`, V, one number a column, while the selected rows are at 0 V."""

    @abstractmethod
    def sense_rows(self) -> Sequence[float]:
        """A, the current out of each selected row."""


class BatchSense(ABC):
    """A board that takes many vectors of voltages in one command."""

    @abstractmethod
    def sense_batch(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        """`apply` and `sense` for each vector in turn.

        Args:
            v: `(n, selected rows)` V.

        Returns:
            `(n, selected columns)` A.
        """

"""The protocol of write schemes, and the capabilities of some of them."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch

from ohmweave.arrays import Array
from ohmweave.programming.report import WriteReport


@runtime_checkable
class Write(Protocol):
    """A write scheme, which brings cells to target conductances by pulses and reads."""

    def __call__(self, array: Array, cells: torch.Tensor, g_target: torch.Tensor) -> WriteReport:
        """Write cells.

        Args:
            array: whose cells they are.
            cells: any shape, int64 addresses, each cell at most once.
            g_target: the shape of `cells`, S.

        Returns:
            The report, with tensors of the shape of `cells`.

        Raises:
            WriteStoppedError: the array raised an error during the write; its `report` holds what was done.
            WriteInterrupted: the same for Ctrl-C.
        """
        ...


class Settling(ABC):
    """Capability of a write scheme that waits after its last pulse until fast relaxation is over.

    Time passes for every cell of the array, used or not. To write several matrices, send all pulses first and then wait
    once; see `defer_settling`. `deploy` does this.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def settling_time(self) -> float:
        """The wait after the last pulse, s; 0 for none."""

    @abstractmethod
    def without_settling(self) -> Write:
        """The same scheme without the wait."""


class CheckedWrite(ABC):
    """Capability of a write scheme whose arguments can be checked for an array before any pulse, as `plan` does."""

    __slots__ = ()

    @abstractmethod
    def check(self, array: Array) -> None:
        """Raise `OutOfRangeError` if an argument cannot be meant for the cells of `array`, of which none is read."""


def defer_settling(write: Write) -> tuple[Write, float]:
    """Split a scheme into its pulses and its wait.

    Args:
        write: any scheme. One that is not a `Settling` is returned as it is, with a wait of 0 s.

    Returns:
        The scheme without its wait, and the wait, s, that is left to the caller.
    """
    if isinstance(write, Settling):
        return write.without_settling(), write.settling_time
    return write, 0.0

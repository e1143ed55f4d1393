"""Errors of a write that was stopped; they hold the report of what had been done until then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ohmweave.base import OhmweaveError
from ohmweave.programming.report import WriteReport


class WriteStoppedError(OhmweaveError):
    """The array raised an error while cells were written; `__cause__` is that error.

    Attributes:
        report: pulses and reads of the calls that returned. The call that failed is not counted: whether its pulses
            reached the cells is unknown.
    """

    def __init__(self, message: str, report: WriteReport) -> None:
        super().__init__(message)
        self.report = report


class WriteInterrupted(KeyboardInterrupt):
    """Ctrl-C while cells were written.

    Attributes:
        report: as in `WriteStoppedError`.
    """

    def __init__(self, message: str, report: WriteReport) -> None:
        super().__init__(message)
        self.report = report


@contextmanager
def reported(report: Callable[[], WriteReport]) -> Iterator[None]:
    """Within this block, an error or Ctrl-C is raised again with the report of what was done.

    Args:
        report: makes the report from the counts so far.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise WriteInterrupted("the write was interrupted; `report` holds what was done", report()) from interrupt
    except Exception as error:
        done = report()
        raise WriteStoppedError(
            f"the write stopped after {int(done.n_pulses.sum())} pulses because the array raised "
            f"{type(error).__name__}: {error}; `report` of this error holds what was done",
            done,
        ) from error

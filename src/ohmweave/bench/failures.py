"""Errors of an array that is elsewhere, raised again here."""

from typing import NoReturn

from ohmweave.base import OhmweaveError, OutOfRangeError, ShapeError
from ohmweave.bench.driver_array import PulsesInterrupted, PulsesStoppedError
from ohmweave.bench.events import Failure
from ohmweave.bench.limited import AbortedError
from ohmweave.bench.limits import LimitError


def failure_of(error: BaseException) -> Failure:
    """An error as what a record or a message can hold."""
    sent = error.sent if isinstance(error, PulsesStoppedError | PulsesInterrupted) else None
    return Failure(type(error).__name__, str(error), sent)


def raise_again(failure: Failure, other: type[OhmweaveError], where: str) -> NoReturn:
    """Raise the error of a failure.

    Args:
        failure: of a call elsewhere.
        other: class for errors that are not ohmweave's.
        where: whose call it was, for the message of `other`.
    """
    kind, text, sent = failure
    if kind == "PulsesStoppedError" and sent is not None:
        raise PulsesStoppedError(text, sent)
    if kind == "PulsesInterrupted" and sent is not None:
        raise PulsesInterrupted(text, sent)
    if kind == "KeyboardInterrupt":
        raise KeyboardInterrupt(text)
    if kind == "LimitError":
        raise LimitError(text, limit=where, value=float("nan"))
    for known in (OutOfRangeError, ShapeError, AbortedError):
        if kind == known.__name__:
            raise known(text)
    raise other(f"the {where} call raised {kind}: {text}")

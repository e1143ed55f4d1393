"""What happens to calls of a driver that fail or hang: a policy of retries, and a watch with a time-out."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from ohmweave.base import check_fields, integer, non_negative, positive
from ohmweave.bench.driver import DriverError

LOG = logging.getLogger("ohmweave.bench.retry")


class HungError(DriverError):
    """A call of a driver did not return in time; whether the board did what was asked is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A policy for calls of a driver that raise an error or hang.

    Calls that read are repeated as a whole (select, gate, apply, sense), after all lines were put at 0 V. A pulse is
    never repeated, because it may have been sent: it counts as sent, and the next one follows; so a closed-loop write
    finds out by its next read. After `attempts` failures in a row the call of the array fails. Requests over a limit
    never reach the driver, so they are not repeated. Each failure is logged by `logging`, as "ohmweave.bench.retry".

    Attributes:
        attempts: calls that may fail in a row, the first one included; 1: nothing is repeated.
        wait: s, before a call is repeated.
        timeout: s, after which a call counts as hung. It must be longer than the longest call: a pulse, or a batch of
            reads. None: calls are waited for without end. With it, the driver is called from a thread of its own.

    Raises:
        OutOfRangeError: a number is out of range.
    """

    attempts: Annotated[int, integer(at_least=1, at_most=1000)] = 1
    wait: Annotated[float, non_negative("s", at_most=3600.0)] = 0.1
    timeout: Annotated[float, positive("s", at_least=1e-3, at_most=86400.0)] | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)


class _Slot:
    """A call under way, and its outcome."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call, self.done = call, threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.call()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            self.error = error
        self.done.set()


class Watch:
    """Makes calls one after the other in a thread of its own, and gives up those that take too long.

    Args:
        timeout: s.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._last: _Slot | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, function: Callable[..., Any], *args: Any, always: bool = False) -> Any:
        """The result of `function(*args)`.

        Args:
            function: to be called.
            args: its arguments.
            always: True: if an earlier call still hangs, this one is made as soon as that returns. False: it is not
                made at all then.

        Raises:
            HungError: it, or an earlier call, does not return in time.
        """
        if self._last is not None and not self._last.done.wait(0.0 if always else self._timeout) and not always:
            raise HungError(f"the call before `{function.__name__}` still hangs after {self._timeout:g} s")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ohmweave driver", daemon=True)
            self._thread.start()
        slot = self._last = _Slot(lambda: function(*args))
        self._slots.put(slot)
        if not slot.done.wait(self._timeout):
            raise HungError(f"`{function.__name__}` did not return within {self._timeout:g} s")
        if slot.error is not None:
            raise slot.error
        return slot.result

    def _work(self) -> None:
        while True:
            self._slots.get().run()


def direct(function: Callable[..., Any], *args: Any, always: bool = False) -> Any:
    """As `Watch`, without a time-out."""
    return function(*args)

"""An array that answers from a log: analysis and tests run without the board."""

from collections.abc import Iterator
from os import PathLike

import torch

from ohmweave.arrays import ConvGeometry, Placement
from ohmweave.arrays.books.drive import Drive
from ohmweave.arrays.books.patch_counts import count_patches
from ohmweave.base import OhmweaveError
from ohmweave.base.files import check_path
from ohmweave.bench.events import Event, Kind
from ohmweave.bench.failures import raise_again
from ohmweave.bench.header_array import HeaderArray
from ohmweave.bench.log_header import read_header
from ohmweave.bench.log_reader import read_events
from ohmweave.bench.station import Station
from ohmweave.cells import Pulse


class ReplayError(OhmweaveError):
    """A call was not made when the log was recorded, or not at this place; the message has both calls."""


class ReplayedFailure(OhmweaveError):
    """The recorded call raised an error of a class that is not ohmweave's; the message has its name and text."""


class Replayed(HeaderArray):
    """The array of a log. Each call must be the next one in the log, and gets its answer, or its error.

    The same program with the same seed makes the same calls, so it runs as it did on the board, bit for bit. The
    counters count again what was counted then. Nothing waits. Ranges of converters cannot be found again
    (`calibrate_converters`): a log holds currents and no ranges.

    Args:
        path: of a log of `Recorded`.
        skip: number of events that are left out at the start, such as those of the deployment.

    Attributes:
        n_replayed: events so far, those that were left out included.

    Raises:
        DataError: the file is no log.
    """

    def __init__(self, path: str | PathLike[str], *, skip: int = 0) -> None:
        self.path = check_path("path", path)
        super().__init__(read_header(self.path))
        self._temperature: float | None = None
        self._events: Iterator[Event] = read_events(self.path)
        self._next: Event | None = None
        self.n_replayed = 0
        for _ in range(skip):
            self._peek()
            self._next = None
            self.n_replayed += 1

    def __repr__(self) -> str:
        """The log, and how far it was replayed."""
        return f"Replayed({str(self.path)!r}, {self.n_replayed} events so far)"

    @property
    def station(self) -> Station:
        """The nominal pulses and the temperatures that were recorded; any compliance is taken, and limits nothing."""
        return Station(
            ground=_nothing,
            temperature=self._recorded_temperature,
            limit_current=_no_current,
            nominal=self.nominal,
        )

    @property
    def finished(self) -> bool:
        """True if the log has no further event."""
        try:
            self._peek()
        except ReplayError:
            return True
        return False

    def read(self, v_row: torch.Tensor, placement: Placement) -> torch.Tensor:
        """The recorded currents, A."""
        found = self._answer(Kind.READ, placement=placement, v=v_row)
        self.books.read(placement, Drive.of_vectors(v_row))
        return found

    def read_transposed(self, v_col: torch.Tensor, placement: Placement) -> torch.Tensor:
        """The recorded currents, A."""
        found = self._answer(Kind.READ_TRANSPOSED, placement=placement, v=v_col)
        self.books.read(placement, v_col, transposed=True)
        return found

    def read_patches(self, v: torch.Tensor, geometry: ConvGeometry, placement: Placement) -> torch.Tensor:
        """The recorded currents, A."""
        found = self._answer(Kind.READ_PATCHES, placement=placement, geometry=geometry, v=v)
        count_patches(self.books, placement, v, geometry, v_per_x=1.0)
        return found

    def readout(self, cells: torch.Tensor) -> torch.Tensor:
        """The recorded conductances, S."""
        found = self._answer(Kind.READOUT, cells=cells)
        self.books.readout(cells, found)
        return found

    def pulse(self, cells: torch.Tensor, pulse: Pulse) -> None:
        """Nothing, if these pulses were sent then."""
        event = self._taken(Kind.PULSE, cells=cells, pulse=pulse)
        if event.failure is None or event.failure.sent is not None:
            sent = None if event.failure is None else event.failure.sent
            self.books.pulse(cells, pulse if sent is None else pulse._replace(n=sent))
        if event.failure is not None:
            raise_again(event.failure, ReplayedFailure, "recorded")

    def wait(self, duration: float) -> None:
        """Nothing, if this wait was made then."""
        event = self._taken(Kind.WAIT, duration=float(duration))
        if event.failure is not None:
            raise_again(event.failure, ReplayedFailure, "recorded")
        self.books.wait(duration)

    def _recorded_temperature(self) -> float:
        if self._temperature is None:
            raise ReplayError(f"{self.path} holds no temperature before event {self.n_replayed}")
        return self._temperature

    def _answer(self, kind: Kind, **asked: object) -> torch.Tensor:
        """The result of the next event, if it is this call."""
        event = self._taken(kind, **asked)
        if event.failure is not None:
            raise_again(event.failure, ReplayedFailure, "recorded")
        assert event.result is not None
        return event.result

    def _taken(self, kind: Kind, **asked: object) -> Event:
        """The next event, if it is this call.

        Raises:
            ReplayError: it is another one; the log stays where it is.
        """
        event = self._peek()
        then, now = event.kind.name.lower(), kind.name.lower()
        other = next((name for name, one in asked.items() if event.kind is kind and not _same(event, name, one)), None)
        if event.kind is not kind or other is not None:
            what = f"`{then}` with another `{other}`" if other is not None else f"`{then}`, but now is `{now}`"
            raise ReplayError(
                f"event {self.n_replayed} of {self.path} was {what}: only what was asked then has an answer"
            )
        self._next = None
        self.n_replayed += 1
        self._temperature = event.temperature
        return event

    def _peek(self) -> Event:
        if self._next is None:
            self._next = next(self._events, None)
        if self._next is None:
            raise ReplayError(f"{self.path} ends after event {self.n_replayed}: nothing was asked after it")
        return self._next


def _nothing() -> None:
    """There are no lines to ground."""


def _no_current(i: float) -> None:
    """No current flows."""
    del i


def _same(event: Event, name: str, asked: object) -> bool:
    """True if a field of an event is what is asked now: the same numbers, types included."""
    if name == "placement":
        return isinstance(asked, Placement) and event.placement is not None and _same_place(event.placement, asked)
    if name == "geometry":
        return event.geometry == asked
    if name == "duration":
        return event.duration == asked
    if name == "pulse":
        if not isinstance(asked, Pulse) or event.pulse is None:
            return False
        return all(_same_numbers(then, now) for then, now in zip(event.pulse, asked, strict=True))
    then = event.v if name == "v" else event.cells
    if then is None or not isinstance(asked, torch.Tensor) or then.dtype != asked.dtype:
        return False
    return _same_numbers(then, asked)


def _same_place(then: Placement, now: Placement) -> bool:
    if then is now:
        return True
    facts = (then.tiles, then.row_gain, then.col_gain, then.groups)
    return facts == (now.tiles, now.row_gain, now.col_gain, now.groups) and torch.equal(then.cells, now.cells)


def _same_numbers(then: torch.Tensor | None, now: object) -> bool:
    if then is None or not isinstance(now, torch.Tensor):
        return then is now
    one = now.detach().to(then.device)
    return one.shape == then.shape and bool(((one == then) | ((one != one) & (then != then))).all())  # NaN as NaN

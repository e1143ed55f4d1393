"""Driver of an ArC TWO board by `pyarc2`: parallel column reads, single pulses, selectors of 1T1R cells.

Untested without hardware: this driver was run against a stub of `pyarc2.Instrument` alone, never against a board. The
direction in which a board counts currents and pulses as positive is therefore an argument; `check_array` says if one is
wrong. Nothing of `pyarc2` is imported here but by `connect`, so the module can be used without it.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import torch

from ohmweave.base import DataError, OutOfRangeError, check_fields, integer
from ohmweave.bench.board import Board
from ohmweave.bench.driver import Driver, DriverError, Gated

N_CHANNELS = 64
_Channel: TypeAlias = Annotated[int, integer(at_least=0, at_most=N_CHANNELS - 1)]


class ArcInstrument(Protocol):
    """What is used of `pyarc2.Instrument`; each call that returns an instrument is queued until `execute`."""

    def connect_to_gnd(self, chans: Sequence[int]) -> Any:
        """Connect these channels to ground, and no others."""
        ...

    def ground_all(self) -> Any:
        """Ground all channels."""
        ...

    def config_channels(self, input: Iterable[tuple[int, float]], base: float | None) -> Any:  # noqa: A002
        """Set channels to voltages, V, and all others to `base`."""
        ...

    def read_slice_open(self, highs: Sequence[int], ground_after: bool) -> Any:
        """The currents of all 64 channels, of which `highs` are measured, A."""
        ...

    def pulse_one(self, low: int, high: int, voltage: float, nanos: int) -> Any:
        """A pulse between two channels, V and ns."""
        ...

    def config_selectors(self, input: Iterable[int]) -> Any:  # noqa: A002
        """Turn these selectors on, and all others off."""
        ...

    def config_aux_channels(self, input: Iterable[tuple[Any, float]]) -> Any:  # noqa: A002
        """Set auxiliary voltages, V."""
        ...

    def execute(self) -> Any:
        """Send what is queued."""
        ...

    def wait(self) -> None:
        """Wait until the board is ready."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelMap:
    """The channels of the lines of a package.

    Attributes:
        rows: channel of each row line, 0 to 63.
        cols: channel of each column line.
        usable: `(1, rows, cols)` bool, cells that exist in the package.

    Raises:
        OutOfRangeError: a channel is none of the board's, or is listed twice.
    """

    rows: tuple[_Channel, ...]
    cols: tuple[_Channel, ...]
    usable: torch.Tensor

    def __post_init__(self) -> None:
        """Check the channels."""
        check_fields(self)
        every = [*self.rows, *self.cols]
        if not self.rows or not self.cols or len(set(every)) < len(every):
            raise OutOfRangeError(
                f"`rows` and `cols` must be channels that differ, but are {self.rows} and {self.cols}"
            )

    @classmethod
    def load(cls, path: str | Path, *, rows: Literal["words", "bits"] = "words") -> "ChannelMap":
        """The map of a TOML file of arc2control: `[mapping]` with `words` and `bits`, `[config]` with a `mask`.

        Args:
            path: of the file.
            rows: the lines that are inputs: word lines, or bit lines.

        Raises:
            DataError: the file is missing, or is no such map.
        """
        try:
            found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            words, bits = ([int(one) for one in found["mapping"][name]] for name in ("words", "bits"))
            usable = torch.ones(len(words), len(bits), dtype=torch.bool, device="cpu")
            if mask := found.get("config", {}).get("mask"):
                usable[:] = False
                for word, bit in mask:
                    usable[word, bit] = True
            if rows == "bits":
                words, bits, usable = bits, words, usable.T.contiguous()
            return cls(rows=tuple(words), cols=tuple(bits), usable=usable[None])
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path} must be a channel map of arc2control, but gives {error!r}") from error


def connect(firmware: str, port: int | None = None) -> ArcInstrument:
    """The instrument of a board.

    Args:
        firmware: path of the file that came with the board.
        port: its number; None: the first one that is found.

    Raises:
        DataError: `pyarc2` is not installed, or no board is found.
    """
    try:
        import pyarc2
    except ImportError:
        raise DataError("an ArC TWO needs pyarc2: pip install 'ohmweave[pyarc2]'") from None
    ports = [port] if port is not None else pyarc2.find_ids()
    if not ports:
        raise DataError("no ArC TWO board was found: is it connected, powered, and is its USB driver installed?")
    instrument: ArcInstrument = pyarc2.Instrument(ports[0], firmware)
    return instrument


class ArcTwo(Driver):
    """A crossbar without selectors on an ArC TWO board: rows are driven at once, columns are sensed at once.

    Args:
        instrument: `connect(...)`, a `pyarc2.Instrument`, or a stub.
        board: the data sheet of the cells, with one array of the map's size and parallel reads.
        channels: of the lines.
        current_sign: 1, or -1 if the board counts a current into a column channel as negative.
        pulse_sign: 1, or -1 if `pulse_one` drives its channel `low`.

    Raises:
        OutOfRangeError: the sizes of board and map differ, or a sign is another number.
    """

    def __init__(
        self,
        instrument: ArcInstrument,
        board: Board,
        channels: ChannelMap,
        *,
        current_sign: Literal[1, -1] = 1,
        pulse_sign: Literal[1, -1] = 1,
    ) -> None:
        size = (1, len(channels.rows), len(channels.cols))
        if (board.n_arrays, board.rows, board.cols) != size or board.reads != "parallel":
            raise OutOfRangeError(f"`board` must be {size[1]} x {size[2]} cells with parallel reads, but is {board}")
        for name, sign in (("current_sign", current_sign), ("pulse_sign", pulse_sign)):
            if sign not in (1, -1):
                raise OutOfRangeError(f"`{name}` must be 1 or -1, but is {sign!r}")
        self._board, self.channels, self._instrument = board, channels, instrument
        self._current_sign, self._pulse_sign = current_sign, pulse_sign
        self._rows: list[int] = []
        self._cols: list[int] = []
        self._lines: list[int] = []

    @property
    def board(self) -> Board:
        """The data sheet."""
        return self._board

    def select(self, array: int, rows: Sequence[int], cols: Sequence[int]) -> None:
        """Look up the channels; nothing is driven yet."""
        self._rows = [self.channels.rows[row] for row in rows]
        self._cols = [self.channels.cols[col] for col in cols]
        self._lines = list(rows)

    def apply(self, v: Sequence[float]) -> None:
        """Drive the selected rows; all other channels are at 0 V."""
        self._instrument.connect_to_gnd([])  # clears hard grounds
        self._instrument.config_channels(list(zip(self._rows, map(float, v), strict=True)), 0.0)
        self._instrument.execute()

    def sense(self) -> list[float]:
        """The currents of the selected columns."""
        found = self._instrument.read_slice_open(self._cols, False)
        if len(found) != N_CHANNELS:
            raise DriverError(f"`read_slice_open` must return {N_CHANNELS} currents, but returned {len(found)}")
        return [self._current_sign * float(found[channel]) for channel in self._cols]

    def pulse(self, v: float, width: float) -> None:
        """One pulse between the row and the column.

        Raises:
            DriverError: the width is less than half a nanosecond, which the board cannot count.
        """
        nanos = round(width * 1e9)
        if nanos < 1:
            raise DriverError(f"`width` must be at least 1 ns on an ArC TWO, but is {width:g} s")
        (row,), (col,) = self._rows, self._cols
        self._instrument.pulse_one(col, row, self._pulse_sign * v, nanos)
        self._instrument.execute()
        self._instrument.wait()

    def ground(self) -> None:
        """All channels on hard ground."""
        self._instrument.ground_all()
        self._instrument.execute()


class ArcTwoSelected(ArcTwo, Gated):
    """A crossbar of 1T1R cells on an ArC TWO board, whose selector lines are the gates of its rows.

    Args:
        instrument: as in `ArcTwo`.
        board: as in `ArcTwo`, with gate voltages.
        channels: as in `ArcTwo`.
        selectors: number of the selector line of each row, 0 to 31.
        high: name of the auxiliary voltage of selectors that are on; `pyarc2.AuxDACFn.SELH`.
        current_sign: as in `ArcTwo`.
        pulse_sign: as in `ArcTwo`.

    Raises:
        OutOfRangeError: as `ArcTwo`, or there is not one selector for each row.
    """

    def __init__(
        self,
        instrument: ArcInstrument,
        board: Board,
        channels: ChannelMap,
        *,
        selectors: Sequence[int],
        high: Any,
        current_sign: Literal[1, -1] = 1,
        pulse_sign: Literal[1, -1] = 1,
    ) -> None:
        super().__init__(instrument, board, channels, current_sign=current_sign, pulse_sign=pulse_sign)
        if len(selectors) != board.rows or not all(0 <= one < 32 for one in selectors):
            raise OutOfRangeError(f"`selectors` must be {board.rows} lines from 0 to 31, but are {list(selectors)}")
        self._selectors, self._high = list(selectors), high

    def gate(self, v: float) -> None:
        """Turn on the selectors of the selected rows at `v`, V."""
        self._instrument.config_aux_channels([(self._high, float(v))])
        self._instrument.config_selectors([self._selectors[row] for row in self._lines])
        self._instrument.execute()

    def ground(self) -> None:
        """All channels on hard ground, then all selectors off."""
        super().ground()
        self._instrument.config_selectors([])
        self._instrument.execute()

"""The header of a log: the facts of the array whose calls it holds."""

from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

import torch

from ohmweave.arrays import ADC, DAC, Array, CoupledCells
from ohmweave.base import DataError, OhmweaveError, OutOfRangeError
from ohmweave.bench.events import Kind
from ohmweave.bench.log_file import positions
from ohmweave.bench.station import NominalPulse, station_of

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogHeader:
    """The facts of an array; each as in the protocol `Array`.

    Attributes:
        kind: name of the array's class.
        n_chips: None for one chip.
        n_arrays: crossbars on a chip.
        rows: row lines of a crossbar.
        cols: column lines of a crossbar.
        g_min: S.
        g_max: S.
        v_read: V.
        dtype: of currents.
        usable: `(n_arrays, rows, cols)` bool.
        dac: that the array's counters know, or None.
        adc: that the array's counters know, or None.
        nominal: pulses that are sent without an amplitude; None if not known.
        coupled: True if pulses may change the readouts of other cells; see `CoupledCells`.
    """

    kind: str
    n_chips: int | None
    n_arrays: int
    rows: int
    cols: int
    g_min: float
    g_max: float
    v_read: float
    dtype: torch.dtype
    usable: torch.Tensor
    dac: DAC | None
    adc: ADC | None
    nominal: NominalPulse | None
    coupled: bool

    @classmethod
    def of(cls, array: Array) -> "LogHeader":
        """The facts of an array.

        Raises:
            OutOfRangeError: a converter is of a class of somebody else's, which a log cannot hold.
        """
        books = array.books
        for name, part, kind in (("dac", books.dac, DAC), ("adc", books.adc, ADC)):
            if part is not None and type(part) is not kind:
                raise OutOfRangeError(
                    f"`{name}` of a recorded array must be a {kind.__name__}, but is a {type(part).__name__}: a log "
                    "holds those of ohmweave only"
                )
        return cls(
            kind=type(array).__name__,
            n_chips=array.n_chips,
            n_arrays=array.n_arrays,
            rows=array.rows,
            cols=array.cols,
            g_min=array.g_min,
            g_max=array.g_max,
            v_read=array.v_read,
            dtype=array.dtype,
            usable=array.usable.cpu(),
            dac=books.dac,
            adc=books.adc,
            nominal=station_of(array).nominal,
            coupled=isinstance(array, CoupledCells) and array.pulses_couple,
        )

    @property
    def n_cells(self) -> int:
        """Cells of all chips."""
        return (self.n_chips or 1) * self.n_arrays * self.rows * self.cols

    def record(self) -> list[Any]:
        """The record of this header."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        parts = {name: _plain(own[name]) for name in ("dac", "adc", "nominal")}
        return [Kind.HEADER, own | parts | {"dtype": str(self.dtype).removeprefix("torch.")}]

    @classmethod
    def from_record(cls, record: Any) -> "LogHeader":
        """The header of its record.

        Raises:
            DataError: it is no record of a header.
        """
        try:
            kind, own = record
            if kind != Kind.HEADER:
                raise ValueError(f"it is of kind {kind}")
            parts = {
                name: None if own[name] is None else make(**own[name])
                for name, make in (("dac", DAC), ("adc", ADC), ("nominal", NominalPulse))
            }
            return cls(**own | parts | {"dtype": _DTYPES[own["dtype"]]})
        except (OhmweaveError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"the first record of a log must be its header, but is not: {error}") from error

    def differs(self, other: "LogHeader") -> str | None:
        """The name of a fact that differs from `other`; None if none does. The class may be another."""
        for one in fields(self):
            mine, its = getattr(self, one.name), getattr(other, one.name)
            same = torch.equal(mine, its) if isinstance(mine, torch.Tensor) else mine == its
            if one.name != "kind" and not same:
                return one.name
        return None


def read_header(path: str | PathLike[str]) -> LogHeader:
    """The header of a log.

    Raises:
        DataError: the file is no log, or has no header.
    """
    for _, record in positions(path):
        return LogHeader.from_record(record)
    raise DataError(f"{path} is a log without a record")


def _plain(part: Any) -> dict[str, Any] | None:
    return None if part is None else {one.name: getattr(part, one.name) for one in fields(part) if one.init}

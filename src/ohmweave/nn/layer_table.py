"""A table of the layers of a network: what is on the chip, what is digital, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from ohmweave.base import check_fields, integer

Count = Annotated[int, integer(at_least=0, at_most=2**62)]

SHOWN = 40
"""Number of rows that a table shows."""

HEADS = ("layer", "kind", "on", "cells", "tiles", "arrays", "MACs", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer; cells are those of one chip.

    Attributes:
        name: of the layer; "" for the model itself.
        kind: its class.
        on: "chip", "digital" or "refused".
        note: why it is not on the chip, or what must be known of it.
        n_cells, n_tiles, n_arrays: cells, tiles, and arrays that hold them; 0 for a layer that is not on the chip.
        macs: products that are summed in one call; None if they were not counted.

    Raises:
        OutOfRangeError: a count is no integer >= 0, or `on` is another word.
    """

    name: str
    kind: str
    on: Literal["chip", "digital", "refused"]
    note: str = ""
    n_cells: Count = 0
    n_tiles: Count = 0
    n_arrays: Count = 0
    macs: Count | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def texts(self) -> tuple[str, ...]:
        """The row in words; what is zero or not known is left out."""
        numbers = (self.n_cells, self.n_tiles, self.n_arrays, self.macs)
        return (self.name or "the model", self.kind, self.on, *(f"{n:,}" if n else "" for n in numbers), self.note)


def table(rows: Sequence[LayerRow]) -> list[str]:
    """The rows below a line of heads, in columns as wide as they must be; columns that are empty are left out."""
    shown = [HEADS, *(row.texts() for row in rows[:SHOWN])]
    used = [c for c in range(len(HEADS)) if any(row[c] for row in shown[1:])]
    widths = {c: max(len(row[c]) for row in shown) for c in used}
    lines = ["  ".join(_cell(row[c], widths[c], c) for c in used).rstrip() for row in shown]
    return lines if len(rows) <= SHOWN else [*lines, f"and {len(rows) - SHOWN} more"]


def _cell(text: str, width: int, column: int) -> str:
    return text.rjust(width) if HEADS[column] in ("cells", "tiles", "arrays", "MACs") else text.ljust(width)

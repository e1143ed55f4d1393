"""What `calibrate` returns: a table of the full scales of all layers, before and after."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from ohmweave.base import OutOfRangeError, check_fields, non_negative, zero_to_one

_Size: TypeAlias = Annotated[float, non_negative()]
_Share: TypeAlias = Annotated[float, zero_to_one()]

SHOWN = 60
"""Number of rows that a table shows."""

_HEADS = ("layer", "kind", "input range", "clipped", "ADC range (uA)", "clipped", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedLayer:
    """One layer on the chip. A pair is the value before and the value after.

    Raises:
        OutOfRangeError: a number is negative or not finite, or a fraction is not from 0 to 1.

    Attributes:
        name: of the layer; "" for the model itself.
        kind: its class.
        x_max: the number that is driven at the read voltage; None for a scaling without one, such as
            `PerSampleScaling`.
        inputs_clipped: fraction of the inputs beyond `x_max`, in magnitude, before and after; None with it.
        i_max: A, the full scales of the ADC, of each group of a grouped convolution, before and after; None without an
            ADC.
        currents_clipped: fraction of the conversions beyond `i_max`, before and after; None with it.
        error: root mean square of the layer's output minus the exact product with its measured weight, over that of the
            exact product, of all chips, before and after. Read noise and what wires take are in it, errors of writing
            are not. None if the layer was not read.
    """

    name: str
    kind: str
    x_max: tuple[_Size, _Size] | None
    inputs_clipped: tuple[_Share, _Share] | None
    i_max: tuple[tuple[_Size, ...], tuple[_Size, ...]] | None
    currents_clipped: tuple[_Share, _Share] | None
    error: tuple[_Size, _Size] | None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if self.i_max is not None and not all(self.i_max):
            raise OutOfRangeError(f"`i_max` must have one full scale or more, but is {self.i_max}")

    def texts(self) -> tuple[str, ...]:
        """The row in words."""
        if self.error is None:
            return self.name or "the model", self.kind, "not read", "", "", "", ""
        return (
            self.name or "the model",
            self.kind,
            "by sample" if self.x_max is None else _moved(*(f"{x:.3g}" for x in self.x_max)),
            "" if self.inputs_clipped is None else _moved(*map(_share, self.inputs_clipped)),
            "" if self.i_max is None else _moved(*map(_span, self.i_max)),
            "" if self.currents_clipped is None else _moved(*map(_share, self.currents_clipped)),
            _moved(*(f"{x:.2g}" for x in self.error)),
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CalibrationTable:
    """The full scales that `calibrate` has set; printed as a table.

    Attributes:
        rows: of the layers on the chip, in the order of the model.
        title: the method, in words.
    """

    rows: tuple[CalibratedLayer, ...]
    title: str

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def __repr__(self) -> str:
        """A line for each layer, in which a -> b is the value before and after; fractions of 1."""
        shown = [_HEADS, *(row.texts() for row in self.rows[:SHOWN])]
        used = [c for c in range(len(_HEADS)) if any(row[c] for row in shown[1:])]
        widths = {c: max(len(row[c]) for row in shown) for c in used}
        lines = ["  ".join(row[c].ljust(widths[c]) for c in used).rstrip() for row in shown]
        if len(self.rows) > SHOWN:
            lines.append(f"and {len(self.rows) - SHOWN} more")
        return "\n".join([self.title, *(f"  {line}" for line in lines)])


def _moved(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _share(fraction: float) -> str:
    return f"{fraction:.2g}"


def _span(i_max: tuple[float, ...]) -> str:
    """One full scale, or the smallest and the largest of several."""
    low, high = f"{1e6 * min(i_max):.3g}", f"{1e6 * max(i_max):.3g}"
    return low if low == high else f"{low} to {high}"

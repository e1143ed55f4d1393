"""What a user says of a file that the file does not say itself."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ohmweave.base import OutOfRangeError, check_finite, shown
from ohmweave.base.units import parse_quantity
from ohmweave.fitting.titles import READINGS, ROLES, Title, parse_title, unit_of

Kind: TypeAlias = Literal["trains", "cycling", "relaxation", "time series", "sweep", "readout"]
KINDS: tuple[Kind, ...] = ("trains", "cycling", "relaxation", "time series", "sweep", "readout")
ColumnMap: TypeAlias = Mapping[str, str | int] | Sequence[str]

NOT_READ = "-"
"""What a user writes for a column that is not to be read."""
_SERIES = re.compile(r"\s*(\.\.\.|…)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """The options of `read`, checked.

    Attributes:
        named: the columns in order, "" for those that are not read; None if they were not given.
        found: from titles or numbers of columns to what they hold.
        series: True if the last of `named` holds for all further columns too.
        unit: of readings whose column has none, or "".
        v_read: V, or None.
        scale: slope, S, and offset, S, of a straight line from the file's numbers to conductances; or None.
        kind: what the file holds, or None.
        decimal: "." or ",", or None.
    """

    named: tuple[Title | None, ...] | None = None
    found: Mapping[str, Title] = field(default_factory=dict)
    series: bool = False
    unit: str = ""
    v_read: float | None = None
    scale: tuple[float, float] | None = None
    kind: Kind | None = None
    decimal: str | None = None


def read_options(
    *,
    columns: ColumnMap | None,
    unit: str | None,
    v_read: float | None,
    scale: Mapping[float, float] | None,
    kind: str | None,
    decimal: str | None,
) -> ReadOptions:
    """The options as `ReadOptions`; see `read`. Raises `OutOfRangeError`."""
    if v_read is not None and check_finite("v_read", v_read, "V") == 0:
        raise OutOfRangeError("`v_read` must not be 0 V")
    if kind is not None and kind not in KINDS:
        raise OutOfRangeError(f"`kind` must be one of {', '.join(KINDS)}, but is {shown(kind)}")
    if decimal is not None and decimal not in (".", ","):
        raise OutOfRangeError(f"`decimal` must be '.' or ',', but is {shown(decimal)}")
    named, found, series = _columns(columns)
    bare, at = _unit(unit)
    if at is not None and v_read is not None and at != v_read:
        raise OutOfRangeError(f"`unit` and `v_read` must give one read voltage, but give {at:g} and {v_read:g} V")
    return ReadOptions(
        named=named,
        found=found,
        series=series,
        unit=bare,
        v_read=at if v_read is None else v_read,
        scale=None if scale is None else _line(scale),
        kind=next((one for one in KINDS if one == kind), None),
        decimal=decimal,
    )


def _unit(unit: str | None) -> tuple[str, float | None]:
    """Unit and read voltage of `A @ 0.1 V`."""
    if unit is None:
        return "", None
    if not isinstance(unit, str):
        raise OutOfRangeError(f"`unit` must be text, but is {shown(unit)}")
    title = parse_title(f"reading ({unit.split('@')[0].strip()})" + (f" @{unit.split('@')[1]}" if "@" in unit else ""))
    if unit_of(title.unit) is None:
        raise OutOfRangeError(
            "`unit` (`--unit`) must be one of conductance, resistance or current, as uS, kOhm or 'uA @ 0.2 V', "
            f"but is {shown(unit)}"
        )
    return title.unit, title.v_read


def _columns(columns: ColumnMap | None) -> tuple[tuple[Title | None, ...] | None, dict[str, Title], bool]:
    if columns is None:
        return None, {}, False
    if isinstance(columns, Mapping):
        return None, {str(where): _held(str(what)) for what, where in columns.items()}, False
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        raise OutOfRangeError(f"`columns` must be a list of names or a dict, but is {shown(columns)}")
    texts = [str(one).strip() for one in columns]
    series = bool(texts) and _SERIES.search(texts[-1]) is not None
    if series:
        texts[-1] = _SERIES.sub("", texts[-1])
    return tuple(None if text in ("", NOT_READ) else _held(text) for text in texts), {}, series


def _held(text: str) -> Title:
    """What a column holds, in the user's words."""
    if text.rstrip("0123456789") == NOT_READ:  # the keys of a dict differ: "-", "-2"
        return Title(text=NOT_READ, name="")
    title = parse_title(text)
    if not title.role:
        raise OutOfRangeError(
            f"`columns` (`--columns`, `--column`) must say what a column holds, one of {', '.join(ROLES)} or - (not "
            f"read), with its unit, as in 'g (uS)', but says {text!r}"
        )
    return title


def _line(scale: Mapping[float, float]) -> tuple[float, float]:
    """Slope and offset of the line through two points."""
    wanted = "`scale` must map two different numbers of the file to conductances in S, as {0: 2e-6, 1: 20e-6}"
    if not isinstance(scale, Mapping) or len(scale) != 2:
        raise OutOfRangeError(f"{wanted}, but is {shown(scale)}")
    (x0, g0), (x1, g1) = ((check_finite("scale", x), check_finite("scale", g, "S")) for x, g in scale.items())
    if x0 == x1 or g0 == g1:
        raise OutOfRangeError(f"{wanted}, but is {shown(scale)}")
    slope = (g1 - g0) / (x1 - x0)
    return slope, g0 - slope * x0


def parse_scale(text: str, name: str) -> dict[float, float]:
    """`0 = 2 uS, 1 = 20 uS` as numbers, in S. Raises `OutOfRangeError` naming `name`."""
    points: dict[float, float] = {}
    for part in text.split(","):
        number, equals, g = part.partition("=")
        try:
            points[float(number)] = parse_quantity(g.strip(), "S", name)
        except ValueError as error:
            if not equals or not isinstance(error, OutOfRangeError):
                wanted = "two points of a line, as in '0 = 2 uS, 1 = 20 uS'"
                raise OutOfRangeError(f"`{name}` must be {wanted}, but is {text!r}") from None
            raise
    return points


def role_of_unit(unit: str) -> str:
    """The reading, `g`, `r` or `i`, that has this unit; "" if none has."""
    return READINGS.get(unit_of(unit) or "", "")

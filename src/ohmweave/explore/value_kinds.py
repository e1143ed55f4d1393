"""Values of a study file: each kind of value with what it must be, and its one JSON form in SI units."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmweave.base import OutOfRangeError, check_integer, shown
from ohmweave.base.checks import finite_number
from ohmweave.base.units import parse_quantity

Value = str | int | float | None
Parse = Callable[[str, Any], Value]

LONGEST = 200
"""Characters of a text in a study file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of value.

    Attributes:
        must_be: what a value must be, for messages and for the table of keys.
        parse: from the name of the place in the file and what is there to its JSON form.
        ranged: True if a sample may draw from all values between two.
        whole: True if such values are integers.
    """

    must_be: str
    parse: Parse
    ranged: bool = False
    whole: bool = False


def refused(name: str, must_be: str, value: object) -> OutOfRangeError:
    """The error for a value that is not what it must be."""
    return OutOfRangeError(f"`{name}` must be {must_be}, but is {shown(value)}")


def nearest(word: str, known: Sequence[str]) -> str:
    """As in ": did you mean 'levels'?"; empty if none of the `known` words is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f": did you mean {near[0]!r}?" if near else ""


def integers(*, at_least: int, at_most: int, none: str | None = None, odd: bool = False) -> Kind:
    """Integers of a range; with `none`, that word stands for None, and with `odd`, even ones are refused."""
    must_be = f"an {'odd ' if odd else ''}integer from {at_least:,} to {at_most:,}"
    must_be += "" if none is None else f", or {none!r}"

    def parse(name: str, value: Any) -> Value:
        if none is not None and value == none:
            return None
        try:
            found = check_integer(name, value, at_least=at_least, at_most=at_most)
        except OutOfRangeError:
            raise refused(name, must_be, value) from None
        if odd and found % 2 == 0:
            raise refused(name, must_be, value)
        return found

    return Kind(must_be=must_be, parse=parse, ranged=not odd, whole=True)


def numbers(*, at_least: float, at_most: float, above: bool = False) -> Kind:
    """Numbers without a unit; with `above`, the lower end itself is refused."""
    must_be = f"a number {'above' if above else 'from'} {at_least:g} {'and up ' if above else ''}to {at_most:g}"

    def parse(name: str, value: Any) -> Value:
        found = finite_number(value)
        if found is None or not at_least <= found <= at_most or (above and found == at_least):
            raise refused(name, must_be, value)
        return found

    return Kind(must_be=must_be, parse=parse, ranged=True)


def words(*known: str) -> Kind:
    """One of some words; a misspelt one names the nearest."""
    must_be = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}" if len(known) > 1 else repr(known[0])

    def parse(name: str, value: Any) -> Value:
        if not isinstance(value, str) or value not in known:
            near = nearest(value, known) if isinstance(value, str) else ""
            raise OutOfRangeError(f"`{name}` must be {must_be}, but is {shown(value)}{near}")
        return value

    return Kind(must_be=must_be, parse=parse)


def quantities(unit: str, *, at_least: float, at_most: float, example: str, fraction: bool = False) -> Kind:
    """Text with a unit, such as "2 Ohm", in SI units; with `fraction`, also a number above 0 and below 1.

    A fraction keeps its form as text, "0.02 of the window", since it is another quantity than one in `unit`.
    """
    must_be = f"a quantity from {at_least:g} to {at_most:g} {unit} with its unit, as in {example!r}"
    must_be += ", or a fraction of the cell's window above 0 and below 1" if fraction else ""

    def parse(name: str, value: Any) -> Value:
        if fraction and not isinstance(value, str):
            share = finite_number(value)
            if share is None or not 0 < share < 1:
                raise refused(name, must_be, value)
            return f"{share!r}{OF_THE_WINDOW}"
        if not isinstance(value, str):
            raise refused(name, must_be, value)
        try:
            found = parse_quantity(value, unit, name)
        except OutOfRangeError as error:
            raise OutOfRangeError(f"`{name}` must be {must_be}, but is {shown(value)}") from error
        if not at_least <= found <= at_most:
            raise refused(name, must_be, value)
        return found

    return Kind(must_be=must_be, parse=parse, ranged=True)


OF_THE_WINDOW = " of the window"


def names_or_files(known: Sequence[str], suffix: str, what: str) -> Kind:
    """A name, or the path of an existing file, which is kept as an absolute path."""
    must_be = f"{', '.join(known)} or the path of a {suffix} file {what}"

    def parse(name: str, value: Any) -> Value:
        if not isinstance(value, str) or not value or len(value) > LONGEST or "\0" in value:
            raise refused(name, must_be, value)
        if value in known:
            return value
        path = Path(value)
        if path.suffix != suffix or not path.is_file():
            raise OutOfRangeError(f"`{name}` must be {must_be}, but is {shown(value)}{nearest(value, known)}")
        return str(path.resolve())

    return Kind(must_be=must_be, parse=parse)

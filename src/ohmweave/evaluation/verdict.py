"""What a cell file says about itself, before anything is computed: law, range, verdict and notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ohmweave.base import DataError
from ohmweave.base.units import format_quantity
from ohmweave.cells import Cell

_SHOWN = 5  # values that were left out and notes that are shown in full; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How well simulated trains of the law agree with the measured ones, as `ohmweave fit` judged.

    Attributes:
        describes: False for "no law here describes these data".
        median: largest difference of the medians, as a fraction of the window.
        quartiles: the same of the quartiles; None with few cells.
        expected: what simulated benches of the law itself scatter by.
    """

    describes: bool
    median: float
    quartiles: float | None
    expected: float | None

    def __str__(self) -> str:
        """One sentence."""
        said = f"simulated trains of its law differ from the measured ones by up to {self.median:.1%} of the window"
        said += " in median" + ("" if self.quartiles is None else f", {self.quartiles:.1%} in quartiles")
        said += "" if self.expected is None else f"; benches of the law itself scatter by {self.expected:.1%}"
        return said if self.describes else f"no law describes its data: {said}"


def verdict_of(about: Mapping[str, Any], file: str) -> Verdict | None:
    """The verdict in the `about` of a cell file; None if there is none.

    Raises:
        DataError: it is damaged, so that "no law" could be hidden.
    """
    found = about.get("agreement")
    if found is None:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("describes"), bool):
        raise DataError(f"{file}: `agreement` of `about` must hold `describes`, true or false, but is {found!r}")
    median, quartiles, expected = (_fraction(found.get(name)) for name in ("median", "quartiles", "expected"))
    if median is None:
        raise DataError(f"{file}: `agreement` of `about` must hold `median`, a number, but is {found!r}")
    return Verdict(describes=found["describes"], median=median, quartiles=quartiles, expected=expected)


def _fraction(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def heading_of(cell: Cell, name: str, about: Mapping[str, Any]) -> tuple[str, ...]:
    """One sentence each: law and origin, window and pulses for which it holds, verdict, notes of the fit."""
    lines = [_law(cell, about), _valid(cell, about)]
    verdict = verdict_of(about, name)
    if verdict is not None:
        lines.append(f"{verdict}")
    elif about.get("chosen") is not None:
        lines.append("the file does not say how well its law describes the data (it is of an older `ohmweave fit`)")
    notes = about.get("notes")
    # The verdict is among the notes of a fit that found no law, too.
    others = [text for text in notes if not str(text).startswith("no law")] if isinstance(notes, list) else []
    lines += _shown("note of the fit", others)
    lines += _shown("left out", about.get("left_out"))
    return tuple(lines)


def _law(cell: Cell, about: Mapping[str, Any]) -> str:
    law = type(cell.switching).__name__
    if about.get("chosen") is None:
        return f"switching law {law}; the file does not say what it was fitted to"
    said = f"switching law {law}, of form {about['chosen']}"
    counts = [about.get(what) for what in ("pulses", "cells")]
    if all(isinstance(n, int) for n in counts):
        said += f", fitted to {counts[0]:,} pulses of {counts[1]:,} cell{'' if counts[1] == 1 else 's'}"
    return said + (f" in {about['file']}" if isinstance(about.get("file"), str) else "")


def _valid(cell: Cell, about: Mapping[str, Any]) -> str:
    window = " to ".join(format_quantity(g, "S") for g in (cell.g_min, cell.g_max))
    conditions = about.get("conditions")
    found = conditions if isinstance(conditions, dict) else {}
    pulses = [
        f"{sign} {format_quantity(v, 'V')} for {format_quantity(width, 's')}"
        for sign in ("SET", "RESET")
        if (v := _fraction(found.get(f"v_{sign.lower()}"))) is not None
        and (width := _fraction(found.get(f"width_{sign.lower()}"))) is not None
    ]
    said = f": {', '.join(pulses)}" if pulses else ", whose amplitudes and widths are not in the file"
    return f"valid from {window}, for the measured pulses alone{said}"


def _shown(what: str, found: Any) -> list[str]:
    texts = [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
    more = [f"{what}: and {len(texts) - _SHOWN} more in the file"] if len(texts) > _SHOWN else []
    return [f"{what}: {text}" for text in texts[:_SHOWN]] + more

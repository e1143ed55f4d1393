"""Device files: a law, with all that it wraps, as JSON that people can read and change.

    {"format": "ohmweave device", "version": 1,
     "law": {"kind": "WithD2D", "d2d": 0.2, "law": {"kind": "LinearCell", "g_min": 2e-06, ...}},
     "about": {...}}

A law's fields are its arguments, in SI units. What stands under `about` is for people and is not read.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ohmweave.base import DataError, OhmweaveError
from ohmweave.base.files import atomic_write
from ohmweave.cells.affine import AffineCell
from ohmweave.cells.d2d import WithD2D
from ohmweave.cells.gate_controlled import GateControlledCell
from ohmweave.cells.gate_curve import LinearGate, TabulatedGate
from ohmweave.cells.linear import LinearCell
from ohmweave.cells.protocol import Device
from ohmweave.cells.pulse_table import PulseTable
from ohmweave.cells.read_noise import WithReadNoise
from ohmweave.cells.relaxation import WithRelaxation
from ohmweave.cells.sinh_current import WithSinhCurrent
from ohmweave.cells.stuck import WithStuckCells
from ohmweave.cells.voltage import WithVoltageDependence

FORMAT, VERSION = "ohmweave device", 1
KINDS: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        AffineCell,
        GateControlledCell,
        LinearCell,
        LinearGate,
        PulseTable,
        TabulatedGate,
        WithD2D,
        WithReadNoise,
        WithRelaxation,
        WithSinhCurrent,
        WithStuckCells,
        WithVoltageDependence,
    )
}
_GATES = (LinearGate, TabulatedGate)


def save(law: Device[Any], path: str | Path, *, about: Mapping[str, Any] | None = None) -> None:
    """Write a law to a device file; the file is whole or not there. Numbers are written so that `load` gives the same.

    Args:
        law: made of the laws and wrappers of `ohmweave.cells`.
        path: the file, which is replaced.
        about: where the law comes from, as JSON values.

    Raises:
        DataError: the law has a part of another kind, or a number of `about` is not finite.
    """
    content = {"format": FORMAT, "version": VERSION, "law": _written(law), "about": dict(about or {})}
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"`about` must hold JSON values, but: {error}") from None
    with atomic_write(Path(path)) as part:
        part.write_text(text + "\n", encoding="utf-8")


def load(path: str | Path) -> Device[Any]:
    """The law of a device file.

    Raises:
        DataError: the file is not there or no device file, or is of a later version; or a law or field of it is
            unknown, missing or out of range: the message says which, and what it must be.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise DataError(f"`path` must be a device file, but {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} must be JSON, but is not: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f'{path} must be a device file, but has no `"format": "{FORMAT}"`')
    if content.get("version") != VERSION:
        raise DataError(f"{path}: `version` must be {VERSION}, but is {content.get('version')!r}")
    law: Device[Any] = _argument("law", content.get("law"), f"{path}: law")
    return law


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}")


def _written(part: Any) -> Any:
    """A law, or an argument of one, as JSON values."""
    if type(part) in KINDS.values():
        arguments = {field.name: _written(getattr(part, field.name)) for field in fields(part)}
        return {"kind": type(part).__name__, **arguments}
    if isinstance(part, tuple):
        return [_written(one) for one in part]
    if part is None or isinstance(part, bool | int | float | str):
        return part
    raise DataError(f"`law` must be made of {', '.join(KINDS)}, but holds a {type(part).__name__}")


def _read(part: Any, where: str) -> Any:
    """Inverse of `_written`; `where` leads to the part, for messages."""
    if not isinstance(part, dict):
        raise DataError(f"{where} must be an object with a `kind`, but is {part!r}")
    kind = KINDS.get(str(part.get("kind")))
    if kind is None:
        raise DataError(f"{where}: `kind` must be one of {', '.join(KINDS)}, but is {part.get('kind')!r}")
    known = {field.name: field for field in fields(kind)}
    given = part.keys() - {"kind"}
    if unknown := given - known.keys():
        raise DataError(
            f"{where}: {kind.__name__} has the fields {', '.join(known)}, but not {', '.join(sorted(unknown))}"
        )
    if missing := [name for name, field in known.items() if name not in given and field.default is MISSING]:
        raise DataError(f"{where}: {kind.__name__} needs {', '.join(missing)}")
    arguments = {name: _argument(name, part[name], f"{where}.{name}") for name in given}
    try:
        return kind(**arguments)
    except (OhmweaveError, TypeError) as error:
        raise DataError(f"{where}: {error}") from error


def _argument(name: str, value: Any, where: str) -> Any:
    """Laws and gate curves stand in objects; whatever else a law takes is a number, a word or a tuple of numbers."""
    if name not in ("law", "gate"):
        return tuple(value) if isinstance(value, list) else value
    part = _read(value, where)
    if isinstance(part, _GATES) != (name == "gate"):
        wanted = "a gate curve" if name == "gate" else "the law of a cell"
        raise DataError(f"{where} must be {wanted}, but is a {type(part).__name__}")
    return part

"""Cell files: a cell as JSON that people can read and change.

    {"format": "ohmweave cell", "version": 2,
     "cell": {"switching": {"kind": "LinearStep", "g_min": 2e-06, ...},
              "spread": {"kind": "Spread", "d2d": 0.2},
              "retention": [{"kind": "Relaxation", "sigma_fast": 4e-07}]},
     "about": {...}}

The fields of a part are its arguments, in SI units; absent parts are left out. `about` is a note for readers and is
ignored by `load`. Files of version 1 (nested wrappers) can be read too: see `cell_file_v1`.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

from ohmweave.base import DataError, OhmweaveError
from ohmweave.base.files import atomic_write, check_path
from ohmweave.cells.affine_step import AffineStep
from ohmweave.cells.cell import Cell
from ohmweave.cells.cell_file_v1 import FORMATS_V1, parts_of_v1
from ohmweave.cells.conduction import PolynomialConduction, SinhConduction
from ohmweave.cells.field_types import field_value
from ohmweave.cells.flicker_noise import FlickerNoise
from ohmweave.cells.gate_compliance import GateCompliance
from ohmweave.cells.gate_curve import LinearGate, TabulatedGate
from ohmweave.cells.gated_states import GatedStates
from ohmweave.cells.laws import SwitchingLaw
from ohmweave.cells.level_relaxation import LevelRelaxation
from ohmweave.cells.linear_step import LinearStep
from ohmweave.cells.pulse_table import PulseTable
from ohmweave.cells.read_noise import ReadNoise
from ohmweave.cells.relaxation import Relaxation
from ohmweave.cells.spread import Spread
from ohmweave.cells.stretched_step import StretchedStep
from ohmweave.cells.stuck_cells import StuckCells
from ohmweave.cells.two_state import TwoState
from ohmweave.cells.voltage import VoltageDependence

FORMAT, VERSION = "ohmweave cell", 2
PARTS: Mapping[str, tuple[type[Any], ...]] = {
    "switching": (AffineStep, GateCompliance, GatedStates, LinearStep, PulseTable, StretchedStep, TwoState),
    "spread": (Spread,),
    "voltage": (VoltageDependence,),
    "retention": (Relaxation, LevelRelaxation, FlickerNoise),
    "faults": (StuckCells,),
    "conduction": (SinhConduction, PolynomialConduction),
    "read_noise": (ReadNoise,),
}
"""What a file may hold, by argument of `Cell`."""
_NESTED: Mapping[str, tuple[type[Any], ...]] = {"gate": (LinearGate, TabulatedGate)}


def save(cell: Cell | SwitchingLaw[Any], path: str | Path, *, about: Mapping[str, Any] | None = None) -> None:
    """Write a cell to a file, completely or not at all. `load` gives exactly the same numbers.

    Args:
        cell: made of the parts of `ohmweave.cells`; a switching law is saved as a cell without other parts.
        path: the file, which is replaced.
        about: where the cell comes from, as JSON values.

    Raises:
        DataError: the cell has a part of another kind, or a number of `about` is not finite.
        TypeError: `cell` is neither a cell nor a switching law.
    """
    content = {"format": FORMAT, "version": VERSION, "cell": _written_cell(Cell.of(cell)), "about": dict(about or {})}
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"`about` must hold JSON values, but: {error}") from None
    with atomic_write(check_path("path", path)) as part:
        part.write_text(text + "\n", encoding="utf-8")


def load(path: str | Path) -> Cell:
    """The cell of a file.

    Raises:
        DataError: the file is not there or no cell file, or is of a later version; or a part or field of it is
            unknown, missing, of the wrong type or out of range: the message names file and field, and says what it
            must be.
    """
    path = check_path("path", path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise DataError(f"`path` must be a cell file, but {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} must be JSON, but is not: {error}") from None
    if not isinstance(content, dict) or content.get("format") not in (FORMAT, *FORMATS_V1):
        raise DataError(f'{path} must be a cell file, but has no `"format": "{FORMAT}"`')
    newest = VERSION if content["format"] == FORMAT else 1
    if content.get("version") != newest or isinstance(content["version"], bool):
        raise DataError(f"{path}: `version` must be {newest}, but is {content.get('version')!r}")
    if newest == VERSION:
        if unknown := content.keys() - {"format", "version", "cell", "about"}:
            raise DataError(f"{path} must hold format, version, cell and about, but holds {', '.join(sorted(unknown))}")
        return _cell(content.get("cell"), str(path), {})
    parts, places = parts_of_v1(content.get("law"), str(path))
    return _cell(parts, str(path), places)


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}")


def _written_cell(cell: Cell) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, kinds in PARTS.items():
        part = getattr(cell, name)
        if name == "retention":
            part = list(part)
        if part is not None and part != []:
            written[name] = [_written(one, kinds) for one in part] if name == "retention" else _written(part, kinds)
    return written


def _written(part: Any, kinds: tuple[type[Any], ...]) -> dict[str, Any]:
    """A part as JSON values."""
    if type(part) not in kinds:
        wanted = ", ".join(kind.__name__ for kind in kinds)
        raise DataError(f"`cell` must be made of {wanted} to be saved, but holds a {type(part).__name__}")
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return {"kind": type(part).__name__} | {
        name: _written(value, _NESTED[name]) if name in _NESTED else value for name, value in values.items()
    }


def _cell(content: Any, path: str, places: Mapping[str, str]) -> Cell:
    """The cell of `{argument: part}`; `places` says where in the file a part is, if not under its own name."""
    if not isinstance(content, dict):
        raise DataError(f"{path}: cell must be an object, but is {content!r}")
    if unknown := content.keys() - PARTS.keys():
        raise DataError(f"{path}: cell has the parts {', '.join(PARTS)}, but not {', '.join(sorted(unknown))}")
    if content.get("switching") is None:
        raise DataError(f"{path}: cell must have a switching law, but has no `switching`")
    parts: dict[str, Any] = {}
    for name, kinds in PARTS.items():
        part, where = content.get(name), f"{path}: {places.get(name, f'cell.{name}')}"
        if part is None:
            continue
        if name == "retention":
            listed = part if isinstance(part, list) else [part]
            parts[name] = tuple(_part(one, kinds, f"{where}[{index}]") for index, one in enumerate(listed))
        else:
            parts[name] = _part(part, kinds, where)
    try:
        return Cell(parts.pop("switching"), **parts)
    except OhmweaveError as error:
        raise DataError(f"{path}: {error}") from error


def _part(part: Any, kinds: tuple[type[Any], ...], where: str) -> Any:
    """Inverse of `_written`; `where` leads to the part, for messages."""
    if not isinstance(part, dict):
        raise DataError(f"{where} must be an object with a `kind`, but is {part!r}")
    kind = next((kind for kind in kinds if kind.__name__ == part.get("kind")), None)
    if kind is None:
        wanted = ", ".join(one.__name__ for one in kinds)
        raise DataError(f"{where}: `kind` must be one of {wanted}, but is {part.get('kind')!r}")
    known = {field.name: field for field in fields(kind)}
    given = part.keys() - {"kind"}
    if unknown := given - known.keys():
        raise DataError(
            f"{where}: {kind.__name__} has the fields {', '.join(known)}, but not {', '.join(sorted(unknown))}"
        )
    if missing := [name for name, field in known.items() if name not in given and field.default is MISSING]:
        raise DataError(f"{where}: {kind.__name__} needs {', '.join(missing)}")
    types = get_type_hints(kind)
    arguments = {
        name: _part(part[name], _NESTED[name], f"{where}.{name}")
        if name in _NESTED
        else field_value(part[name], types[name], f"{where}.{name}")
        for name in given
    }
    try:
        return kind(**arguments)
    except OhmweaveError as error:
        raise DataError(f"{where}: {error}") from error

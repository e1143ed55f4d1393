"""Files of version 1: laws nested in wrappers, mapped to the parts of a cell.

    {"format": "memweave device", "version": 1,
     "law": {"kind": "WithD2D", "d2d": 0.2, "law": {"kind": "LinearCell", "g_min": 2e-06, ...}}}

The physics of a cell has one order, whatever the order of the wrappers was. That changes two of the old combinations:
read noise inside stuck cells left stuck cells free of noise, and a sinh current inside stuck cells left them ohmic.
Steps of varied or voltage-dependent cells are now scaled before the window cuts them.
"""

from collections.abc import Mapping
from typing import Any

from ohmweave.base import DataError

FORMATS_V1 = ("memweave device", "ohmweave device")
_PART_OF = {
    "WithD2D": ("spread", "Spread"),
    "WithVoltageDependence": ("voltage", "VoltageDependence"),
    "WithRelaxation": ("retention", "Relaxation"),
    "WithStuckCells": ("faults", "StuckCells"),
    "WithSinhCurrent": ("conduction", "SinhConduction"),
    "WithReadNoise": ("read_noise", "ReadNoise"),
}
_LAW_OF = {
    "AffineCell": "AffineStep",
    "GateControlledCell": "GateCompliance",
    "LinearCell": "LinearStep",
    "PulseTable": "PulseTable",
}


def parts_of_v1(law: Any, path: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """`{argument of Cell: part}` as in a file of version 2, and where each part is in this file.

    Raises:
        DataError: a wrapper or law is unknown, or two wrappers are of a kind that a cell has once.
    """
    parts: dict[str, Any] = {}
    places: dict[str, str] = {}
    retention: list[Any] = []
    where = "law"
    while True:
        if not isinstance(law, dict):
            raise DataError(f"{path}: {where} must be an object with a `kind`, but is {law!r}")
        kind = law.get("kind")
        fields = {name: value for name, value in law.items() if name != "law"}
        if kind in _LAW_OF:
            parts["switching"], places["switching"] = _switching(law), where
            break
        if kind not in _PART_OF:
            known = ", ".join((*_LAW_OF, *_PART_OF))
            raise DataError(f"{path}: {where}: `kind` must be one of {known}, but is {kind!r}")
        name, fields["kind"] = _PART_OF[kind]
        if name == "retention":
            retention.insert(0, fields)  # the innermost wrapper acted first
        elif name in parts:
            raise DataError(
                f"{path}: {where} must not be a second {kind}: a cell has one `{name}`. Remove one of the two, or put "
                "what both do into one"
            )
        else:
            parts[name] = fields
        places.setdefault(name, where)
        law, where = law.get("law"), f"{where}.law"
    if retention:
        parts["retention"] = retention
    return parts, places


def _switching(law: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {**law, "kind": _LAW_OF[law["kind"]]}
    if law["kind"] == "GateControlledCell":
        renamed.setdefault("noise_on", "all")  # the default of version 1
    return renamed

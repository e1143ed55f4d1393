"""Short texts for the reprs of dataclasses with many fields."""

from dataclasses import MISSING, fields
from typing import Any


def short_repr(part: Any) -> str:
    """The call that makes a dataclass, without the arguments that have their default values."""
    given = {field.name: getattr(part, field.name) for field in fields(part) if field.init}
    default = {field.name: field.default for field in fields(part) if field.default is not MISSING}
    shown = [f"{name}={value!r}" for name, value in given.items() if name not in default or value != default[name]]
    return f"{type(part).__name__}({', '.join(shown)})"

"""What a call with nasty arguments did: accepted with a sound result, refused by name, or a failure."""

import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch

import ohmweave
from ohmweave.base import OhmweaveError

HERE = Path(ohmweave.__file__).parent


class Kind(Enum):
    """The outcome of one input."""

    OK = "accepted, sound"
    REFUSED = "refused by name"
    LATER = "accepted, refused by name at first use beside another object"
    TYPE = "TypeError and the like for a wrong type, without a name"
    NONSENSE = "accepted, silent nonsense"
    LATE = "accepted, failing at first use"
    FOREIGN = "foreign traceback"
    HANG = "longer than 2 s"
    HALF = "refused, but state changed"
    NUMPY = "a NumPy number of a valid value refused"


GOOD = {Kind.OK, Kind.REFUSED, Kind.LATER, Kind.TYPE}


@dataclass(frozen=True)
class Outcome:
    """Attributes: kind; what: in words."""

    kind: Kind
    what: str = ""


def refusal(error: BaseException, *, wrong_type: bool) -> Outcome:
    """The outcome of a call that raised."""
    if isinstance(error, OhmweaveError) or (isinstance(error, TypeError | ValueError) and _names(error)):
        return Outcome(Kind.REFUSED)
    if isinstance(error, OSError) and error.filename is not None:  # the system's own words, with the file's name
        return Outcome(Kind.REFUSED)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__}: {str(error)[:120]} [{Path(frame.filename).name}:{frame.lineno} {_ours(error)}]"
    if wrong_type and isinstance(error, TypeError | ValueError | AttributeError):
        return Outcome(Kind.TYPE, what)
    return Outcome(Kind.FOREIGN, what)


def _names(error: BaseException) -> bool:
    """True if the error was raised in our own source with a name in backquotes."""
    last = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return last.is_relative_to(HERE) and "`" in str(error)


def _ours(error: BaseException) -> str:
    """The innermost line of our own source."""
    own = [one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).is_relative_to(HERE)]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def unsound(result: Any, *, negative: bool = True, nan: bool = False, depth: int = 4) -> str:
    """What is wrong with the numbers of a result, in words; "" if nothing.

    Args:
        result: number, tensor, dataclass or container.
        negative: False if no number may be below zero.
        nan: True if the arguments held NaN or infinity, which may come out again.
        depth: of nesting that is looked at.
    """
    if isinstance(result, bool | str | None | torch.nn.Module) or depth < 0:
        return ""
    if isinstance(result, int | float):
        if not nan and isinstance(result, float) and math.isnan(result):
            return "NaN"
        return f"{result!r} is negative" if not negative and result < 0 else ""
    if isinstance(result, torch.Tensor):
        return _unsound_tensor(result.detach(), negative=negative, nan=nan)
    if is_dataclass(result) and not isinstance(result, type):
        result = {one.name: getattr(result, one.name) for one in fields(result)}
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, tuple | list):
        return next((bad for one in result if (bad := unsound(one, negative=negative, nan=nan, depth=depth - 1))), "")
    return ""


def _unsound_tensor(result: torch.Tensor, *, negative: bool, nan: bool) -> str:
    if not result.is_floating_point():
        return ""
    n_bad = int((~result.isfinite()).sum())
    if n_bad and not nan:
        return f"{n_bad} of {result.numel()} entries are NaN or infinite"
    return f"down to {float(result.min())}" if not negative and bool((result < 0).any()) else ""


def nan_as_in(result: Any, referee: Any) -> bool:
    """True if all that is not finite in `result` is NaN, at places where `referee`, of the same form, has NaN."""
    if isinstance(result, torch.Tensor):
        return (
            isinstance(referee, torch.Tensor)
            and result.shape == referee.shape
            and bool((result.isfinite() | (result.isnan() & referee.isnan())).all())
        )
    if isinstance(result, tuple | list):
        return len(result) == len(referee) and all(map(nan_as_in, result, referee))
    return result is referee is None


def overflows(arguments: Mapping[str, Any]) -> bool:
    """True if a tensor has numbers whose squares are infinite in single precision, as in any layer of torch."""
    return any(
        isinstance(value, torch.Tensor) and value.is_floating_point() and bool((value.abs() > 1e18).any())
        for value in arguments.values()
    )

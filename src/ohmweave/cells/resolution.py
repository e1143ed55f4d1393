"""Whether the dtype of cells can hold the steps of their law; smaller steps would silently move nothing."""

from collections.abc import Iterable
from typing import NamedTuple

import torch

from ohmweave.base import OutOfRangeError


class StepAt(NamedTuple):
    """A step of a law. Attributes: word: SET or RESET; size: S, >= 0; at: S, the conductance before it."""

    word: str
    size: float
    at: float


def check_resolved(law: str, steps: Iterable[StepAt], dtype: torch.dtype, *, remedy: str) -> None:
    """Raise if a step is rounded away: no single pulse would move the cell there. Steps of 0 S are meant, and pass.

    Args:
        law: name of its class.
        steps: to check.
        dtype: of the conductances.
        remedy: what else than a wider dtype helps.

    Raises:
        OutOfRangeError: a step is lost.
    """
    for word, size, at in steps:
        before = torch.tensor(at, dtype=dtype, device="cpu")
        after = before + size if word == "SET" else before - size
        if size > 0 and bool(after == before):
            raise OutOfRangeError(
                f"`dtype` must resolve the {word} step of {law}, {size:.3g} S at {at:.3g} S, but {dtype} rounds it "
                f"away, so that single pulses move nothing: make the chip with `dtype=torch.float64`, or {remedy}"
            )

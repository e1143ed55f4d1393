"""The check of a saved state of cells, which may be damaged."""

from collections.abc import Mapping

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells.window import HIGHEST


def was_narrower(name: str) -> bool:
    """True for ages, counts and relaxators, float64 here and float32 in earlier versions; float64 holds them exactly.

    Args:
        name: of a tensor of the state, as `flatten_state` gives it.
    """
    return name.endswith((".age", ".n")) or name.rpartition(".")[0].endswith(".x")


def check_saved_cells(leaves: Mapping[str, torch.Tensor], conductance: torch.Tensor) -> None:
    """Raise `OutOfRangeError` unless tensors can be the state of cells.

    All numbers must be finite, and conductances, factors of steps, ages and counts must not be negative.

    Args:
        leaves: the state by name, as `flatten_state` gives it, each tensor of the shape of the cells.
        conductance: S, of this state with its faults.
    """
    checked = {**leaves, "conductance": conductance}
    for name, leaf in checked.items():
        if leaf.is_floating_point() and not bool(leaf.isfinite().all()):
            raise OutOfRangeError(f"`cells.{name}` must be finite, but has entries that are NaN or infinite")
        signed = name not in ("switching.g", "conductance", "factor") and not name.endswith((".age", ".g_stuck", ".n"))
        if not signed and bool((leaf < 0).any()):
            raise OutOfRangeError(f"`cells.{name}` must be >= 0, but is down to {float(leaf.min()):g}")
    if bool((conductance > HIGHEST).any()):
        highest = float(conductance.max())
        raise OutOfRangeError(f"conductances of cells must be at most {HIGHEST:g} S, but are up to {highest:g} S")

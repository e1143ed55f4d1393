"""The map of the cells of a chip: which respond to pulses, and what the others conduct."""

import json
from dataclasses import dataclass
from enum import IntEnum
from os import PathLike
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ohmweave.base import DataError, OutOfRangeError, ShapeError, check_tensor
from ohmweave.base.files import atomic_write
from ohmweave.base.text import counted

_FORMAT = "ohmweave cell map 1"
_NAMES = ("state", "g_low", "g_high", "open_rows", "open_cols", "n_pulses")


class CellCondition(IntEnum):
    """What a cell does."""

    USABLE = 0
    """It moves by pulses, within the window."""
    UNFORMED = 1
    """It conducts far less than the lowest conductance, whatever is sent."""
    LEAKY = 2
    """It conducts far more than the highest conductance, whatever is sent."""
    STUCK = 3
    """It conducts, but pulses move it by a small part of the window only."""
    OPEN = 4
    """It is on a broken line, or could not be measured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CellMap:
    """What measurements found out about the cells of a chip; `bench.MapCells` measures it.

    Attributes:
        state: `(*chips, n_arrays, rows, cols)` int8, a `CellCondition` of each cell.
        g_low: S, the same shape: measured after a train of RESET pulses; NaN where there is no measurement.
        g_high: S, the same: measured after a train of SET pulses.
        open_rows: `(*chips, n_arrays, rows)` bool, broken row lines.
        open_cols: `(*chips, n_arrays, cols)` bool, broken column lines.
        n_pulses: `(*chips, n_arrays, rows, cols)` int64, pulses that each cell has got in its life, as far as known.

    Raises:
        ShapeError: the shapes do not belong together.
        OutOfRangeError: a dtype or a state is another, or a number is out of range. Conductances may be a little below
            0 S, as instruments measure them.
    """

    state: torch.Tensor
    g_low: torch.Tensor
    g_high: torch.Tensor
    open_rows: torch.Tensor
    open_cols: torch.Tensor
    n_pulses: torch.Tensor

    def __post_init__(self) -> None:
        """Check the tensors."""
        state = check_tensor("state", self.state, dtype=torch.int8)
        if state.dim() not in (3, 4) or not state.numel():
            raise ShapeError(f"`state` must be (*chips, n_arrays, rows, cols), but is {tuple(state.shape)}")
        *outer, rows, cols = state.shape
        shapes = {"open_rows": (*outer, rows), "open_cols": (*outer, cols)}
        kinds = {"open_rows": torch.bool, "open_cols": torch.bool, "n_pulses": torch.int64}
        for name in _NAMES[1:]:
            leaf = check_tensor(name, getattr(self, name), dtype=kinds.get(name))
            if tuple(leaf.shape) != shapes.get(name, tuple(state.shape)):
                raise ShapeError(f"`{name}` must fit `state`, {tuple(state.shape)}, but has {tuple(leaf.shape)}")
            if name.startswith("g_") and not leaf.is_floating_point():
                raise OutOfRangeError(f"`{name}` must be floating point numbers, in S, but is {leaf.dtype}")
            if name.startswith("g_") and bool((leaf.abs() > 1).any()):
                raise OutOfRangeError(f"`{name}` must be NaN or from -1 to 1 S, but has other numbers")
            if name == "n_pulses" and bool((leaf < 0).any()):
                raise OutOfRangeError(f"`n_pulses` must be >= 0, but is {int(leaf.min())}")
        measured = state != CellCondition.OPEN
        for name in ("g_low", "g_high"):
            if not bool((getattr(self, name)[measured].abs() < 1).all()):  # false for NaN
                raise OutOfRangeError(f"`{name}` must be below 1 S for all cells that are not open, but is not")
        if int(state.min()) < 0 or int(state.max()) > max(CellCondition):
            raise OutOfRangeError(f"`state` must be from 0 to {max(CellCondition)}, but is up to {int(state.max())}")

    def __repr__(self) -> str:
        """Sizes, and how many cells are in each state."""
        counts = ", ".join(f"{n:,} {state.name.lower()}" for state, n in self.counts().items() if n)
        lines = int(self.open_rows.sum()), int(self.open_cols.sum())
        return (
            f"CellMap({tuple(self.state.shape)}: {counts}; {counted(lines[0], 'open row')}, "
            f"{counted(lines[1], 'open column')})"
        )

    def counts(self) -> dict[CellCondition, int]:
        """The number of cells in each state."""
        return {state: int((self.state == state).sum()) for state in CellCondition}

    @property
    def usable(self) -> torch.Tensor:
        """`(n_arrays, rows, cols)` bool: cells that are usable on all chips, as `Array.usable` has them."""
        return self._on_any_chip(self.state != CellCondition.USABLE).logical_not()

    @property
    def open(self) -> torch.Tensor:
        """`(n_arrays, rows, cols)` bool: cells that are on a broken line of a chip, or could not be measured there."""
        return self._on_any_chip(self.state == CellCondition.OPEN)

    @property
    def held(self) -> torch.Tensor:
        """S, `(*chips, n_arrays, rows, cols)`: what cells that are not usable conduct; NaN for usable cells.

        It is the mean of the two measurements, and 0 where there is none, as on an open line.
        """
        mean = ((self.g_low + self.g_high) / 2).nan_to_num(nan=0.0)
        mean = torch.where(self.state == CellCondition.OPEN, 0.0, mean)
        return torch.where(self.state == CellCondition.USABLE, torch.nan, mean)

    def _on_any_chip(self, mask: torch.Tensor) -> torch.Tensor:
        return mask.any(0) if mask.dim() == 4 else mask

    def save(self, path: str | PathLike[str]) -> None:
        """Write the map to a file (safetensors); an old one is replaced when the new one is complete."""
        leaves = {name: getattr(self, name).detach().cpu().contiguous() for name in _NAMES}
        about = {"format": _FORMAT, "states": json.dumps({one.name: int(one) for one in CellCondition})}
        with atomic_write(Path(path)) as part:
            save_file(leaves, part, metadata=about)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "CellMap":
        """The map of a file that `save` wrote.

        Raises:
            DataError: the file is missing, or is no map of cells.
        """
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                if (file.metadata() or {}).get("format") != _FORMAT:
                    raise DataError(f"{path} is not a map of cells")
                return cls(**{name: file.get_tensor(name) for name in _NAMES})
        except OSError as error:
            raise DataError(f"{path} must be a map of cells, but cannot be read: {error.strerror or error}") from error
        except (SafetensorError, ShapeError, OutOfRangeError) as error:
            raise DataError(f"{path} must be a map of cells, but is not: {error}") from error

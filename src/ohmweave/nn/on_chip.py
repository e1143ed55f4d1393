"""`OnChip`: how one layer is put on a chip, the only placement argument of every layer."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from ohmweave.base import OutOfRangeError, check_integer
from ohmweave.mapping import Chip, Corner, DifferentialPair, InputScaling, Matrix, WeightMapping
from ohmweave.programming import Write


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OnChip:
    """How one layer is put on a chip; None is `deploy`'s choice for all layers, or the default.

    Attributes:
        mapping: weights to conductances; default `DifferentialPair()`.
        scaling: numbers to row voltages, for instance `FixedScaling` (each layer makes its own) or
            `FixedScaling(4.0)` (each layer takes a copy); default `PerSampleScaling`.
        tile_rows, arrays, corners: as in `Chip.place`.
        write: how `deploy` writes the cells; None here and in `deploy` leaves them as they are. A layer that is made
            by itself is written by its `program`.

    Raises:
        OutOfRangeError: `tile_rows` is not a positive integer, or `scaling` makes no `InputScaling`.
    """

    mapping: WeightMapping | None = None
    scaling: InputScaling | Callable[[], InputScaling] | None = None
    tile_rows: int | None = None
    arrays: Sequence[int] | None = None
    corners: Sequence[Corner] | None = None
    write: Write | None = None

    def __post_init__(self) -> None:
        """Check the arguments; whether they fit the chip is checked when the layer is placed."""
        if self.tile_rows is not None:
            check_integer("tile_rows", self.tile_rows, at_least=1)
        if not (self.scaling is None or isinstance(self.scaling, InputScaling) or callable(self.scaling)):
            raise OutOfRangeError(f"`scaling` must be an InputScaling or make one, but is {self.scaling!r}")

    def over(self, default: "OnChip") -> "OnChip":
        """These choices, and those of `default` where there is none."""
        mine = {one.name: getattr(self, one.name) for one in fields(self)}
        return OnChip(**{name: getattr(default, name) if value is None else value for name, value in mine.items()})

    def matrix(self, chip: Chip, name: str, shape: tuple[int, int]) -> Matrix:
        """Place a matrix.

        Args:
            chip: where.
            name: of the placement.
            shape: (out, in).

        Raises:
            ChipFullError, OutOfRangeError: as `Chip.place`.
        """
        return Matrix(
            chip,
            name,
            shape,
            mapping=self.mapping if self.mapping is not None else DifferentialPair(),
            scaling=self._own_scaling(),
            tile_rows=self.tile_rows,
            arrays=self.arrays,
            corners=self.corners,
        )

    def _own_scaling(self) -> InputScaling | None:
        """A scaling that no other layer has: a calibration of one layer must not change another."""
        if self.scaling is None:
            return None
        made = copy.copy(self.scaling) if isinstance(self.scaling, InputScaling) else self.scaling()
        if not isinstance(made, InputScaling):
            raise OutOfRangeError(f"`scaling` must be an InputScaling or make one, but makes {made!r}")
        return made

    def __repr__(self) -> str:
        """Only what was chosen."""
        chosen = [
            f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if getattr(self, one.name) is not None
        ]
        return f"OnChip({', '.join(chosen)})"

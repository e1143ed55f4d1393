"""`OnChip`: how and where one layer is put on a chip, the only placement argument of every layer."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from ohmweave.base import OutOfRangeError, check_integer, shown
from ohmweave.mapping import Chip, Corner, DifferentialPair, InputScaling, Matrix, WeightMapping
from ohmweave.nn.backward_pass import Backward, is_transposed
from ohmweave.programming import Write


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OnChip:
    """How and where one layer is put on a chip. None is the value given to `deploy` for all layers, or the default.

    Attributes:
        mapping: weights to conductances; default `DifferentialPair()`.
        scaling: numbers to row voltages: a class such as `FixedScaling`, of which each layer makes an instance, or an
            instance such as `FixedScaling(4.0)`, of which each layer makes a copy; default `PerSampleScaling`.
        tile_rows, arrays, corners: as in `Chip.place`; arrays are numbered from 0.
        write: write scheme of `deploy`. If it is None here and in `deploy`, the cells are not written. Without
            `deploy`, a layer is written by its `program`.
        backward: how the gradient of the layer's input is computed, as in `Linear`; default "readout". Convolutions and
            embeddings have "readout" alone.

    Raises:
        OutOfRangeError: `tile_rows` is not a positive integer, `backward` is another word, or `scaling` makes no
            `InputScaling`.
    """

    mapping: WeightMapping | None = None
    scaling: InputScaling | Callable[[], InputScaling] | None = None
    tile_rows: int | None = None
    arrays: Sequence[int] | None = None
    corners: Sequence[Corner] | None = None
    write: Write | None = None
    backward: Backward | None = None

    def __post_init__(self) -> None:
        """Check the arguments by themselves. `Chip.place` checks if they fit the chip."""
        if isinstance(self.mapping, type) or not (self.mapping is None or isinstance(self.mapping, WeightMapping)):
            raise TypeError(
                f"`mapping` must be a WeightMapping such as DifferentialPair(), but is {shown(self.mapping)}"
            )
        if isinstance(self.write, type) or not (self.write is None or callable(self.write)):
            raise TypeError(f"`write` must be a write scheme such as WriteVerify(...), but is {shown(self.write)}")
        if self.tile_rows is not None:
            check_integer("tile_rows", self.tile_rows, at_least=1)
        if self.backward is not None:
            is_transposed(self.backward)
        if not (self.scaling is None or isinstance(self.scaling, InputScaling) or callable(self.scaling)):
            raise OutOfRangeError(f"`scaling` must be an InputScaling or make one, but is {self.scaling!r}")

    def over(self, default: "OnChip") -> "OnChip":
        """A copy in which None is replaced by the value of `default`."""
        mine = {one.name: getattr(self, one.name) for one in fields(self)}
        return OnChip(**{name: getattr(default, name) if value is None else value for name, value in mine.items()})

    def is_transposed(self, backward: Backward = "readout") -> bool:
        """True for the backward pass "array", of a layer that was made with the argument `backward`.

        Raises:
            OutOfRangeError: `backward` is another word.
        """
        return is_transposed(backward) or self.backward == "array"

    def refuse_transposed(self, layer: str) -> None:
        """Raise `OutOfRangeError` if the backward pass is "array", which layers of the kind `layer` do not have."""
        if self.backward == "array":
            raise OutOfRangeError(
                f"`backward` of {layer} must be 'readout', but is 'array': layers whose rows are patches of images or "
                "tokens have no transposed read"
            )

    def matrix(self, chip: Chip, name: str, shape: tuple[int, int], *, groups: int = 1) -> Matrix:
        """Place a matrix.

        Args:
            chip: the chip.
            name: of the placement.
            shape: (out, in).
            groups: as in `Matrix`.

        Raises:
            ChipFullError, OutOfRangeError: as `Chip.place`.
        """
        return Matrix(
            chip,
            name,
            shape,
            mapping=self.mapping if self.mapping is not None else DifferentialPair(),
            scaling=self._own_scaling(),
            groups=groups,
            tile_rows=self.tile_rows,
            arrays=self.arrays,
            corners=self.corners,
        )

    def _own_scaling(self) -> InputScaling | None:
        """A scaling of this layer alone, so that the calibration of one layer does not change another."""
        if self.scaling is None:
            return None
        made = copy.copy(self.scaling) if isinstance(self.scaling, InputScaling) else self.scaling()
        if not isinstance(made, InputScaling):
            raise OutOfRangeError(f"`scaling` must be an InputScaling or make one, but makes {made!r}")
        return made

    def __repr__(self) -> str:
        """The attributes that are not None."""
        chosen = [
            f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if getattr(self, one.name) is not None
        ]
        return f"OnChip({', '.join(chosen)})"

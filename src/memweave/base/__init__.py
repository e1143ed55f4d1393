"""What every layer stands on: errors, argument checks, named random streams, nested state."""

from memweave.base.allocator import keep_freed_buffers
from memweave.base.checks import (
    check_fraction,
    check_integer,
    check_non_negative,
    check_positive,
    check_shape,
)
from memweave.base.errors import (
    ChipFullError,
    ConvergenceError,
    DataError,
    MemweaveError,
    OutOfRangeError,
    ShapeError,
    UnplaceableLayerError,
)
from memweave.base.extras import has_numba, worth_compiling
from memweave.base.normals import NormalStream
from memweave.base.rng import generator, stream_seed
from memweave.base.state import flatten_state, map_state, unflatten_state

__all__ = [
    "ChipFullError",
    "ConvergenceError",
    "DataError",
    "MemweaveError",
    "NormalStream",
    "OutOfRangeError",
    "ShapeError",
    "UnplaceableLayerError",
    "check_fraction",
    "check_integer",
    "check_non_negative",
    "check_positive",
    "check_shape",
    "flatten_state",
    "generator",
    "has_numba",
    "keep_freed_buffers",
    "map_state",
    "stream_seed",
    "unflatten_state",
    "worth_compiling",
]

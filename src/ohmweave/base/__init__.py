"""Shared by all packages: errors, argument checks, named random streams, nested state, entry points."""

from ohmweave.base.allocator import keep_freed_buffers
from ohmweave.base.checks import (
    check_callable,
    check_finite,
    check_fraction,
    check_integer,
    check_kind,
    check_non_negative,
    check_positive,
    check_seed,
    check_shape,
    check_tensor,
    check_text,
    shown,
)
from ohmweave.base.copies import NotCopied
from ohmweave.base.errors import (
    ChipFullError,
    ChipsMixedError,
    ConvergenceError,
    DataError,
    DeployError,
    DeployInterrupted,
    ExperimentError,
    OhmweaveError,
    OutOfRangeError,
    ShapeError,
    UnplaceableLayerError,
    WeightOnChipError,
)
from ohmweave.base.extras import has_numba, worth_compiling
from ohmweave.base.fields import check_fields, finite, integer, non_negative, positive, zero_to_one
from ohmweave.base.inference import outside_inference_mode
from ohmweave.base.magnitudes import Magnitudes
from ohmweave.base.normals import NormalStream
from ohmweave.base.plugins import load_plugins
from ohmweave.base.rng import generator, stream_seed
from ohmweave.base.short_repr import short_repr
from ohmweave.base.state import flatten_state, map_state, unflatten_state

__all__ = [
    "ChipFullError",
    "ChipsMixedError",
    "ConvergenceError",
    "DataError",
    "DeployError",
    "DeployInterrupted",
    "ExperimentError",
    "Magnitudes",
    "NormalStream",
    "NotCopied",
    "OhmweaveError",
    "OutOfRangeError",
    "ShapeError",
    "UnplaceableLayerError",
    "WeightOnChipError",
    "check_callable",
    "check_fields",
    "check_finite",
    "check_fraction",
    "check_integer",
    "check_kind",
    "check_non_negative",
    "check_positive",
    "check_seed",
    "check_shape",
    "check_tensor",
    "check_text",
    "finite",
    "flatten_state",
    "generator",
    "has_numba",
    "integer",
    "keep_freed_buffers",
    "load_plugins",
    "map_state",
    "non_negative",
    "outside_inference_mode",
    "positive",
    "short_repr",
    "shown",
    "stream_seed",
    "unflatten_state",
    "worth_compiling",
    "zero_to_one",
]

"""The errors that ohmweave raises on purpose. All have one base class, so that one `except` catches them."""

from collections.abc import Mapping
from typing import Any


class OhmweaveError(Exception):
    """Base of every error that ohmweave raises on purpose."""


class OutOfRangeError(OhmweaveError, ValueError):
    """A number is outside the range in which the called code is valid."""


class ShapeError(OhmweaveError, ValueError):
    """A tensor does not have the shape that the called code needs."""


class ChipFullError(OhmweaveError):
    """A chip has too few free cells for a matrix; the message names the matrix."""


class UnplaceableLayerError(OhmweaveError, TypeError):
    """A network holds layers that cannot be put on a chip and were not named as digital."""


class ConvergenceError(OhmweaveError):
    """An iterative solver stopped before it reached its tolerance; the message gives the residual."""


class DataError(OhmweaveError):
    """A data file is missing, truncated or corrupted; the message says which, and what to do."""


class ExperimentError(OhmweaveError):
    """An experiment, its rows or its results folder is not as it must be; the message says what and where."""


class WeightOnChipError(OhmweaveError, RuntimeError):
    """A weight on a chip was used like one in software: changed, copied, or multiplied past the array."""


class DeployError(OhmweaveError):
    """Cells could not be written while a network was deployed; nothing stays placed.

    Attributes:
        reports: what was done until then, by layer; of the last one a part.
    """

    def __init__(self, message: str, reports: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.reports = dict(reports)


class DeployInterrupted(KeyboardInterrupt):
    """Ctrl-C while a network was deployed; nothing stays placed.

    No `OhmweaveError`, so that code that catches those does not catch Ctrl-C.

    Attributes:
        reports: as in `DeployError`.
    """

    def __init__(self, message: str, reports: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.reports = dict(reports)


class ChipsMixedError(OhmweaveError):
    """A network on several chips lets numbers of one chip reach the outputs of another."""

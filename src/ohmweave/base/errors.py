"""The errors that ohmweave raises. All have one base class, so that one `except` catches them."""

from collections.abc import Mapping
from typing import Any


class OhmweaveError(Exception):
    """Base class of all errors that ohmweave raises."""


class OutOfRangeError(OhmweaveError, ValueError):
    """A number is outside its permitted range."""


class ShapeError(OhmweaveError, ValueError):
    """A tensor does not have the required shape."""


class ChipFullError(OhmweaveError):
    """A chip has too few free cells for a matrix; the message names the matrix."""


class UnplaceableLayerError(OhmweaveError, TypeError):
    """A network has layers that cannot be placed on a chip and were not named as digital."""


class ConvergenceError(OhmweaveError):
    """An iterative solver stopped before it reached its tolerance; the message gives the residual."""


class DataError(OhmweaveError):
    """A data file is missing, truncated or corrupted; the message says which, and what to do."""


class ExperimentError(OhmweaveError):
    """An experiment, its rows or its results folder is invalid; the message says what and where."""


class WeightOnChipError(OhmweaveError, RuntimeError):
    """A weight on a chip was used like a software weight: changed, copied, or multiplied without the array."""


class DeployError(OhmweaveError):
    """Cells could not be written while a network was deployed; nothing stays placed.

    Attributes:
        reports: write reports by layer until the failure; that of the last layer is partial.
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
    """In a network on several chips, values of one chip reach the outputs of another."""

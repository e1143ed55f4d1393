"""The errors that memweave raises on purpose. All share one base class, so one `except` catches them."""


class MemweaveError(Exception):
    """Base of every error that memweave raises on purpose."""


class OutOfRangeError(MemweaveError, ValueError):
    """A number is outside the range in which the called code is valid."""


class ShapeError(MemweaveError, ValueError):
    """A tensor does not have the shape that the called code needs."""


class ChipFullError(MemweaveError):
    """A chip has no room for what was to be placed on it."""


class UnplaceableLayerError(MemweaveError, TypeError):
    """A network holds layers that memweave cannot put on a chip and was not told to leave digital."""


class ConvergenceError(MemweaveError):
    """An iterative solver stopped before it reached its tolerance; the message gives the residual."""


class DataError(MemweaveError):
    """A data file is missing, truncated or corrupted; the message says which, and what to do."""

"""What goes wrong in the bookkeeping of experiments."""

from memweave.base.errors import MemweaveError


class ExperimentError(MemweaveError):
    """An experiment, its rows or its results folder is not as it must be; the message says what and where."""

"""What goes wrong in the bookkeeping of experiments."""

from ohmweave.base.errors import OhmweaveError


class ExperimentError(OhmweaveError):
    """An experiment, its rows or its results folder is not as it must be; the message says what and where."""

"""Train, program and run neural networks on memristor crossbars, from the physics of one cell to a whole chip.

Names are imported when they are first used, so that `memweave --help` need not wait for torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memweave import (
        arrays,
        cost,
        data,
        devices,
        experiments,
        fitting,
        mapping,
        nn,
        optim,
        plot,
        programming,
        report,
    )
    from memweave.mapping import Chip, DifferentialPair
    from memweave.nn import OnChip, deploy
    from memweave.programming import BlindWrite, WriteVerify

__version__ = version("memweave")

__all__ = [
    "BlindWrite",
    "Chip",
    "DifferentialPair",
    "OnChip",
    "WriteVerify",
    "__version__",
    "arrays",
    "cost",
    "data",
    "deploy",
    "devices",
    "experiments",
    "fitting",
    "mapping",
    "nn",
    "optim",
    "plot",
    "programming",
    "report",
]

_HOME = {
    "BlindWrite": "programming",
    "Chip": "mapping",
    "DifferentialPair": "mapping",
    "OnChip": "nn",
    "WriteVerify": "programming",
    "deploy": "nn",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'memweave' has no attribute {name!r}")
    if name in _HOME:
        return getattr(import_module(f"memweave.{_HOME[name]}"), name)
    return import_module(f"memweave.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)

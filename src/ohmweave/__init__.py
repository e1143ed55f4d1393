"""Train, program and run neural networks on memristor crossbars, from the physics of one cell to a whole chip.

Names are imported when they are first used, so that `ohmweave --help` need not wait for torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ohmweave import (
        arrays,
        bench,
        cells,
        circuit,
        cost,
        data,
        evaluation,
        experiments,
        explore,
        fitting,
        mapping,
        nn,
        optim,
        plot,
        programming,
        report,
        testing,
    )
    from ohmweave.evaluation import evaluate
    from ohmweave.mapping import Chip, DifferentialPair
    from ohmweave.nn import OnChip, calibrate, deploy, load, plan, save
    from ohmweave.programming import BlindWrite, WriteVerify

__version__ = version("ohmweave")

__all__ = [
    "BlindWrite",
    "Chip",
    "DifferentialPair",
    "OnChip",
    "WriteVerify",
    "__version__",
    "arrays",
    "bench",
    "calibrate",
    "cells",
    "circuit",
    "cost",
    "data",
    "deploy",
    "evaluate",
    "evaluation",
    "experiments",
    "explore",
    "fitting",
    "load",
    "mapping",
    "nn",
    "optim",
    "plan",
    "plot",
    "programming",
    "report",
    "save",
    "testing",
]

_HOME = {
    "BlindWrite": "programming",
    "Chip": "mapping",
    "DifferentialPair": "mapping",
    "OnChip": "nn",
    "WriteVerify": "programming",
    "calibrate": "nn",
    "deploy": "nn",
    "evaluate": "evaluation",
    "load": "nn",
    "plan": "nn",
    "save": "nn",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ohmweave' has no attribute {name!r}")
    if name in _HOME:
        return getattr(import_module(f"ohmweave.{_HOME[name]}"), name)
    return import_module(f"ohmweave.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)

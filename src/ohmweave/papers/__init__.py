"""The reproductions: one package a paper, one module an experiment.

Importing this package registers all of them; ohmweave declares it in the entry point group `ohmweave.experiments`.
"""

import importlib
import pkgutil


def _register_all() -> None:
    """Import every module below this package: a new experiment is one new file and nothing else."""
    for module in pkgutil.walk_packages(__path__, prefix=__name__ + "."):
        importlib.import_module(module.name)


_register_all()

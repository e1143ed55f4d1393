"""The reproductions: one package for each paper, one module for each experiment.

Importing this package registers all of them; ohmweave declares it in the entry point group `ohmweave.experiments`.
"""

import importlib
import pkgutil


def _register_all() -> None:
    """Import every module below this package, so that a new experiment needs one new file and nothing else."""
    for module in pkgutil.walk_packages(__path__, prefix=__name__ + "."):
        importlib.import_module(module.name)


_register_all()

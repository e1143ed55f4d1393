"""Loads the experiments that ship with memweave into the registry."""

import importlib


def load_experiments() -> None:
    """Import `memweave.papers`, which registers its experiments."""
    importlib.import_module("memweave.papers")

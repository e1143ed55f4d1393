"""Loads the experiments that ship with ohmweave into the registry."""

import importlib


def load_experiments() -> None:
    """Import `ohmweave.papers`, which registers its experiments."""
    importlib.import_module("ohmweave.papers")

"""Train, program and run neural networks on memristor crossbars, from the physics of one cell to a whole chip."""

from importlib.metadata import version

__version__ = version("memweave")

__all__ = ["__version__"]

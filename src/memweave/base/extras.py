"""Optional dependencies."""

import importlib.util
from functools import cache


@cache
def has_numba() -> bool:
    """Whether loops can be compiled (`pip install memweave[fast]`)."""
    return importlib.util.find_spec("numba") is not None

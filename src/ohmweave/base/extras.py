"""Optional dependencies."""

import importlib.util
from functools import cache

_WORTH = 2**12


@cache
def has_numba() -> bool:
    """Whether loops can be compiled (`pip install ohmweave[fast]`)."""
    return importlib.util.find_spec("numba") is not None


def worth_compiling(n_numbers: int) -> bool:
    """Whether a pass over so many numbers had better be compiled: loading a loop takes longer than a few thousand."""
    return n_numbers >= _WORTH and has_numba()

"""Optional dependencies."""

import importlib.util
from functools import cache

_WORTH = 2**12


@cache
def has_numba() -> bool:
    """True if loops can be compiled (`pip install ohmweave[fast]`)."""
    return importlib.util.find_spec("numba") is not None


def worth_compiling(n_numbers: int) -> bool:
    """True if compiling a pass over `n_numbers` pays: loading a compiled loop takes longer than a short pass."""
    return n_numbers >= _WORTH and has_numba()

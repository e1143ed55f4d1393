"""Optional dependencies: is Numba installed, and is compiling worthwhile?"""

import importlib.util
from functools import cache

# Numbers in a pass above which the compiled loop is faster, the time to load it included.
_WORTH = 2**12


@cache
def has_numba() -> bool:
    """True if loops can be compiled (`pip install ohmweave[fast]`)."""
    return importlib.util.find_spec("numba") is not None


def worth_compiling(n_numbers: int) -> bool:
    """True if a compiled pass over `n_numbers` is faster than torch: loading a compiled loop takes time once."""
    return n_numbers >= _WORTH and has_numba()

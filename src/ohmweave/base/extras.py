"""Optional dependencies: is Numba installed, and is compiling worthwhile?"""

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

# Numbers in a pass above which the compiled loop is faster, the time to load it included.
_WORTH = 2**12
# Numbers that the operations of NumPy in a small pass are worth.
_CALL = 2**5


@cache
def has_numba() -> bool:
    """True if loops can be compiled (`pip install ohmweave[fast]`)."""
    return importlib.util.find_spec("numba") is not None


def worth_compiling(n_numbers: int) -> bool:
    """True if a compiled pass over `n_numbers` is faster than torch: loading a compiled loop takes time once."""
    return n_numbers >= _WORTH and has_numba()


class Worthwhile:
    """Whether to use a compiled loop for many small passes; loading the loop takes as long as thousands of them."""

    __slots__ = ("_n_before",)

    def __init__(self) -> None:
        self._n_before = 0

    def after(self, n_numbers: int) -> bool:
        """True if this pass over `n_numbers` and those before it are worth a compiled loop, and Numba is installed."""
        if self._n_before < _WORTH:
            self._n_before += n_numbers + _CALL
        return self._n_before >= _WORTH and has_numba()


def compiled(function: Callable[..., Any], *, nogil: bool = False) -> Any:
    """`function` compiled by Numba, which must be installed; machine code is kept on the disk where that is possible.

    Numba keeps it beside the sources, else in the user's cache folder. Where neither can be written to (a read-only or
    missing home folder), it is compiled anew in each process. No shared folder such as /tmp is used: what lies there
    would be run as code.

    Args:
        function: in the part of Python that Numba compiles.
        nogil: release the interpreter's lock while it runs.
    """
    import numba

    try:
        return numba.njit(function, cache=True, nogil=nogil)
    except RuntimeError:  # Numba finds no folder
        return numba.njit(function, nogil=nogil)

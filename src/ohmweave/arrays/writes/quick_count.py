"""The checks and counts of a call of `Array.pulse` in one compiled pass, for cells on a CPU."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base.checks import MOST
from ohmweave.base.extras import Worthwhile
from ohmweave.cells import Pulse

_NO_INTEGERS = np.empty(0, np.int64)


class QuickCount:
    """Counts the pulses of calls that are as they must be; `count_pulses` explains what is wrong with others.

    Args:
        n_cells: addressable cells, of all chips.
        max_train: largest number of pulses to one cell in a call.
    """

    def __init__(self, n_cells: int, *, max_train: int = MOST) -> None:
        self._n_cells, self._max_train = n_cells, max_train
        self._seen: NDArray[np.int64] | None = None
        self._mark = 0
        self._compiled = Worthwhile()

    def counts(self, cells: Any, pulse: Any) -> tuple[int, int] | None:
        """The numbers of SET and RESET pulses of a call of `Array.pulse`.

        Args:
            cells: `(k,)` int64 addresses.
            pulse: polarities and numbers int64, nothing else.

        Returns:
            None if the call must be looked at by `count_pulses`: it is wrong, of another kind, or there is no Numba.
        """
        if not isinstance(pulse, Pulse) or not (pulse.v is None and pulse.v_gate is None and pulse.width is None):
            return None
        if not _is_list(cells) or not _is_list(pulse.polarity) or not (pulse.n is None or _is_list(pulse.n)):
            return None
        k = len(cells)
        if len(pulse.polarity) != k or (pulse.n is not None and len(pulse.n) != k) or not k:
            return None
        if not self._compiled.after(k):
            return None
        from ohmweave.arrays.compiled_pulses import checked

        if self._seen is None:
            self._seen = np.zeros(self._n_cells, np.int64)
        self._mark += 1
        n = _NO_INTEGERS if pulse.n is None else pulse.n.numpy()
        right, n_set, n_reset = checked(
            cells.numpy(), pulse.polarity.numpy(), n, self._seen, self._mark, self._max_train
        )
        return (n_set, n_reset) if right else None


def _is_list(x: Any) -> bool:
    """True if `x` is `(k,)` int64 on a CPU, in one piece of memory."""
    return (
        isinstance(x, torch.Tensor)
        and x.dtype == torch.int64
        and x.dim() == 1
        and x.device.type == "cpu"
        and x.is_contiguous()
    )

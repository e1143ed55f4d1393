"""Standard normal numbers for the noise of reads, where drawing them one by one would cost more than the read.

On a CPU, a 16-bit number from a bit generator picks one of 2^16 equally probable cells of the normal distribution, and
is replaced by the mean of its cell. In the two outermost cells, where the distribution is wide, the number is drawn
anew from the exact tail. So the distribution function is that of a normal one to 2^-16 everywhere and exact beyond 4.17
standard deviations; single numbers repeat. Noise drawn and added so takes 0.4 times what torch's generator takes for
it, with Numba, and 0.9 times without (`benchmarks/noise.py`). On other devices torch's own generator draws the numbers.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from ohmweave.base.errors import OutOfRangeError
from ohmweave.base.extras import worth_compiling
from ohmweave.base.rng import generator, stream_seed

N_CELLS = 2**16
# Numbers at a time: what is worked on stays in a core's cache.
_AT_ONCE = 2**16


class NormalStream:
    """Independent numbers from N(0, 1), the stream `names` under `seed`.

    Equal seeds, names and devices give equal numbers in equal calls; as with torch's generators, how numbers are split
    over calls matters, and so does the kind of device.

    Args:
        seed: of all streams of an experiment.
        names: of this stream.
        device: of the tensors that will be filled.
    """

    def __init__(self, seed: int, *names: str | int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._bits = np.random.SFC64(stream_seed(seed, *names))
        # None on a CPU, where the table of cell means is faster.
        self._torch = None if self.device.type == "cpu" else generator(seed, *names, device=self.device)

    def like(self, x: torch.Tensor) -> torch.Tensor:
        """New numbers, contiguous, of the shape, type and device of `x`."""
        return self.fill_(torch.empty(x.shape, dtype=x.dtype, device=x.device))

    def fill_(self, out: torch.Tensor) -> torch.Tensor:
        """Put new numbers into `out`, which must be contiguous and of a floating type, and return it."""
        if self._torch is not None:
            return out.normal_(generator=self._torch)
        table = _cell_means(out.dtype)
        for part in _parts(out):
            cells = self._cells(part.numel())
            torch.index_select(table, 0, torch.from_numpy(cells.astype(np.int32)), out=part)
            numbers = part.numpy()
            for i in np.flatnonzero(cells + np.uint16(1) <= 1).tolist():  # the highest cell plus one wraps to 0
                numbers[i] = self._outermost(cells[i])
        return out

    def add_(self, out: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Add to `out` a new number from N(0, variance) for each value, and return it.

        Both must be contiguous, of one floating type and on the stream's device; `variance` is overwritten. With Numba
        (`ohmweave[fast]`) in one pass on a CPU, twice as fast or more; the numbers are the same.
        """
        if self._torch is not None:
            return out.addcmul_(variance.sqrt_(), self.like(out))
        compiled = worth_compiling(out.numel()) and not (out.requires_grad or variance.requires_grad)
        for part, spread in zip(_parts(out), _parts(variance), strict=True):
            if compiled:
                self._add_compiled(part.numpy(), spread.numpy(), _cell_means(out.dtype).numpy())
            else:
                part.addcmul_(spread.sqrt_(), self.like(part))
        return out

    def _add_compiled(self, out: NDArray[Any], variance: NDArray[Any], cell_means: NDArray[Any]) -> None:
        from ohmweave.base.compiled_normals import add_normals

        cells = self._cells(len(out))
        for i in add_normals(out, variance, cells, cell_means).tolist():
            out[i] += variance[i] ** 0.5 * self._outermost(cells[i])

    def _cells(self, n: int) -> NDArray[np.uint16]:
        words: NDArray[np.uint64] = self._bits.random_raw(-(-n // 4))
        return words.view(np.uint16)[:n]

    def _outermost(self, cell: int) -> float:
        """A number from the lowest cell, 0, or from the highest."""
        uniform = ((self._bits.random_raw() >> 11) + 0.5) * 2.0**-53
        z = float(ndtri(uniform / N_CELLS))
        return z if cell == 0 else -z

    def get_state(self) -> torch.Tensor:
        """All that the stream's future depends on, on the CPU: `(4,)` int64 for a CPU, `(k,)` uint8 elsewhere."""
        if self._torch is not None:
            return self._torch.get_state()
        state: NDArray[np.uint64] = self._bits.state["state"]["state"]
        return torch.from_numpy(state.view(np.int64).copy())

    def set_state(self, state: torch.Tensor) -> None:
        """Go on from where `get_state` was called.

        Raises:
            OutOfRangeError: `state` is not that of a stream on the same kind of device.
        """
        if self._torch is not None:
            if state.dtype != torch.uint8:
                raise OutOfRangeError(
                    f"`state` must be that of a stream on {self.device}, but is {tuple(state.shape)} {state.dtype}"
                )
            self._torch.set_state(state.cpu())
            return
        if state.dtype != torch.int64 or state.shape != (4,):
            raise OutOfRangeError(
                f"`state` must be the (4,) int64 of a normal stream on a CPU, but is {tuple(state.shape)} {state.dtype}"
            )
        words = state.cpu().numpy().view(np.uint64).copy()
        self._bits.state = {
            "bit_generator": "SFC64",
            "state": {"state": words},
            "has_uint32": 0,
            "uinteger": 0,
        }


def _parts(x: torch.Tensor) -> Sequence[torch.Tensor]:
    flat = x.view(-1)
    return (flat,) if len(flat) <= _AT_ONCE else flat.split(_AT_ONCE)


@cache
def _cell_means(dtype: torch.dtype) -> torch.Tensor:
    """`(N_CELLS,)`: mean of a standard normal number in each cell, lowest first.

    N_CELLS times the difference of the density at the cell's borders; the upper half mirrors the lower, so that the
    mean of all is zero to the last bit.
    """
    borders = torch.special.ndtri(torch.arange(N_CELLS // 2 + 1, dtype=torch.float64, device="cpu") / N_CELLS)
    density = torch.exp(-borders.square() / 2) / (2 * torch.pi) ** 0.5
    lower = -N_CELLS * density.diff()
    return torch.cat([lower, -lower.flip(0)]).to(dtype)

"""Fast standard normal numbers for read noise, which would otherwise cost more than the read itself.

On a CPU, a 16-bit random number selects one of 2^16 equally probable intervals ("cells") of the normal distribution and
is replaced by the mean of its interval. In the two outermost intervals, which are wide, the number is drawn from the
exact tail instead. The distribution function is therefore normal to within 2^-16 everywhere and exact beyond 4.17
standard deviations; the same values occur repeatedly. Drawing and adding noise in this way takes 0.4 times as long as
with torch's generator if Numba is installed, and 0.9 times without (`benchmarks/noise.py`). On other devices torch's
generator draws the numbers.
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
# Numbers drawn in one pass: small enough to stay in a core's cache.
_AT_ONCE = 2**16


class NormalStream:
    """Independent numbers from N(0, 1), the stream `names` under `seed`.

    Equal seeds, names and devices give equal numbers in equal calls. As with torch's generators, the numbers depend on
    the kind of device, and on how they are divided over calls.

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
        """New numbers, contiguous, with the shape, dtype and device of `x`."""
        return self.fill_(torch.empty(x.shape, dtype=x.dtype, device=x.device))

    def fill_(self, out: torch.Tensor) -> torch.Tensor:
        """Fill `out` with new numbers and return it.

        Args:
            out: any shape, contiguous, of a floating dtype, on the stream's device.
        """
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
        """Add a new number from N(0, variance) to each value of `out`, and return it.

        With Numba (`ohmweave[fast]`) and on a CPU this is one pass, at least twice as fast; the bits are the same.

        Args:
            out: any shape, contiguous, of a floating dtype, on the stream's device.
            variance: the same shape, dtype and device, contiguous; overwritten.
        """
        if self._torch is not None:
            return out.addcmul_(variance.sqrt_(), self.like(out))
        plain = not (out.requires_grad or variance.requires_grad)
        if plain and worth_compiling(out.numel()):
            self._add_compiled(out.view(-1).numpy(), variance.view(-1).numpy(), out.dtype)
            return out
        for part, spread in zip(_parts(out), _parts(variance), strict=True):
            # As the compiled loop rounds: torch's root is not always the nearest number, and an operation that
            # multiplies and adds may round once.
            if plain:
                np.sqrt(spread.numpy(), out=spread.numpy())
            else:
                spread.sqrt_()
            part.add_(spread.mul_(self.like(part)))
        return out

    def _add_compiled(self, out: NDArray[Any], variance: NDArray[Any], dtype: torch.dtype) -> None:
        from ohmweave.base.compiled_normals import add_normals

        whole = self._bits.state
        state: NDArray[np.uint64] = whole["state"]["state"]
        found = add_normals(out, variance, _inner_means(dtype), state, _AT_ONCE)
        self._bits.state = whole
        at, cells, words = (part.tolist() for part in found)
        number = out.dtype.type
        for i, cell, z in zip(at, cells, _lowest_tail(words), strict=True):
            out[i] += np.sqrt(variance[i]) * number(z if cell == 0 else -z)

    def _cells(self, n: int) -> NDArray[np.uint16]:
        """`n` random interval numbers, four from each 64-bit word."""
        words: NDArray[np.uint64] = self._bits.random_raw(-(-n // 4))
        return words.view(np.uint16)[:n]

    def _outermost(self, cell: int) -> float:
        """A normal number from the tail: from the lowest interval if `cell` is 0, else from the highest."""
        (z,) = _lowest_tail([self._bits.random_raw()])
        return z if cell == 0 else -z

    def get_state(self) -> torch.Tensor:
        """The state of the stream, on the CPU: `(4,)` int64 for a stream on a CPU, `(k,)` uint8 for other devices."""
        if self._torch is not None:
            return self._torch.get_state()
        state: NDArray[np.uint64] = self._bits.state["state"]["state"]
        return torch.from_numpy(state.view(np.int64).copy())

    def set_state(self, state: torch.Tensor) -> None:
        """Continue from a state that `get_state` returned.

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


def _lowest_tail(words: Sequence[int]) -> list[float]:
    """Normal numbers in the lowest interval, one from each 64-bit word."""
    uniform = ((np.array(words, dtype=np.uint64) >> np.uint64(11)) + 0.5) * 2.0**-53
    numbers: list[float] = ndtri(uniform / N_CELLS).tolist()  # the quantile function, over the interval's probability
    return numbers


def _parts(x: torch.Tensor) -> Sequence[torch.Tensor]:
    flat = x.view(-1)
    return (flat,) if len(flat) <= _AT_ONCE else flat.split(_AT_ONCE)


@cache
def _cell_means(dtype: torch.dtype) -> torch.Tensor:
    """`(N_CELLS,)`: mean of a standard normal number in each interval, lowest first.

    The mean over an interval of probability 1 / N_CELLS is N_CELLS times the density at its lower border minus that at
    its upper border. The upper half mirrors the lower, so that the mean of all is exactly zero.
    """
    borders = torch.special.ndtri(torch.arange(N_CELLS // 2 + 1, dtype=torch.float64, device="cpu") / N_CELLS)
    density = torch.exp(-borders.square() / 2) / (2 * torch.pi) ** 0.5
    lower = -N_CELLS * density.diff()
    return torch.cat([lower, -lower.flip(0)]).to(dtype)


@cache
def _inner_means(dtype: torch.dtype) -> NDArray[Any]:
    """As `_cell_means`, with 0 in the two outermost intervals, whose numbers are drawn from the tail."""
    means = _cell_means(dtype).numpy().copy()
    means[[0, -1]] = 0
    return means

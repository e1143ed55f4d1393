"""Fast standard normal numbers for read noise, which would otherwise cost more than the read itself.

On a CPU, a 16-bit random number selects one of 2^16 equally probable intervals ("cells") of the normal distribution and
is replaced by the mean of its interval. In the two outermost intervals, which are wide, the number is drawn from the
exact tail instead. The distribution function is therefore normal to within 2^-16 everywhere and exact beyond 4.17
standard deviations; the same values occur repeatedly. Drawing and adding noise in this way takes 0.4 times as long as
with torch's generator if Numba is installed, and 0.9 times without (`benchmarks/noise.py`). On other devices torch's
generator draws the numbers.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base.errors import OutOfRangeError
from ohmweave.base.extras import worth_compiling
from ohmweave.base.normal_tail import lowest_tail
from ohmweave.base.rng import generator, stream_seed
from ohmweave.base.threads import in_threads

N_CELLS = 2**16
# Numbers drawn in one pass: small enough to stay in a core's cache.
_AT_ONCE = 2**16
# Words that a new SFC64 generator discards, as in PractRand.
_WARM_UP = 12
_NO_HALVES: NDArray[np.uint16] = np.empty(0, dtype=np.uint16)


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
        self._sfc64 = np.random.SFC64(stream_seed(seed, *names))
        # `(4,)`, the state in place of NumPy's generator, if a compiled loop was the last to draw. Converting it to and
        # fro takes as long as some thousand numbers.
        self._state: NDArray[np.uint64] | None = None
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
        for part, bits in zip(_parts(out), self._of_parts(out.numel()), strict=True):
            _fill_part(part, bits)
        return out

    def add_(self, out: torch.Tensor, variance: torch.Tensor, *, factor: float = 1.0) -> torch.Tensor:
        """Add a new number from N(0, variance) to each value of `out`, multiply by `factor`, and return it.

        With Numba (`ohmweave[fast]`) and on a CPU this is one pass, at least twice as fast; the bits are the same.

        Args:
            out: any shape, contiguous, of a floating dtype, on the stream's device.
            variance: the same shape, dtype and device, contiguous; overwritten. For `out` in float32 it may be in
                bfloat16.
            factor: of the sums.
        """
        if self._torch is not None:
            out.addcmul_(variance.to(out.dtype).sqrt_(), self.like(out))
            return out if factor == 1.0 else out.mul_(factor)
        plain = not (out.requires_grad or variance.requires_grad)
        if plain and worth_compiling(out.numel()):
            self._add_compiled(out.view(-1), variance.view(-1), factor)
            return out
        parts = zip(_parts(out), _parts(variance), self._of_parts(out.numel()), strict=True)
        for part, spread, bits in parts:
            spread = spread.to(part.dtype)
            # As the compiled loop rounds: torch's root is not always the nearest number, and an operation that
            # multiplies and adds may round once.
            if plain:
                np.sqrt(spread.numpy(), out=spread.numpy())
            else:
                spread.sqrt_()
            part.add_(spread.mul_(_fill_part(torch.empty_like(part), bits)))
        return out if factor == 1.0 else out.mul_(factor)

    def _add_compiled(self, out: torch.Tensor, variance: torch.Tensor, factor: float) -> None:
        """`add_` of flat tensors, compiled."""
        from ohmweave.base.compiled_normals import add_normals

        values = out.numpy()
        if variance.dtype == torch.bfloat16:  # unknown to NumPy: its bits are the upper half of a float32's
            full, half = values[:0], variance.view(torch.uint16).numpy()
        else:
            full, half = variance.numpy(), _NO_HALVES
        state, scale, means = self._words(), values.dtype.type(factor), _inner_means(out.dtype)
        n_parts = -(-len(values) // _AT_ONCE)
        if n_parts == 1 or torch.get_num_threads() == 1:  # each step in Python takes a part of a short pass
            add_normals(values, full, half, means, state, _AT_ONCE, _WARM_UP, scale, 0, n_parts)
            return
        before = state.copy()

        def add(first: int, last: int) -> None:
            # Each thread renews a copy of the state: the first one is kept, because all are alike.
            own = state if first == 0 else before.copy()
            add_normals(values, full, half, means, own, _AT_ONCE, _WARM_UP, scale, first, last)

        in_threads(n_parts, add)

    def _words(self) -> NDArray[np.uint64]:
        """The state, `(4,)`, for a compiled loop, which renews it."""
        if self._state is None:
            self._state = self._sfc64.state["state"]["state"]
        return self._state

    @property
    def _bits(self) -> np.random.SFC64:
        """The generator in its present state."""
        if self._state is not None:
            self._sfc64.state = _whole(self._state)
            self._state = None
        return self._sfc64

    def _of_parts(self, n: int) -> Iterator[np.random.SFC64]:
        """A generator for each part of `n` numbers: this stream's own if there is one part, else new ones.

        Parts have generators of their own so that they can be drawn in any order.
        """
        if n <= _AT_ONCE:
            yield self._bits
            return
        for state in self._new_states(n):
            bits = np.random.SFC64(0)
            bits.state = _whole(state)
            bits.random_raw(_WARM_UP, output=False)
            yield bits

    def _new_states(self, n: int) -> NDArray[np.uint64]:
        """`(parts, 4)`: the states of the generators of parts, before they are warmed up."""
        n_parts = -(-n // _AT_ONCE)
        states = np.ones((n_parts, 4), dtype=np.uint64)  # the last word is a counter, which starts at 1
        states[:, :3] = self._bits.random_raw(3 * n_parts).reshape(n_parts, 3)
        return states

    def get_state(self) -> torch.Tensor:
        """The state of the stream, on the CPU: `(4,)` int64 for a stream on a CPU, `(k,)` uint8 for other devices."""
        if self._torch is not None:
            return self._torch.get_state()
        return torch.from_numpy(self._words().view(np.int64).copy())

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
        self._state = state.cpu().numpy().view(np.uint64).copy()


def _whole(words: NDArray[np.uint64]) -> Any:
    """The state of NumPy's generator, from its four words."""
    return {"bit_generator": "SFC64", "state": {"state": words}, "has_uint32": 0, "uinteger": 0}


def _fill_part(out: torch.Tensor, bits: np.random.SFC64) -> torch.Tensor:
    """Fill a flat part of at most `_AT_ONCE` numbers, and return it."""
    words: NDArray[np.uint64] = bits.random_raw(-(-out.numel() // 4))
    cells = words.view(np.uint16)[: out.numel()]  # four from each word
    torch.index_select(_cell_means(out.dtype), 0, torch.from_numpy(cells.astype(np.int32)), out=out)
    numbers = out.numpy()
    outermost = np.flatnonzero(cells + np.uint16(1) <= 1)  # the highest cell plus one wraps to 0
    if len(outermost):
        z = _lowest_tail(bits.random_raw(len(outermost)))
        numbers[outermost] = z * np.where(cells[outermost] == 0, 1.0, -1.0)
    return out


def _lowest_tail(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Normal numbers in the lowest interval, one from each 64-bit word."""
    return np.array([lowest_tail(word) for word in words.tolist()])


def _parts(x: torch.Tensor) -> Sequence[torch.Tensor]:
    flat = x.view(-1)
    return (flat,) if len(flat) <= _AT_ONCE else flat.split(_AT_ONCE)


@cache
def _cell_means(dtype: torch.dtype) -> torch.Tensor:
    """`(N_CELLS,)`: mean of a standard normal number in each interval, lowest first.

    The upper half mirrors the lower, so that the mean of all is exactly zero.
    """
    lower = interval_means(0.5, N_CELLS // 2)
    return torch.cat([lower, -lower.flip(0)]).to(dtype)


def interval_means(probability: float, n: int = N_CELLS) -> torch.Tensor:
    """`(n,)` float64: mean of a standard normal number in each of `n` equally probable intervals, lowest first.

    The intervals together hold the lowest numbers, of this `probability`, at most 0.5. The mean over an interval is the
    density at its lower border minus that at its upper border, divided by its probability.
    """
    borders = torch.special.ndtri(torch.arange(n + 1, dtype=torch.float64, device="cpu") * (probability / n))
    density = torch.exp(-borders.square() / 2) / (2 * torch.pi) ** 0.5
    means: torch.Tensor = -(n / probability) * density.diff()
    return means


@cache
def _inner_means(dtype: torch.dtype) -> NDArray[Any]:
    """As `_cell_means`, with 0 in the two outermost intervals, whose numbers are drawn from the tail."""
    means = _cell_means(dtype).numpy().copy()
    means[[0, -1]] = 0
    return means

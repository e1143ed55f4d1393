"""Random numbers by counter: number i of a key depends on both alone, not on what was drawn before.

Word i of a key is the i-th output of SplitMix64 started at the key (Steele, Lea and Flood, OOPSLA 2014; it passes
BigCrush): a mixing of key + (i + 1) * 0x9E3779B97F4A7C15. A key is drawn at random for each use, by `new_key`, from a
generator whose state is saved, so that a resumed run continues with the same numbers. Two of m keys share a part of n
words with a probability of about m^2 n / 2^64.

Compiled loops compute the same words by `compiled_counters`.
"""

import numpy as np
import torch
from numpy.typing import NDArray

GAMMA = 0x9E3779B97F4A7C15
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def new_key(generator: torch.Generator) -> int:
    """A random key from 0 to 2^63 - 2, on any device."""
    return int(torch.randint(2**63 - 1, (1,), generator=generator, device=generator.device))


def new_keys(generator: torch.Generator, n: int) -> NDArray[np.uint64]:
    """The keys of the next `n` calls of `new_key`, `(n,)`, for a generator on the CPU."""
    keys: NDArray[np.int64] = torch.randint(2**63 - 1, (n,), generator=generator, device="cpu").numpy()
    return keys.view(np.uint64)


def random_words(key: int, counters: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The 64-bit words of `key` at `counters`, >= 0, of any shape."""
    with np.errstate(over="ignore"):
        z: NDArray[np.uint64] = np.uint64(key) + (counters.astype(np.uint64) + np.uint64(1)) * np.uint64(GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
    return z ^ (z >> np.uint64(31))


def uniform(key: int, counters: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers from 0 to 1, 1 excluded, in the shape of `counters`: multiples of 2^-53."""
    return (random_words(key, counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53

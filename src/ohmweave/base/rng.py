"""Named random streams: every random number comes from a seed and the name of its purpose.

Streams of different names are independent. A new use of random numbers therefore never changes those of other uses.
"""

import hashlib

import torch

from ohmweave.base.checks import check_seed


def stream_seed(seed: int, *names: str | int) -> int:
    """63-bit seed of the stream `names` under the experiment's `seed`; equal arguments, equal seed.

    Raises:
        OutOfRangeError: `seed` is no integer of 64 bits.
    """
    text = "\x1f".join([str(check_seed(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh `torch.Generator` on `device` for the stream `names` under `seed`; same device, same numbers."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, *names))

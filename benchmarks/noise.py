"""Noise added to what was read: one normal number a value, by ohmweave's stream and by torch's generator.

    python benchmarks/noise.py [N_VALUES]

Both draw a number for every value, multiply it by the root of a variance and add it, part by part in the cache. The
median of neighbouring rounds counts.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from unittest import mock

import torch

from ohmweave.base import NormalStream, keep_freed_buffers, normals

ROUNDS = 50
CACHE_VALUES = 2**16


def spent(call: Callable[[], object]) -> float:
    """Processor time of a call, s."""
    start = time.process_time()
    call()
    return time.process_time() - start


def by_torch(out: torch.Tensor, variance: torch.Tensor, generator: torch.Generator) -> None:
    """As `NormalStream.add_`, with torch's generator."""
    z = torch.empty(CACHE_VALUES)
    for part, spread in zip(out.split(CACHE_VALUES), variance.split(CACHE_VALUES), strict=True):
        part.addcmul_(spread.sqrt_(), z[: len(part)].normal_(generator=generator))


def plainly(out: torch.Tensor, variance: torch.Tensor, stream: NormalStream) -> None:
    """`NormalStream.add_` where Numba is not installed."""
    with mock.patch.object(normals, "worth_compiling", return_value=False):
        stream.add_(out, variance)


def main(n_values: int = 819_200) -> None:
    """A line of JSON: nanoseconds a value."""
    keep_freed_buffers()
    out, variance = torch.zeros(n_values), torch.ones(n_values)
    generator, stream = torch.Generator().manual_seed(0), NormalStream(0)
    ways = {
        "torch": lambda: by_torch(out, variance, generator),
        "stream": lambda: stream.add_(out, variance),
        "stream without Numba": lambda: plainly(out, variance, stream),
    }
    rounds = [{name: spent(call) for name, call in ways.items()} for _ in range(1 + ROUNDS)][1:]
    figures = {f"{name}, ns": statistics.median(r[name] for r in rounds) / n_values * 1e9 for name in ways}
    ratio = statistics.median(r["torch"] / r["stream"] for r in rounds)
    sys.stdout.write(json.dumps(figures | {"torch over stream": ratio}) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*(int(argument) for argument in sys.argv[1:]))

"""Compiled loops on several cores, by the threads that torch may use (`torch.set_num_threads`)."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="ohmweave")


if sys.platform != "win32":  # a forked process has the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def in_threads(n: int, work: Callable[[int, int], T], *, at_least: int = 1) -> list[T]:
    """Divide `n` pieces of work among threads, neighbours together.

    The results must not depend on the division: then they have the same bits with any number of threads.

    Args:
        n: pieces of work.
        work: does the pieces from its first argument up to, not including, its second, without the interpreter's lock.
        at_least: pieces of a thread that are worth its start, 20 us.

    Returns:
        What `work` returned, in order.
    """
    n_threads = min(torch.get_num_threads(), n // at_least)
    if n_threads <= 1:
        return [work(0, n)]
    borders = [n * k // n_threads for k in range(n_threads + 1)]
    return list(_pool(n_threads).map(work, borders[:-1], borders[1:]))

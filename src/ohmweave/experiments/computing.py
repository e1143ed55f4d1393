"""What else decides the digits of a row: threads, Numba and the instructions of the processor."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

_KEYS = ("threads", "numba", "cpu")


def computing() -> dict[str, str]:
    """Threads of torch, Numba's version or "no", and the processor's capability, as text; empty without torch.

    Rows that differ in one of these may differ in the last digits: sums are taken in another order.
    """
    torch = _torch()
    return (
        {}
        if torch is None
        else {
            "threads": str(torch.get_num_threads()),
            "numba": metadata.version("numba") if importlib.util.find_spec("numba") is not None else "no",
            "cpu": str(torch.backends.cpu.get_cpu_capability()),
        }
    )


@contextmanager
def in_threads(n: int) -> Iterator[None]:
    """Within this block torch computes in `n` threads: sums of other numbers of threads have other last digits."""
    torch = _torch()
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _torch() -> Any:
    """Torch, or None if it is not installed."""
    if "torch" not in sys.modules and importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch


def mixed(rows: Sequence[Mapping[str, str]], here: Mapping[str, str] | None = None) -> str:
    """One line on how rows that are there were computed otherwise than those to come; "" if they were not.

    Args:
        rows: the recorded versions of each row.
        here: those of this run; None is `computing()`.
    """
    if not any(key in row for row in rows for key in _KEYS):  # rows of earlier versions do not say
        return ""
    here = computing() if here is None else here
    found = []
    for key in _KEYS:
        others = sorted({row[key] for row in rows if key in row} - {here.get(key, "")})
        if others and key in here:
            found.append(f"{key} {' and '.join(others)} there, {here[key]} here")
    if not found:
        return ""
    return "rows of this folder were computed otherwise, and their last digits may differ: " + "; ".join(found)

"""Freed buffers stay with the process: the pages of the next ones are not fresh from the system."""

import resource
import subprocess
import sys

import pytest

CHURN = """
import resource, torch
from ohmweave.base import keep_freed_buffers
if {keep}:
    keep_freed_buffers()
def churn():
    for _ in range(20):
        parts = [torch.ones(2**20) for _ in range(9)]
        del parts
churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library of Linux is the one that learns")
def test_buffers_of_megabytes_are_used_again() -> None:
    n_pages = 20 * 9 * 2**22 // resource.getpagesize()
    assert _faults(keep=True) < n_pages / 100
    # Whether a process does it by chance, because something small lies at the heap's end, differs from one to the next.
    if not any(_faults(keep=False) > n_pages / 2 for _ in range(5)):
        pytest.skip("this C library keeps them anyway")


def _faults(*, keep: bool) -> int:
    done = subprocess.run([sys.executable, "-c", CHURN.format(keep=keep)], capture_output=True, check=True)
    return int(done.stdout)

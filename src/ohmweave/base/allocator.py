"""Large buffers that come and go: let the C library keep them."""

from functools import cache

import torch

# Just below the 32 MiB above which glibc returns a freed block to the system whatever came before.
_LARGE = 2**25 - 2**14


@cache
def keep_freed_buffers() -> None:
    """Stop the allocator from handing buffers of a few megabytes back to the system each time they are freed.

    A read or an update works through temporary tensors of megabytes. Fresh from the system each of their pages costs
    a page fault, which made in-situ training of ten chips a fifth slower. glibc learns from the largest block that was
    freed so far how much to keep (mallopt(3), `M_MMAP_THRESHOLD`): so one large block, never written to,
    is taken and freed, once a process. Up to 64 MiB of freed memory then stay with the process; other C libraries and
    settings by environment variables are left as they are.
    """
    torch.empty(_LARGE, dtype=torch.uint8, device="cpu")

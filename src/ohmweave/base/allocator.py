"""Freed buffers of a few megabytes: let the C library keep them for reuse."""

from functools import cache

import torch

# Just below the 32 MiB above which glibc returns a freed block to the system whatever came before.
_LARGE = 2**25 - 2**14


@cache
def keep_freed_buffers() -> None:
    """Stop the allocator from returning buffers of a few megabytes to the system each time they are freed.

    A read or an update makes temporary tensors of several megabytes. In memory that is new from the system each page
    costs a page fault, which made in-situ training of ten chips 20 % slower. glibc sets the size up to which it keeps
    freed blocks by the largest block freed so far (mallopt(3), `M_MMAP_THRESHOLD`). So one large block, never written
    to, is allocated and freed once per process. Up to 64 MiB of freed memory then stay with the process. Other C
    libraries are not affected, and environment variables that configure glibc still apply.
    """
    torch.empty(_LARGE, dtype=torch.uint8, device="cpu")

"""Tensors in the order of their memory, for passes that treat every number alike."""

import torch


def in_memory_order(v: torch.Tensor) -> torch.Tensor:
    """`v` with its dimensions in the order of the memory: torch's reductions of others are ten times as slow."""
    if v.is_contiguous():
        return v
    return v.permute(sorted(range(v.dim()), key=v.stride, reverse=True))


def each_number(v: torch.Tensor) -> torch.Tensor:
    """`in_memory_order` with the numbers of expanded dimensions once: for extremes, not for sums."""
    for dim, (size, stride) in enumerate(zip(v.shape, v.stride(), strict=True)):
        v = v.narrow(dim, 0, 1) if stride == 0 and size > 1 else v
    return in_memory_order(v)

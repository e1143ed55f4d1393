"""Batch norm with the statistics of each chip, where several chips are merged into one batch.

In training mode a batch norm subtracts the mean of its batch, which here would be the mean over all chips. Instead each
chip k is normalised by the mean and variance of its own part x_k of the batch:

    y_k = (x_k - mean(x_k)) / sqrt(var(x_k) + eps) * gamma + beta.

The running statistics, which evaluation mode uses, are one set for all chips, as all digital parts are. They follow the
means over the chips of mean(x_k) and of the unbiased var(x_k), with torch's momentum. Source: ours.
"""

import torch
import torch.nn.functional as F

from ohmweave.base import ShapeError
from ohmweave.nn.chip_batch import chip_alone

_BatchNorm = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d | torch.nn.BatchNorm3d


def normalise_chip_by_chip(model: torch.nn.Module, n_chips: int) -> None:
    """Replace the forward function of every batch norm of `model`; subclasses of torch's batch norms are left out."""
    for module in model.modules():
        if type(module) in (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d):
            module.forward = _ChipByChip(module, n_chips)  # type: ignore[arg-type]


class _ChipByChip:
    """The forward function of one batch norm."""

    def __init__(self, norm: _BatchNorm, n_chips: int) -> None:
        self._norm, self._n_chips = norm, n_chips

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`(chips * batch, C, ...)` to the same shape."""
        norm, n = self._norm, self._n_chips if chip_alone() is None else 1
        if not norm.training and norm.running_mean is not None:
            return type(norm).forward(norm, x)  # evaluation: a fixed scale and offset for each channel
        norm._check_input_dim(x)
        if x.shape[0] % n:
            raise ShapeError(f"`x` must have {n} chips * batch as its first dimension, but has {tuple(x.shape)}")
        # (chips, batch, C, ...) to (batch, chips * C, ...): `batch_norm` then treats each chip's channels separately.
        apart = x.unflatten(0, (n, -1)).transpose(0, 1)
        tracked = norm.training and norm.track_running_stats and norm.running_mean is not None
        mean, var = (x.new_zeros(n * x.shape[1]) if tracked else None for _ in range(2))
        weight, bias = (None if part is None else part.repeat(n) for part in (norm.weight, norm.bias))
        # With momentum 1 the "running" statistics are those of this batch.
        y = F.batch_norm(apart.flatten(1, 2), mean, var, weight, bias, training=True, momentum=1.0, eps=norm.eps)
        if mean is not None and var is not None:
            self._track(mean.view(n, -1).mean(0), var.view(n, -1).mean(0))
        merged: torch.Tensor = y.view(apart.shape).transpose(0, 1).flatten(0, 1)
        return merged

    def _track(self, mean: torch.Tensor, var: torch.Tensor) -> None:
        norm = self._norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
        norm.running_var.lerp_(var.to(norm.running_var.dtype), share)

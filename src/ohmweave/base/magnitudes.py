"""Counts of the magnitudes of numbers that come in parts, to choose a full scale from them."""

import math
from collections.abc import Callable

import torch

from ohmweave.base.checks import check_fraction
from ohmweave.base.errors import OutOfRangeError

N_BINS = 2**13
"""Bins up to the top, which is at most twice the largest magnitude: a bin is at most 1/4096 of that."""

N_SCALES = 200
"""Full scales that `least_error` compares, at equal distances up to the largest magnitude."""


class Magnitudes:
    """A histogram of magnitudes. Its range doubles when a larger number comes, and two bins become one.

    Attributes:
        largest: the largest magnitude, exactly.
        counts: `(groups, N_BINS)` int64 on the CPU, numbers in each bin; None before the first number.
    """

    def __init__(self) -> None:
        self.largest = 0.0
        self.counts: torch.Tensor | None = None
        self._top = 0.0

    def add(self, values: torch.Tensor, unit: float = 1.0) -> None:
        """Count `values`, `(groups, ...)` of a floating dtype, finite, in units of `unit`."""
        if not values.numel():
            return
        if not values.is_floating_point():
            raise OutOfRangeError(f"`values` must be of a floating dtype, but are {values.dtype}")
        x = values.detach().abs().flatten(1)
        largest = float(x.max()) * unit
        self.largest = max(self.largest, largest)
        if self.counts is None:
            self.counts = torch.zeros(len(x), N_BINS, dtype=torch.int64, device="cpu")
        if largest > self._top:
            self._widen(largest)
        if not self._top:  # only zeros so far
            self.counts[:, 0] += x.shape[1]
            return
        bins = x.mul_(N_BINS * unit / self._top).to(torch.int64).clamp_(max=N_BINS - 1)
        bins += torch.arange(len(x), device=x.device)[:, None] * N_BINS
        self.counts += torch.bincount(bins.flatten(), minlength=len(x) * N_BINS).view(len(x), N_BINS).cpu()

    def _widen(self, largest: float) -> None:
        """Make the top a power of two that is >= `largest`, so that bins merge without a remainder."""
        assert self.counts is not None
        top = 2.0 ** math.ceil(math.log2(largest))
        top = top if top >= largest else 2 * top  # the logarithm is rounded
        if self._top:
            merged = min(round(top / self._top), N_BINS)
            fewer = self.counts.unflatten(1, (-1, merged)).sum(-1)
            self.counts = torch.nn.functional.pad(fewer, (0, N_BINS - fewer.shape[1]))
        self._top = top

    @property
    def n(self) -> int:
        """Numbers that were counted."""
        return 0 if self.counts is None else int(self.counts.sum())

    def quantile(self, quantile: float) -> float:
        """The number of rank round(quantile * (n - 1)) of the n sorted magnitudes, up to the width of a bin.

        It is the upper edge of its bin, so that no number of this rank is beyond it; for 1 it is the largest, exactly.
        0 if no number was counted.
        """
        check_fraction("quantile", quantile)
        if self.counts is None or quantile == 1:
            return self.largest
        rank = round(quantile * (self.n - 1))
        at = int(torch.searchsorted(self.counts.sum(0).cumsum(0), rank, right=True))
        return min(self.largest, (at + 1) * self._top / N_BINS)

    def beyond(self, limit: float) -> float:
        """Fraction of the numbers beyond `limit`, those in its own bin not counted; 0 if no number was counted."""
        if self.counts is None or limit >= self.largest:
            return 0.0
        first = math.floor(limit * N_BINS / self._top + 1e-9)
        return float(self.counts[:, first + 1 :].sum()) / self.n

    def least_error(self, converted: Callable[[torch.Tensor, float], torch.Tensor], base: float = 1.0) -> float:
        """The full scale at which a converter makes the smallest sum of squared errors.

        Large scales round coarsely, small ones clip. All numbers of a bin are taken to be at its centre; those of the
        first bin to be 0.

        Args:
            converted: function of magnitudes, `(n,)` float64, and a full scale, that returns what the converter makes
                of them.
            base: an error in group k counts base^k times, as a bit plane that is shifted by k places does.

        Returns:
            One of `N_SCALES` scales up to the largest magnitude; 0 if there are only zeros, or none.

        Source: the usual choice of a clipping range in quantisation, by the mean squared error; the grid is ours.
        """
        if self.counts is None or not self._top:
            return 0.0
        centres = (torch.arange(N_BINS, dtype=torch.float64, device="cpu") + 0.5) * (self._top / N_BINS)
        centres[0] = 0.0
        groups = torch.arange(len(self.counts), dtype=torch.float64, device="cpu")
        weight = (self.counts.double() * (base**groups)[:, None] ** 2).sum(0)
        used = weight > 0
        centres, weight = centres[used], weight[used]
        scales = [self.largest * k / N_SCALES for k in range(1, N_SCALES + 1)]
        errors = [float((weight * (converted(centres, scale) - centres).square()).sum()) for scale in scales]
        least = min(errors)
        # Of equally good scales the largest, which clips least.
        return max(scale for scale, error in zip(scales, errors, strict=True) if error <= least)

"""Labelled images, and a data set of three parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch

from ohmweave.base import OutOfRangeError, ShapeError, check_fields, check_integer, check_tensor, integer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Images and their labels, in the same order.

    Args:
        images: `(n, channels, height, width)`, float32; grey levels in [0, 1] as loaded, V after `wang2019_digits`.
            Sequences have one dimension more: `(n, frames, channels, height, width)`.
        labels: `(n,)`, int64, class numbers from 0.

    Raises:
        ShapeError: the number of labels differs from the number of images.
        OutOfRangeError: images or labels are of another type.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __repr__(self) -> str:
        shape, dtype = tuple(self.images.shape[1:]), str(self.images.dtype).removeprefix("torch.")
        return f"Split({len(self):,} images of {shape}, {dtype}, on {self.images.device})"

    def __post_init__(self) -> None:
        check_tensor("images", self.images)
        check_tensor("labels", self.labels, dtype=torch.int64)
        if self.images.dtype not in (torch.float32, torch.float64) or not self.images.dim():
            raise OutOfRangeError(
                "`images` must be of torch.float32 or torch.float64 and have the dimension of the images first, but "
                f"they are of {self.images.dtype} and {tuple(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1]:
            wanted, found = tuple(self.images.shape[:1]), tuple(self.labels.shape)
            raise ShapeError(f"`labels` must have the shape {wanted}, one for each image, but has {found}")

    def __len__(self) -> int:
        return self.images.shape[0]

    def __getitem__(self, index: slice | torch.Tensor) -> "Split":
        """The part chosen by a slice (a view), or by a tensor of indices or booleans `(n,)` (a copy)."""
        return Split(images=self.images[index], labels=self.labels[index])

    def take(self, n: int) -> "Split":
        """The first `n` images (a view). Raises `OutOfRangeError` if there are fewer."""
        n = check_integer("n", n, at_least=0)
        if n > len(self):
            raise OutOfRangeError(f"`n` must be <= {len(self)}, the number of images, but is {n}")
        return self[:n]

    def to(self, device: torch.device | str) -> "Split":
        """Images and labels on `device`."""
        return Split(images=self.images.to(device), labels=self.labels.to(device))

    def batches(
        self, size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One pass over all images in batches of `size`; the last batch may be smaller.

        Args:
            size: number of images in a batch, >= 1.
            generator: draws a new order in each call; it may be on another device. None keeps the natural order.

        Returns:
            An iterator over (images `(batch, channels, height, width)`, labels `(batch,)`).

        Raises:
            OutOfRangeError: `size` is below 1.
        """
        size = check_integer("size", size, at_least=1)
        return self._batches(size, generator)

    def _batches(self, size: int, generator: torch.Generator | None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if generator is None:
            yield from zip(self.images.split(size), self.labels.split(size), strict=True) if len(self) else ()
            return
        order = torch.randperm(len(self), generator=generator, device=generator.device).to(self.images.device)
        for chosen in order.split(size) if len(self) else ():
            yield self.images[chosen], self.labels[chosen]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A named data set in three disjoint parts.

    Args:
        name: as given to `load`, followed by the names of transformations.
        train, validation, test: disjoint; `validation` may be empty.
        n_classes: labels are 0 .. n_classes - 1.
        note: how the parts were chosen, to be printed with results.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    n_classes: Annotated[int, integer(at_least=1)]
    note: str = ""

    def __post_init__(self) -> None:
        check_fields(self)

    def __repr__(self) -> str:
        parts = f"{len(self.train):,} training, {len(self.validation):,} validation, {len(self.test):,} test"
        return (
            f"Dataset({self.name!r}: {parts} images of {tuple(self.train.images.shape[1:])}, {self.n_classes} classes)"
        )

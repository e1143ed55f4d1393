"""Cropping, padding and resizing of grey-level images."""

import torch
from torch.nn.functional import interpolate, pad

from ohmweave.base import ShapeError


def crop_centre(images: torch.Tensor, size: int) -> torch.Tensor:
    """The central pixels of `(..., height, width)`, `(..., size, size)`; a view.

    Raises:
        ShapeError: an image is smaller than `size`.
    """
    height, width = images.shape[-2:]
    if min(height, width) < size:
        raise ShapeError(f"`images` must be at least {size} x {size}, but are {height} x {width}")
    top, left = (height - size) // 2, (width - size) // 2
    return images[..., top : top + size, left : left + size]


def pad_centre(images: torch.Tensor, size: int) -> torch.Tensor:
    """`(..., height, width)` in the middle of black images `(..., size, size)`; an odd row goes below, a column right.

    Raises:
        ShapeError: an image is larger than `size`.
    """
    height, width = images.shape[-2:]
    if max(height, width) > size:
        raise ShapeError(f"`images` must be at most {size} x {size}, but are {height} x {width}")
    top, left = (size - height) // 2, (size - width) // 2
    return pad(images, (left, size - width - left, top, size - height - top))


def resize_bicubic(images: torch.Tensor, size: int) -> torch.Tensor:
    """Bicubic resizing with antialiasing, as in Pillow and in MATLAB's `imresize`.

    Each output pixel is a weighted mean of input pixels. The weights are Keys' cubic (a = -1/2), widened by the scale
    when the image shrinks, cut off at the border and normalised to a sum of one.

    Args:
        images: `(n, channels, height, width)`, float.
        size: height and width of the result.

    Returns:
        `(n, channels, size, size)`; values may lie outside the range of the input.

    Source: R. Keys, IEEE Trans. ASSP 29, 1153 (1981), with a = -1/2.
    """
    return interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False)


def quantise_8bit(images: torch.Tensor) -> torch.Tensor:
    """Each value `(...)` rounded to the nearest of the 256 grey levels 0, 1/255, ..., 1; clipped to [0, 1] before."""
    return images.clamp(0, 1).mul_(255).round_().div_(255)

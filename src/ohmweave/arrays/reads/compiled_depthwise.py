"""Compiled depthwise convolution for means and variances in one pass. Needs Numba (`ohmweave[fast]`).

Torch convolves twice and squares the images in a pass of its own; a depthwise convolution does so little arithmetic
that reading and writing memory takes most of the time. `patches.convolve` is the reference.
"""

from typing import Any

from numpy.typing import NDArray

from ohmweave.base.extras import compiled


def _depthwise(  # noqa: C901 (one loop: calls in it take more than twice as long)
    images: NDArray[Any],
    kernels: NDArray[Any],
    spreads: NDArray[Any],
    places: tuple[int, int, int, int, int, int],
    mean: NDArray[Any],
    variance: NDArray[Any],
) -> None:
    """Convolve images with the kernels, and their squares with the spreads.

    Args:
        images: `(batch, H, W, C)`.
        kernels: `(kh, kw, C)`.
        spreads: `(kh, kw, C)`.
        places: stride, dilation and padding (before) of rows and of columns, each a pair.
        mean: `(batch, out H, out W, C)`, overwritten.
        variance: the same.
    """
    step_y, step_x, wide_y, wide_x, top, left = places
    n, height, width, channels = images.shape
    for b in range(n):
        for y in range(mean.shape[1]):
            for x in range(mean.shape[2]):
                start, last = x * step_x - left, x * step_x - left + 2 * wide_x
                inside = kernels.shape[1] == 3 and start >= 0 and last < width
                for c in range(channels):
                    mean[b, y, x, c] = 0
                    variance[b, y, x, c] = 0
                for ky in range(kernels.shape[0]):
                    row = y * step_y + ky * wide_y - top
                    if row < 0 or row >= height:
                        continue
                    if inside:  # the usual kernel: three columns in one pass
                        for c in range(channels):
                            v0, v1 = images[b, row, start, c], images[b, row, start + wide_x, c]
                            v2 = images[b, row, last, c]
                            mean[b, y, x, c] += v0 * kernels[ky, 0, c] + v1 * kernels[ky, 1, c] + v2 * kernels[ky, 2, c]
                            variance[b, y, x, c] += (
                                v0 * v0 * spreads[ky, 0, c] + v1 * v1 * spreads[ky, 1, c] + v2 * v2 * spreads[ky, 2, c]
                            )
                        continue
                    for kx in range(kernels.shape[1]):
                        col = start + kx * wide_x
                        if col >= 0 and col < width:
                            for c in range(channels):
                                v = images[b, row, col, c]
                                mean[b, y, x, c] += v * kernels[ky, kx, c]
                                variance[b, y, x, c] += v * v * spreads[ky, kx, c]


depthwise: Any = compiled(_depthwise, nogil=True)

"""Resizing against Pillow and against the formula written out pixel by pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from ohmweave.base import ShapeError
from ohmweave.data.resize import crop_centre, pad_centre, quantise_8bit, resize_bicubic
from tests.helpers import assert_close


def keys_cubic(x: float) -> float:
    """Keys' cubic convolution kernel, a = -1/2."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def slow_resize_line(line: list[float], size: int) -> list[float]:
    step = len(line) / size
    widening = max(step, 1.0)
    result = []
    for k in range(size):
        centre = (k + 0.5) * step
        weights = [keys_cubic((j + 0.5 - centre) / widening) for j in range(len(line))]
        result.append(sum(w * x for w, x in zip(weights, line, strict=True)) / sum(weights))
    return result


def slow_resize(image: list[list[float]], size: int) -> np.ndarray:
    narrow = [slow_resize_line(row, size) for row in image]
    return np.array([slow_resize_line(list(column), size) for column in zip(*narrow, strict=True)]).T


def random_images(n: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(n, 1, height, width, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(("height", "width", "size"), [(20, 20, 8), (8, 8, 20), (20, 13, 8), (8, 8, 8)])
def test_resize_is_the_formula(height: int, width: int, size: int) -> None:
    images = random_images(2, height, width)
    resized = resize_bicubic(images.double(), size)
    for image, actual in zip(images, resized, strict=True):
        assert_close(actual[0], slow_resize(image[0].double().tolist(), size), rtol=1e-12, scale=1.0)


@pytest.mark.parametrize(("before", "after"), [(20, 8), (8, 20)])
def test_resize_is_pillows(before: int, after: int) -> None:
    images = random_images(5, before, before)
    resized = resize_bicubic(images, after)
    for image, actual in zip(images, resized, strict=True):
        pillow = Image.fromarray(image[0].numpy()).resize((after, after), Image.Resampling.BICUBIC)
        assert_close(actual[0], np.asarray(pillow), rtol=1e-6, scale=1.0)


def test_crop_and_pad_are_central() -> None:
    image = torch.arange(36.0).reshape(1, 6, 6)
    assert crop_centre(image, 2).tolist() == [[[14, 15], [20, 21]]]
    padded = pad_centre(torch.tensor([[[1.0, 2.0]]]), 4)
    assert padded.tolist() == [[[0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]
    assert (crop_centre(pad_centre(image, 10), 6) == image).all()


def test_quantised_levels() -> None:
    levels = quantise_8bit(torch.tensor([-0.1, 0.0, 0.6 / 255, 0.5, 254.4 / 255, 1.0, 1.2]))
    assert (levels * 255).round().tolist() == [0, 0, 1, 128, 254, 255, 255]
    assert_close(levels * 255, (levels * 255).round(), rtol=1e-6)


def test_quantising_leaves_its_argument_alone() -> None:
    images = torch.tensor([0.3, 2.0])
    quantise_8bit(images)
    assert images.tolist() == torch.tensor([0.3, 2.0]).tolist()


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="`images` must be at least 20 x 20, but are 8 x 28"):
        crop_centre(torch.zeros(1, 8, 28), 20)
    with pytest.raises(ShapeError, match="`images` must be at most 28 x 28, but are 8 x 30"):
        pad_centre(torch.zeros(1, 8, 30), 28)

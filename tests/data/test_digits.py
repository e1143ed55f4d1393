"""The embedded digits: sizes, split, levels."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import datasets

from ohmweave.base import OutOfRangeError
from ohmweave.data import Dataset, load, wang2019_sequences
from tests.helpers import assert_close


def parts(dataset: Dataset) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(part.images, part.labels) for part in (dataset.train, dataset.validation, dataset.test)]


def native_positions(images: torch.Tensor) -> list[int]:
    """Where 8 x 8 images stand in scikit-learn's array. All its images differ (asserted here)."""
    raw = datasets.load_digits().data
    position = {row.tobytes(): k for k, row in enumerate(raw)}
    assert len(position) == len(raw) == 1797
    return [position[(image.flatten().double() * 16).numpy().tobytes()] for image in images]


@pytest.mark.parametrize("size", [8, 28])
def test_sizes_and_types(size: int) -> None:
    digits = load("digits", size=size)
    assert [len(part) for part in (digits.train, digits.validation, digits.test)] == [1197, 200, 400]
    assert digits.n_classes == 10
    for images, labels in parts(digits):
        assert images.shape[1:] == (1, size, size)
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert images.min() == 0
        assert images.max() == 1


def test_default_size_is_that_of_mnist() -> None:
    assert load("digits").train.images.shape[1:] == (1, 28, 28)


def test_the_parts_are_disjoint_and_together_everything_with_the_right_labels() -> None:
    target = datasets.load_digits().target
    positions = []
    for images, labels in parts(load("digits", size=8)):
        here = native_positions(images)
        assert here == sorted(here)
        assert labels.tolist() == target[here].tolist()
        positions += here
    assert sorted(positions) == list(range(1797))


def test_the_parts_are_balanced_and_spread_over_the_natural_order() -> None:
    digits = load("digits", size=8)
    assert digits.test.labels.bincount().tolist() == [40] * 10
    assert digits.validation.labels.bincount().tolist() == [20] * 10
    for part, per_tenth in ((digits.test, 40), (digits.validation, 20)):
        counts, _ = np.histogram(native_positions(part.images), bins=10, range=(0, 1797))
        assert (np.abs(counts - per_tenth) <= 10).all()


def test_equal_in_every_call() -> None:
    for (images, labels), (again, labels_again) in zip(parts(load("digits")), parts(load("digits")), strict=True):
        assert torch.equal(images, again)
        assert torch.equal(labels, labels_again)


def test_both_sizes_hold_the_same_images_in_the_same_order() -> None:
    small, large = load("digits", size=8), load("digits", size=28)
    for (native, labels), (upsampled, large_labels) in zip(parts(small), parts(large), strict=True):
        assert torch.equal(labels, large_labels)
        for image, actual in zip(native[:20], upsampled[:20], strict=True):
            pillow = np.asarray(Image.fromarray(image[0].numpy()).resize((20, 20), Image.Resampling.BICUBIC))
            grey = np.rint(np.clip(pillow, 0, 1) * 255)
            assert np.abs(grey - actual[0, 4:24, 4:24].numpy() * 255).max() < 1.001  # a tie may round either way
            assert_close(grey.mean(), actual[0, 4:24, 4:24].mean() * 255, rtol=1e-3)
        border = upsampled.clone()
        border[..., 4:24, 4:24] = 0
        assert not border.any()
        assert_close(upsampled * 255, (upsampled * 255).round(), rtol=1e-6)


@pytest.mark.parametrize(("validation", "train"), [(0, 1397), (10, 1387), (1000, 397)])
def test_validation_leaves_the_test_images_alone(validation: int, train: int) -> None:
    digits = load("digits", size=8, validation=validation)
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (train, validation, 400)
    assert torch.equal(digits.test.images, load("digits", size=8).test.images)
    assert len(set(native_positions(torch.cat([images for images, _ in parts(digits)])))) == 1797


def test_a_linear_classifier_learns_them() -> None:
    """Images and labels belong together: nearest class mean, no training."""
    digits = load("digits", size=8)
    means = torch.stack([digits.train.images[digits.train.labels == k].mean(0) for k in range(10)]).flatten(1)
    nearest = torch.cdist(digits.test.images.flatten(1), means).argmin(1)
    assert (nearest == digits.test.labels).float().mean() > 0.85


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(OutOfRangeError, match="`name` must be one of digits, mnist, cifar10, but is 'mnsit'"):
        load("mnsit")
    with pytest.raises(OutOfRangeError, match="`size` must be 28 or 8 for digits, but is 14"):
        load("digits", size=14)
    with pytest.raises(OutOfRangeError, match="`size` must be 28 for mnist, but is 8"):
        load("mnist", size=8)
    for wrong in (15, 1010):
        with pytest.raises(OutOfRangeError, match=f"`validation` must be a multiple of 10 up to 1000, but is {wrong}"):
            load("digits", validation=wrong)
    with pytest.raises(OutOfRangeError, match="`validation` must be an integer >= 0, but is -10"):
        load("digits", validation=-10)


def test_digits_are_on_the_cpu_whatever_the_default_device_is() -> None:
    expected = load("digits", size=8)
    torch.set_default_device("meta")
    try:
        dataset = load("digits", size=8)
        sequences = wang2019_sequences(dataset, seed=0)
    finally:
        torch.set_default_device(None)
    assert all(
        torch.equal(part, other)
        for own, others in zip(parts(dataset), parts(expected), strict=True)
        for part, other in zip(own, others, strict=True)
    )
    assert torch.equal(sequences.train.images, wang2019_sequences(expected, seed=0).train.images)

"""Splits, data sets and normalisations with arguments of another type or out of range."""

from typing import Any

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.data import Dataset, Split, digit_sequences, normalised

IMAGES, LABELS = torch.rand(4, 3, 2, 2), torch.arange(4)


@pytest.mark.parametrize(
    ("images", "labels", "name"),
    [
        (IMAGES.bool(), LABELS, "images"),
        (IMAGES.half(), LABELS, "images"),
        (IMAGES.int(), LABELS, "images"),
        (torch.tensor(1.0), LABELS, "images"),
        (IMAGES.tolist(), LABELS, "images"),
        (IMAGES, LABELS.float(), "labels"),
        (IMAGES, LABELS.tolist(), "labels"),
    ],
)
def test_images_are_floats_and_labels_are_class_numbers(images: Any, labels: Any, name: str) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{name}` must be|`{name}` must have"):
        Split(images=images, labels=labels)


def test_numpy_sizes_are_sizes() -> None:
    import numpy as np

    split = Split(images=IMAGES, labels=LABELS)
    assert len(split.take(np.int64(2))) == 2
    assert [len(x) for x, _ in split.batches(np.int32(3))] == [3, 1]


def test_a_data_set_is_of_splits_and_classes() -> None:
    split = Split(images=IMAGES, labels=LABELS)
    parts: dict[str, Any] = {"name": "x", "train": split, "validation": split, "test": split, "n_classes": 4}
    assert Dataset(**parts).n_classes == 4
    with pytest.raises(TypeError, match="`validation` must be a Split"):
        Dataset(**parts | {"validation": None})
    for value in (0, -1, 1.5):
        with pytest.raises(OutOfRangeError, match="`n_classes` must be an integer"):
            Dataset(**parts | {"n_classes": value})


@pytest.mark.parametrize(
    ("mean", "std", "name"),
    [
        ((0.5, 0.5), (1.0, 1.0, 1.0), "mean"),
        ((0.5, float("nan"), 0.5), (1.0, 1.0, 1.0), "mean\\[1\\]"),
        ((0.5, 0.5, 0.5), (1.0, 0.0, 1.0), "std\\[1\\]"),
        ((0.5, 0.5, 0.5), (1.0, 1.0, -1.0), "std\\[2\\]"),
        ((0.5, 0.5, 0.5), 1.0, "std"),
    ],
)
def test_a_normalisation_has_a_number_for_each_channel(mean: Any, std: Any, name: str) -> None:
    with pytest.raises(OutOfRangeError, match=f"`{name}` must "):
        normalised(Split(images=IMAGES, labels=LABELS), mean=mean, std=std)


@pytest.mark.parametrize("seed", [1.5, float("inf"), "x", 2**70])
def test_a_seed_is_an_integer_of_64_bits(seed: Any) -> None:
    with pytest.raises(OutOfRangeError, match="`seed` must be an integer"):
        digit_sequences(Split(images=IMAGES, labels=LABELS), seed=seed)

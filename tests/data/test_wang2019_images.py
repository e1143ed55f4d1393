"""Wang's digits and sequences: voltages, sizes, and which images go where."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.data import Dataset, Split, digit_sequences, load, wang2019_digits, wang2019_sequences
from tests.helpers import assert_close

# The paper's order of the classes.
ORDERS = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]


def numbered(labels: list[int]) -> Split:
    """Image k is filled with k."""
    n = len(labels)
    images = torch.arange(float(n)).reshape(n, 1, 1, 1).expand(n, 1, 8, 8)
    return Split(images=images, labels=torch.tensor(labels, dtype=torch.int64))


def of_grey(images: torch.Tensor) -> Dataset:
    split = Split(images=images, labels=torch.zeros(len(images), dtype=torch.int64))
    return Dataset(name="grey", train=split, validation=split[:0], test=split, n_classes=10)


def test_black_and_white_are_the_ends_of_the_voltage_range() -> None:
    digits = wang2019_digits(load("digits", size=8))
    native = load("digits", size=8)
    for volts, grey in (
        (digits.train, native.train),
        (digits.validation, native.validation),
        (digits.test, native.test),
    ):
        assert volts.images.shape[1:] == (1, 8, 8)
        assert_close(volts.images, 0.4 * grey.images - 0.2, rtol=1e-6, scale=0.2)
        assert_close(volts.images[grey.images == 0], torch.full(((grey.images == 0).sum(),), -0.2), rtol=1e-6)
        assert_close(volts.images[grey.images == 1], torch.full(((grey.images == 1).sum(),), 0.2), rtol=1e-6)
        assert torch.equal(volts.labels, grey.labels)
    assert digits.name == "digits 8x8"


def test_28_by_28_is_the_central_crop_resized_as_pillow_does() -> None:
    images = load("digits", size=28).train.images[:30]
    images[0] = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(3))
    volts = wang2019_digits(of_grey(images)).train.images
    grey = (volts + 0.2) / 0.4 * 255
    assert_close(grey, grey.round(), rtol=1e-5, scale=255)
    for image, actual in zip(images, grey, strict=True):
        crop = image[0, 4:24, 4:24].numpy()
        pillow = np.asarray(Image.fromarray(crop).resize((8, 8), Image.Resampling.BICUBIC))
        assert np.abs(np.clip(pillow, 0, 1) * 255 - actual[0].numpy()).max() < 0.501


def test_pixels_outside_the_crop_do_not_matter() -> None:
    images = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(4))
    framed = images.clone()
    framed[..., 4:24, 4:24] = 0
    black = wang2019_digits(of_grey(framed)).train.images
    assert_close(black, torch.full((1, 1, 8, 8), -0.2), rtol=1e-6)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"`dataset` must hold images of \(1, 28, 28\) or .*, but they are \(3, 32, 32\)"
    ):
        wang2019_digits(of_grey(torch.zeros(2, 3, 32, 32)))


@given(st.lists(st.sampled_from([0, 1, 2, 3, 9]), max_size=60), st.integers(0, 5))
@example([3, 0, 1, 2, 2, 1, 3] * 20, 0)  # long enough for all six classes
def test_sequences_follow_the_rule(labels: list[int], seed: int) -> None:
    """The rule of the paper, one sequence after the other."""
    split = numbered(labels)
    sequences = digit_sequences(split, seed=seed)
    unused = {digit: [k for k, label in enumerate(labels) if label == digit] for digit in (1, 2, 3)}
    assert len(sequences) == min(map(len, unused.values()))
    assert sequences.images.shape[1:] == (3, 1, 8, 8)
    for frames, label in zip(sequences.images, sequences.labels.tolist(), strict=True):
        taken = {digit: unused[digit].pop(0) for digit in (1, 2, 3)}
        assert frames[:, 0, 2, 3].tolist() == [taken[digit] for digit in ORDERS[label]]


def test_classes_come_from_the_seed_and_are_even() -> None:
    split = numbered([1, 2, 3] * 3_000)
    labels = digit_sequences(split, seed=0).labels
    assert torch.equal(labels, digit_sequences(split, seed=0).labels)
    assert not torch.equal(labels, digit_sequences(split, seed=1).labels)
    assert labels.dtype == torch.int64
    counts = labels.bincount(minlength=6)
    assert ((counts - 500).abs() < 5 * (3_000 * 1 / 6 * 5 / 6) ** 0.5).all()


def test_the_parts_have_streams_of_their_own() -> None:
    split = numbered([1, 2, 3] * 100)
    whole = Dataset(name="numbered", train=split, validation=split[:0], test=split, n_classes=10)
    sequences = wang2019_sequences(whole, seed=0)
    assert (len(sequences.train), len(sequences.validation), len(sequences.test)) == (100, 0, 100)
    assert not torch.equal(sequences.train.labels, sequences.test.labels)
    assert (sequences.n_classes, sequences.name) == (6, "numbered sequences")
    assert torch.equal(sequences.train.images, wang2019_sequences(whole, seed=0).train.images)


def test_labels_must_be_digits() -> None:
    with pytest.raises(OutOfRangeError, match=r"`split\.labels` must be digits, 0 to 9"):
        digit_sequences(numbered([1, 2, 10]), seed=0)


@pytest.mark.data("mnist")
def test_the_papers_counts_from_mnist() -> None:
    mnist = load("mnist", validation=0, allow_download=False)
    small = wang2019_digits(mnist)
    sequences = wang2019_sequences(small, seed=0)
    assert (len(sequences.train), len(sequences.validation), len(sequences.test)) == (5_958, 0, 1_010)
    assert sequences.train.images.shape == (5_958, 3, 1, 8, 8)
    assert sequences.train.images.abs().max() <= 0.2 * (1 + 1e-6)
    assert len(small.train) == 60_000

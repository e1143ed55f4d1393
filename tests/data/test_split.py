"""A split's order, parts and batches."""

import pytest
import torch

from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.data import Split


def numbered(n: int) -> Split:
    """Image k is filled with k, and so is its label."""
    labels = torch.arange(n)
    return Split(images=labels.to(torch.float32).reshape(n, 1, 1, 1).expand(n, 1, 2, 2), labels=labels)


def test_length_take_and_indexing_keep_images_and_labels_together() -> None:
    split = numbered(7)
    for part, expected in [
        (split, [0, 1, 2, 3, 4, 5, 6]),
        (split.take(3), [0, 1, 2]),
        (split.take(0), []),
        (split[4:], [4, 5, 6]),
        (split[torch.tensor([5, 0])], [5, 0]),
        (split[split.labels > 5], [6]),
    ]:
        assert len(part) == len(expected)
        assert part.labels.tolist() == expected
        assert part.images[:, 0, 1, 1].tolist() == expected


def test_batches_in_natural_order_end_with_what_is_left() -> None:
    batches = list(numbered(7).batches(3))
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [images[:, 0, 0, 0].tolist() for images, _ in batches] == [[0, 1, 2], [3, 4, 5], [6]]


def test_shuffled_batches_are_a_permutation_new_in_each_pass_and_repeatable() -> None:
    def two_passes(seed: int) -> list[list[int]]:
        stream = generator(seed, "shuffle")
        passes = []
        for _ in range(2):
            batches = list(numbered(50).batches(8, stream))
            assert [len(labels) for _, labels in batches] == [8] * 6 + [2]
            assert all((images[:, 0, 0, 0] == labels).all() for images, labels in batches)
            passes.append(torch.cat([labels for _, labels in batches]).tolist())
        return passes

    first, second = two_passes(0)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert [first, second] == two_passes(0)
    assert [first, second] != two_passes(1)


def test_an_empty_split_has_no_batches() -> None:
    assert list(numbered(0).batches(3)) == []
    assert list(numbered(0).batches(3, generator(0))) == []


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ShapeError, match=r"`labels` must have the shape \(2,\), one for each image, but has \(3,\)"):
        Split(images=torch.zeros(2, 1, 8, 8), labels=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(OutOfRangeError, match="`n` must be <= 7, the number of images, but is 8"):
        numbered(7).take(8)
    with pytest.raises(OutOfRangeError, match="`n` must be an integer >= 0, but is -1"):
        numbered(7).take(-1)
    with pytest.raises(OutOfRangeError, match="`size` must be an integer >= 1, but is 0"):
        numbered(7).batches(0)

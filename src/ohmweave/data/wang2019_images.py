"""The two data sets of Wang et al. 2019: 8 x 8 digits as voltages, and sequences of three of them.

Source: Z. Wang et al., Nat. Mach. Intell. 1, 434 (2019): size, crop, resizing, voltage range, sequence rule. The random
order of the sequences' classes is not published; here it is drawn from the seed.
"""

from dataclasses import replace

import torch

from ohmweave.base import OutOfRangeError, ShapeError, generator, stream_seed
from ohmweave.data.resize import crop_centre, quantise_8bit, resize_bicubic
from ohmweave.data.split import Dataset, Split

V_READ = 0.2
"""V, row voltage of a white pixel; that of a black one is -V_READ."""
SEQUENCE_DIGITS = (1, 2, 3)
SEQUENCE_ORDERS = ((1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1))

_SIZE = 8
_CROP = 20


def wang2019_digits(dataset: Dataset) -> Dataset:
    """Digits as the paper's row voltages: 8 x 8 pixels, black -0.2 V to white +0.2 V.

    Images of 28 x 28 are cropped to the central 20 x 20, resized to 8 x 8 (bicubic, antialiased) and rounded to 8 bit.
    Images of 8 x 8, from `load("digits", size=8)`, are only mapped to voltages. The paper trains on all 60,000 images
    of MNIST in their natural order: `load("mnist", validation=0)`.

    Args:
        dataset: images `(n, 1, 28, 28)` or `(n, 1, 8, 8)` in [0, 1].

    Returns:
        Images `(n, 1, 8, 8)`, V.

    Raises:
        ShapeError: images of another size.
    """
    return replace(
        dataset,
        name=f"{dataset.name} 8x8",
        train=_as_voltages(dataset.train),
        validation=_as_voltages(dataset.validation),
        test=_as_voltages(dataset.test),
    )


def wang2019_sequences(dataset: Dataset, *, seed: int) -> Dataset:
    """`digit_sequences` of all three parts, each with a random stream of its own that is derived from `seed`."""
    return replace(
        dataset,
        name=f"{dataset.name} sequences",
        train=digit_sequences(dataset.train, seed=stream_seed(seed, "train")),
        validation=digit_sequences(dataset.validation, seed=stream_seed(seed, "validation")),
        test=digit_sequences(dataset.test, seed=stream_seed(seed, "test")),
        n_classes=len(SEQUENCE_ORDERS),
    )


def digit_sequences(split: Split, *, seed: int) -> Split:
    """Sequences of one image each of the digits 1, 2 and 3; the class is their order.

    For each sequence a class is drawn, and the next unused image of each digit in the natural order is taken. There are
    as many sequences as images of the rarest of the three digits (MNIST: 5,958 training, 1,010 test).

    Args:
        split: images `(n, channels, height, width)`, labels 0 .. 9.
        seed: of the random classes.

    Returns:
        Images `(n_sequences, 3, channels, height, width)` and labels 0 .. 5, indices into `SEQUENCE_ORDERS`.

    Raises:
        OutOfRangeError: labels are not digits.
    """
    if len(split) and not (split.labels.min() >= 0 and split.labels.max() <= 9):
        raise OutOfRangeError("`split.labels` must be digits, 0 to 9")
    images_of = [(split.labels == digit).nonzero().squeeze(1) for digit in SEQUENCE_DIGITS]
    n = min(len(positions) for positions in images_of)
    nth_image = torch.stack([positions[:n] for positions in images_of], dim=1)
    # Drawn on the CPU whatever the device of the images is, so that the sequences depend on the seed alone.
    chance = generator(seed, "digit_sequences")
    labels = torch.randint(len(SEQUENCE_ORDERS), (n,), generator=chance, device=chance.device)
    labels = labels.to(split.labels.device)
    column_of_frame = torch.tensor(SEQUENCE_ORDERS, device=labels.device)[labels] - SEQUENCE_DIGITS[0]
    return Split(images=split.images[nth_image.gather(1, column_of_frame)], labels=labels)


def _as_voltages(split: Split) -> Split:
    """Grey levels from 0 to 1 to V from -V_READ to V_READ, in 8 x 8 pixels."""
    match tuple(split.images.shape[1:]):
        case (1, 28, 28):
            grey = quantise_8bit(resize_bicubic(crop_centre(split.images, _CROP), _SIZE))
        case (1, 8, 8):
            grey = split.images
        case shape:
            raise ShapeError(f"`dataset` must hold images of (1, 28, 28) or (1, 8, 8), but they are {shape}")
    return Split(images=2 * V_READ * grey - V_READ, labels=split.labels)

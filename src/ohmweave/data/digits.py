"""The UCI handwritten digits inside scikit-learn: 1,797 images of 8 x 8 pixels, without a download.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998
(its test part, which is what scikit-learn holds).
"""

from typing import Literal

import torch

from ohmweave.base import OutOfRangeError, check_integer
from ohmweave.data.resize import pad_centre, quantise_8bit, resize_bicubic
from ohmweave.data.split import Dataset, Split

_N_CLASSES = 10
_TEST_PER_CLASS = 40
_MOST_VALIDATION = 1_000
_LEVELS = 16


def load_digits(*, size: Literal[8, 28] = 28, validation: int = 200) -> Dataset:
    """The embedded digits, split class by class: 400 test images, `validation` images, and the rest for training.

    Test and validation images are taken at even distances in the natural order of each class, so the split needs no
    random number. The writers are not known, so images of one writer may be in several parts. With the default of 200
    validation images, 1,197 remain for training.

    Args:
        size: 8 gives the native images, with levels k/16. 28 gives images like MNIST's: the digit is upsampled to
            20 x 20 (bicubic), put in the middle of 28 x 28 pixels and rounded to 8 bit. It is centred by its box,
            whereas MNIST's digits are centred by their centre of mass.
        validation: number of validation images, a multiple of 10 from 0 to 1,000.

    Returns:
        Images `(n, 1, size, size)` in [0, 1] and labels 0 .. 9, on the CPU, each part in the natural order.

    Raises:
        OutOfRangeError: `size` or `validation` is not one of these.
    """
    if size not in (8, 28):
        raise OutOfRangeError(f"`size` must be 8 or 28 for the digits, but is {size!r}")
    check_integer("validation", validation, at_least=0)
    if validation > _MOST_VALIDATION or validation % _N_CLASSES:
        raise OutOfRangeError(
            f"`validation` must be a multiple of {_N_CLASSES} up to {_MOST_VALIDATION}, but is {validation}"
        )
    from sklearn import datasets  # takes about a second to import

    raw, target = datasets.load_digits(return_X_y=True)
    native = torch.from_numpy(raw).to(torch.float32).reshape(-1, 1, 8, 8) / _LEVELS
    images = native if size == 8 else quantise_8bit(pad_centre(resize_bicubic(native, 20), 28))
    whole = Split(images=images, labels=torch.from_numpy(target).to(torch.int64))
    train, held_out, test = _partition(whole.labels, validation // _N_CLASSES)
    return Dataset(
        name="digits",
        train=whole[train],
        validation=whole[held_out],
        test=whole[test],
        n_classes=_N_CLASSES,
        note="UCI digits of scikit-learn, not MNIST" + (", upsampled to 28 x 28" if size == 28 else ""),
    )


def _partition(labels: torch.Tensor, validation_per_class: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Indices of the training, validation and test images, each in rising order."""
    parts: tuple[list[torch.Tensor], ...] = ([], [], [])
    for label in range(_N_CLASSES):
        rest, test = _pick_evenly((labels == label).nonzero().squeeze(1), _TEST_PER_CLASS)
        train, validation = _pick_evenly(rest, validation_per_class)
        for part, positions in zip(parts, (train, validation, test), strict=True):
            part.append(positions)
    train, validation, test = (torch.cat(part).sort().values for part in parts)
    return train, validation, test


def _pick_evenly(positions: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`positions` without `n` of them at even distances, and these `n`."""
    picked = torch.zeros(len(positions), dtype=torch.bool, device=positions.device)
    picked[torch.arange(n, device=positions.device) * len(positions) // max(n, 1)] = True
    return positions[~picked], positions[picked]

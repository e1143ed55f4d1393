"""All data sets by name."""

import os
from typing import Literal, cast

from ohmweave.base import OutOfRangeError
from ohmweave.data.cifar10 import load_cifar10
from ohmweave.data.digits import load_digits
from ohmweave.data.mnist import load_mnist
from ohmweave.data.split import Dataset

_SIZES = {"digits": (28, 8), "mnist": (28,), "cifar10": (32,)}
_VALIDATION = {"digits": 200, "mnist": 5_000, "cifar10": 5_000}
DATASETS = tuple(_SIZES)


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    size: int | None = None,
    validation: int | None = None,
    allow_download: bool = True,
) -> Dataset:
    """A data set by name. The digits are embedded; the others are read from a folder, or downloaded once.

    Files are searched in `data_dir`, in the folder that the environment variable OHMWEAVE_DATA names, and in the cache;
    if they are in none of these they are downloaded into the cache. Checksums are verified at each load.

    Args:
        name: one of `DATASETS`: "digits", "mnist", "cifar10".
        data_dir: folder with the files, or with a folder `mnist` or `cifar-10`. The digits do not use it.
        size: height and width in pixels: 28 (default) or 8 for digits, 28 for mnist, 32 for cifar10.
        validation: number of validation images; None is 200 for digits, 5,000 for mnist and cifar10.
        allow_download: False raises instead of downloading.

    Returns:
        The data set: images `(n, channels, size, size)` in [0, 1] on the CPU, in the same order in every call.

    Raises:
        DataError: a file is missing, truncated or corrupted; the message gives the remedy.
        OutOfRangeError: `name`, `size` or `validation` is not one of these.
    """
    if name not in DATASETS:
        raise OutOfRangeError(f"`name` must be one of {', '.join(DATASETS)}, but is {name!r}")
    size = _SIZES[name][0] if size is None else size
    if size not in _SIZES[name]:
        raise OutOfRangeError(f"`size` must be {' or '.join(map(str, _SIZES[name]))} for {name}, but is {size!r}")
    validation = _VALIDATION[name] if validation is None else validation
    if name == "digits":
        return load_digits(size=cast(Literal[8, 28], size), validation=validation)
    load_files = {"mnist": load_mnist, "cifar10": load_cifar10}[name]
    return load_files(data_dir=data_dir, validation=validation, allow_download=allow_download)

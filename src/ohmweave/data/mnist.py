"""MNIST: 60,000 + 10,000 handwritten digits, 28 x 28 grey levels.

Source: Y. LeCun, C. Cortes and C. Burges; the four original files.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from ohmweave.base import OutOfRangeError, check_integer
from ohmweave.data.download import DownloadError, download
from ohmweave.data.idx import parse_idx
from ohmweave.data.sources import DataFile, cache_folder, find, missing, read, search_folders
from ohmweave.data.split import Dataset, Split

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

TRAIN_IMAGES = DataFile(
    name="train-images-idx3-ubyte",
    n_bytes=47_040_016,
    algorithm="sha256",
    digests=("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",),
)
TRAIN_LABELS = DataFile(
    name="train-labels-idx1-ubyte",
    n_bytes=60_008,
    algorithm="sha256",
    digests=("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",),
)
TEST_IMAGES = DataFile(
    name="t10k-images-idx3-ubyte",
    n_bytes=7_840_016,
    algorithm="sha256",
    digests=("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",),
)
TEST_LABELS = DataFile(
    name="t10k-labels-idx1-ubyte",
    n_bytes=10_008,
    algorithm="sha256",
    digests=("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",),
)
SHA256_AS_SERVED = {
    TRAIN_IMAGES.name: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    TRAIN_LABELS.name: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    TEST_IMAGES.name: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    TEST_LABELS.name: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def load_mnist(
    *, data_dir: str | os.PathLike[str] | None = None, validation: int = 5_000, allow_download: bool = True
) -> Dataset:
    """MNIST in the split of TensorFlow: the first images of the training file are the validation images.

    Args:
        data_dir: folder with the four files, or with a folder `mnist` that has them. After it, OHMWEAVE_DATA and the
            cache are searched, and missing files are downloaded.
        validation: number of validation images; 5,000 leaves 55,000 for training, 0 leaves all 60,000.
        allow_download: False raises instead of downloading.

    Returns:
        Images `(n, 1, 28, 28)` in [0, 1] and labels 0 .. 9, on the CPU.

    Raises:
        DataError: a file is missing, truncated or corrupted.
        OutOfRangeError: `validation` leaves no image for training.
    """
    folders = search_folders(data_dir, ["mnist"])
    train_images, train_labels, test_images, test_labels = (
        _array(file, folders, allow_download) for file in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    )
    check_integer("validation", validation, at_least=0)
    if validation >= len(train_labels):
        raise OutOfRangeError(f"`validation` must be < {len(train_labels)}, but is {validation}")
    whole = _split(train_images, train_labels)
    return Dataset(
        name="mnist",
        train=whole[validation:],
        validation=whole[:validation],
        test=_split(test_images, test_labels),
        n_classes=10,
        note=f"validation: the first {validation} images of the training file",
    )


def _array(file: DataFile, folders: Sequence[Path], allow_download: bool) -> torch.Tensor:
    path = find(file.name, folders) or _download(file, folders, allow_download)
    return parse_idx(read(path, file).data, str(path))


def _download(file: DataFile, folders: Sequence[Path], allowed: bool) -> Path:
    name = file.name + ".gz"
    if not allowed:
        raise missing(name, folders, "downloads are switched off")
    try:
        return download(
            [mirror + name for mirror in MIRRORS],
            cache_folder() / "mnist",
            known_hash=f"sha256:{SHA256_AS_SERVED[file.name]}",
        )
    except DownloadError as error:
        raise missing(name, folders, str(error)) from error


def _split(images: torch.Tensor, labels: torch.Tensor) -> Split:
    return Split(images=images.unsqueeze(1).to(torch.float32).div_(255), labels=labels.to(torch.int64))

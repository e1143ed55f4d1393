"""CIFAR-10: 50,000 + 10,000 colour photographs, 32 x 32, in the standard binary format.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The sha1 digests are those that
Apache MXNet publishes for the same files; the archive's md5 is on the data set's own page.
"""

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from ohmweave.base import DataError, OutOfRangeError, check_finite, check_integer, check_positive, shown
from ohmweave.data.download import DownloadError, download
from ohmweave.data.sources import Content, DataFile, cache_folder, find, missing, read, search_folders, verified
from ohmweave.data.split import Dataset, Split

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MIRRORS = (f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",)

_FOLDER_IN_ARCHIVE = "cifar-10-batches-bin"
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_PER_FILE = 10_000
_INEXACT_TEST = "cbea4389ae3e377c0090406f1f786efe5ded9c7e"


def _batch_file(name: str, *sha1: str) -> DataFile:
    return DataFile(name=name, n_bytes=_PER_FILE * _RECORD, algorithm="sha1", digests=sha1)


TRAIN_FILES = (
    _batch_file("data_batch_1.bin", "aadd24acce27caa71bf4b10992e9e7b2d74c2540"),
    _batch_file("data_batch_2.bin", "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795"),
    _batch_file("data_batch_3.bin", "1dd00a74ab1d17a6e7d73e185b69dbf31242f295"),
    _batch_file("data_batch_4.bin", "aab85764eb3584312d3c7f65fd2fd016e36a258e"),
    _batch_file("data_batch_5.bin", "26e2849e66a845b7f1e4614ae70f4889ae604628"),
)
TEST_FILE = _batch_file("test_batch.bin", "67eb016db431130d61cd03c7ad570b013799c88c", _INEXACT_TEST)

RESNET_MEAN = (0.485, 0.456, 0.406)
RESNET_STD = (0.229, 0.224, 0.225)


def load_cifar10(
    *, data_dir: str | os.PathLike[str] | None = None, validation: int = 5_000, allow_download: bool = True
) -> Dataset:
    """CIFAR-10; the first images of the first training file are the validation images.

    Args:
        data_dir: folder with the six `.bin` or `.bin.xz` files or with the official archive, or with a folder
            `cifar-10` or `cifar10` that has them. After it, OHMWEAVE_DATA and the cache are searched, and the archive
            is downloaded.
        validation: number of validation images; 5,000 leaves 45,000 for training, 0 leaves all 50,000.
        allow_download: False raises instead of downloading.

    Returns:
        Images `(n, 3, 32, 32)` (red, green, blue) in [0, 1] and labels 0 .. 9, on the CPU. Two test files are accepted:
        the original, and one in which 20 of the 10,000 images are decoded from JPEG. `note` says which it was.

    Raises:
        DataError: a file is missing, truncated or corrupted.
        OutOfRangeError: `validation` leaves no image for training.
    """
    check_integer("validation", validation, at_least=0)
    if validation >= len(TRAIN_FILES) * _PER_FILE:
        raise OutOfRangeError(f"`validation` must be < {len(TRAIN_FILES) * _PER_FILE}, but is {validation}")
    *train, test = _contents((*TRAIN_FILES, TEST_FILE), data_dir, allow_download)
    whole = _split(train)
    which = (
        "20 of the 10,000 test images are decoded from JPEG" if test.digest == _INEXACT_TEST else "original test file"
    )
    return Dataset(
        name="cifar10",
        train=whole[validation:],
        validation=whole[:validation],
        test=_split([test]),
        n_classes=10,
        note=f"validation: the first {validation} training images; {which} (sha1 {test.digest})",
    )


def normalised(split: Split, *, mean: Sequence[float] = RESNET_MEAN, std: Sequence[float] = RESNET_STD) -> Split:
    """A copy of `split` with each channel normalised: (x - mean) / std.

    Args:
        split: images `(n, channels, height, width)` in [0, 1].
        mean: mean of each channel; the default is ImageNet's, with which the usual public CIFAR-10 ResNets are trained.
        std: standard deviation of each channel; the default likewise.

    Returns:
        Images of the same shape in new memory; the labels are shared.

    Raises:
        OutOfRangeError: `mean` or `std` does not have one number for each channel, finite and of `std` > 0.
    """
    for name, values, check in (("mean", mean, check_finite), ("std", std, check_positive)):
        if not isinstance(values, list | tuple) or len(values) != split.images.shape[-3]:
            raise OutOfRangeError(
                f"`{name}` must have a number for each of {split.images.shape[-3]} channels, but is {shown(values)}"
            )
        for index, value in enumerate(values):
            check(f"{name}[{index}]", value)
    per_channel = (-1, 1, 1)
    shift, scale = (split.images.new_tensor(values).reshape(per_channel) for values in (mean, std))
    return Split(images=(split.images - shift).div_(scale), labels=split.labels)


def _contents(
    files: Sequence[DataFile], data_dir: str | os.PathLike[str] | None, allow_download: bool
) -> list[Content]:
    """The six files, all from one folder or all from the archive."""
    folders = search_folders(data_dir, ["cifar-10", "cifar10", _FOLDER_IN_ARCHIVE])
    for folder in folders:
        paths = [find(file.name, [folder]) for file in files]
        if all(paths):
            return _read_all([path for path in paths if path], files)
        if archive := find(ARCHIVE, [folder], suffixes=[""]):
            return _unpack(archive, files)
        if any(paths):
            lost = [file.name for file, path in zip(files, paths, strict=True) if path is None]
            raise missing(f"{lost[0]} (CIFAR-10)", [folder], "the other files are there")
    return _unpack(_download(folders, allow_download), files)


def _read_all(paths: Sequence[Path], files: Sequence[DataFile]) -> list[Content]:
    with ThreadPoolExecutor() as pool:  # decompression and hashing release the interpreter lock
        return list(pool.map(read, paths, files))


def _unpack(archive: Path, files: Sequence[DataFile]) -> list[Content]:
    wanted = {f"{_FOLDER_IN_ARCHIVE}/{file.name}": file for file in files}
    found: dict[str, Content] = {}
    try:
        # Members are only read, never extracted to the disk.
        with gzip.open(archive) as content, tarfile.open(fileobj=_Bounded(content, _limit(files)), mode="r|") as stream:
            for member in stream:
                reader = stream.extractfile(member) if member.name in wanted and member.isfile() else None
                if reader is not None:
                    file = wanted[member.name]
                    found[file.name] = verified(reader.read(), file, f"{member.name} in {archive}")
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise _damaged_archive(archive, str(error)) from error
    if len(found) < len(files):
        raise _damaged_archive(archive, f"it holds only {', '.join(found) or 'other files'}")
    return [found[file.name] for file in files]


def _limit(files: Sequence[DataFile]) -> int:
    """Bytes of an unpacked archive that are read: those of its files, and as many as headers and a readme may need."""
    return sum(file.n_bytes for file in files) + 2**20


class _Bounded(io.RawIOBase):
    """The first bytes of a stream; an error beyond them, before memory is used: a small archive may expand to TB."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes. Raises `EOFError` beyond the limit."""
        asked = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        part = self._stream.read(asked)
        self._left -= len(part)
        if self._left < 0:
            raise EOFError("it holds more than the official archive")
        return part


def _damaged_archive(archive: Path, found: str) -> DataError:
    return DataError(
        f"{archive} is truncated or corrupted: expected the official archive with md5 {ARCHIVE_MD5}, but {found}. "
        "Replace it by the original, or delete it and let it be downloaded."
    )


def _download(folders: Sequence[Path], allowed: bool) -> Path:
    if not allowed:
        raise missing(ARCHIVE, folders, "downloads are switched off")
    try:
        return download(MIRRORS, cache_folder() / "cifar-10", known_hash=f"md5:{ARCHIVE_MD5}")
    except DownloadError as error:
        raise missing(ARCHIVE, folders, str(error)) from error


def _split(contents: Sequence[Content]) -> Split:
    n = len(contents) * _PER_FILE
    images = torch.empty((n, *_SHAPE), dtype=torch.float32, device="cpu")
    labels = torch.empty(n, dtype=torch.int64, device="cpu")
    for content, part, classes in zip(contents, images.split(_PER_FILE), labels.split(_PER_FILE), strict=True):
        # A record is one byte for the class and then the red, green and blue pixels.
        records = torch.frombuffer(bytearray(content.data), dtype=torch.uint8).reshape(_PER_FILE, _RECORD)
        classes.copy_(records[:, 0])
        part.copy_(records[:, 1:].reshape(-1, *_SHAPE))
    return Split(images=images.div_(255), labels=labels)

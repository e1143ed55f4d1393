"""MNIST: found, verified, split. A small imitation of the four files; the real ones where there are any."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.data import load, mnist
from ohmweave.data.sources import read
from tests.data.test_idx import idx

CONSTANTS = ("TRAIN_IMAGES", "TRAIN_LABELS", "TEST_IMAGES", "TEST_LABELS")


def imitation(n: int, first: int) -> tuple[bytes, bytes]:
    """`n` images, the k-th filled with first + k but for one corner, which tells rows from columns; and labels."""
    images = b"".join(bytes([first + k] * 27 + [255]) + bytes([first + k]) * (27 * 28) for k in range(n))
    return idx((n, 28, 28), images), idx((n,), bytes(k % 10 for k in range(n)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 30 training and 10 test images, which `mnist` takes for the real ones."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for constant, content in zip(CONSTANTS, (*imitation(30, 0), *imitation(10, 100)), strict=True):
        file = replace(getattr(mnist, constant), n_bytes=len(content), digests=(hashlib.sha256(content).hexdigest(),))
        monkeypatch.setattr(mnist, constant, file)
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(content))
    return folder


def fill(images: torch.Tensor) -> list[int]:
    return (images[:, 0, 5, 5] * 255).round().int().tolist()


def test_the_first_training_images_are_for_validation(folder: Path) -> None:
    digits = load("mnist", data_dir=folder, validation=5)
    assert fill(digits.validation.images) == list(range(5))
    assert fill(digits.train.images) == list(range(5, 30))
    assert fill(digits.test.images) == list(range(100, 110))
    assert digits.validation.labels.tolist() == [0, 1, 2, 3, 4]
    assert digits.train.labels.tolist() == [k % 10 for k in range(5, 30)]
    assert (digits.train.images[:, 0, 0, 27] == 1).all()
    assert (digits.train.images.dtype, digits.train.labels.dtype) == (torch.float32, torch.int64)
    assert digits.train.images.shape == (25, 1, 28, 28)


def test_validation_may_be_empty_but_training_may_not(folder: Path) -> None:
    digits = load("mnist", data_dir=folder, validation=0)
    assert (len(digits.train), len(digits.validation)) == (30, 0)
    with pytest.raises(OutOfRangeError, match="`validation` must be < 30, but is 30"):
        load("mnist", data_dir=folder, validation=30)
    with pytest.raises(OutOfRangeError, match="`validation` must be an integer >= 0, but is -1"):
        load("mnist", data_dir=folder, validation=-1)


@pytest.mark.parametrize("how", ["folder", "parent", "environment", "environment's parent", "cache"])
def test_each_place_is_searched(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    data_dir = {"folder": folder, "parent": folder.parent}.get(how)
    if how.startswith("environment"):
        monkeypatch.setenv("OHMWEAVE_DATA", str(folder if how == "environment" else folder.parent))
    if how == "cache":
        cache.mkdir()
        folder.rename(cache / "mnist")
    assert len(load("mnist", data_dir=data_dir, validation=5).train) == 25


def test_data_dir_comes_before_the_environment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OHMWEAVE_DATA", str(folder))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "train-images-idx3-ubyte").write_bytes(b"nothing")
    with pytest.raises(DataError, match="broken"):
        load("mnist", data_dir=broken, validation=5)


def test_files_may_be_uncompressed(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(load("mnist", data_dir=folder, validation=5).test) == 10


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError) as caught:
        load("mnist", data_dir=folder, validation=5)
    for part in (str(path), "truncated or corrupted", "23,536 bytes", "sha256", "--data-dir", "OHMWEAVE_DATA"):
        assert part in str(caught.value)


def test_a_shortened_file_in_a_sound_compression_is_refused(folder: Path) -> None:
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is truncated .* but it holds 17 bytes"):
        load("mnist", data_dir=folder, validation=5)


@pytest.mark.parametrize("compressed", [True, False])
def test_one_flipped_bit_is_noticed(folder: Path, compressed: bool) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes() if compressed else gzip.decompress(path.read_bytes()))
    content[len(content) // 2] ^= 1
    path.write_bytes(content if compressed else gzip.compress(content))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz is truncated or corrupted"):
        load("mnist", data_dir=folder, validation=5)


def test_a_missing_file_is_named_with_what_to_do(folder: Path, cache: Path) -> None:
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError) as caught:
        load("mnist", data_dir=folder, validation=5)
    for part in ("t10k-images-idx3-ubyte.gz", str(folder), str(cache), "no network", "--data-dir", "OHMWEAVE_DATA"):
        assert part in str(caught.value)
    assert not cache.exists()


def test_downloads_can_be_switched_off(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match="downloads are switched off"):
        load("mnist", data_dir=folder, allow_download=False)


def test_a_folder_that_is_not_there_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"`data_dir` \(--data-dir\) must name an existing folder, but is .*typo"):
        load("mnist", data_dir=tmp_path / "typo")
    monkeypatch.setenv("OHMWEAVE_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match="the environment variable OHMWEAVE_DATA must name an existing folder"):
        load("mnist", data_dir=folder)


def test_what_is_missing_is_downloaded_into_the_cache(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], str]] = []

    def serve(mirrors: list[str], into: Path, *, known_hash: str) -> Path:
        asked.append((mirrors, known_hash))
        return folder / mirrors[0].rsplit("/", 1)[1]

    monkeypatch.setattr(mnist, "download", serve)
    assert len(load("mnist", validation=5).train) == 25
    assert len(asked) == 4
    for (mirrors, known_hash), constant in zip(asked, CONSTANTS, strict=True):
        name = getattr(mnist, constant).name
        assert len(mirrors) >= 2
        assert all(mirror.startswith("https://") and mirror.endswith(f"/{name}.gz") for mirror in mirrors)
        assert known_hash == f"sha256:{mnist.SHA256_AS_SERVED[name]}"


# md5 sums of the original files, as published with every copy of them.
PUBLISHED_MD5 = {
    "TRAIN_IMAGES": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "TRAIN_LABELS": ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "TEST_IMAGES": ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "TEST_LABELS": ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}


@pytest.mark.data("mnist")
@pytest.mark.parametrize("constant", CONSTANTS)
def test_our_checksums_are_those_of_the_published_files(data_root: Path, constant: str) -> None:
    file = getattr(mnist, constant)
    path = data_root / "mnist" / f"{file.name}.gz"
    served = path.read_bytes()
    md5s = (hashlib.md5(served).hexdigest(), hashlib.md5(read(path, file).data).hexdigest())
    assert md5s == PUBLISHED_MD5[constant]
    assert hashlib.sha256(served).hexdigest() == mnist.SHA256_AS_SERVED[file.name]


@pytest.mark.data("mnist")
def test_the_real_thing() -> None:
    digits = load("mnist", allow_download=False)
    assert [len(part) for part in (digits.train, digits.validation, digits.test)] == [55_000, 5_000, 10_000]
    per_class = digits.train.labels.bincount() + digits.validation.labels.bincount()
    assert per_class.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert digits.validation.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert digits.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert round(float(digits.train.images.mean()), 3) == 0.131
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 1)

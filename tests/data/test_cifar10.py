"""CIFAR-10: found in any form, verified, split. A small imitation; the real files where there are any."""

import hashlib
import io
import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ohmweave.base import DataError, OutOfRangeError
from ohmweave.data import cifar10, load, normalised
from ohmweave.data.split import Split
from tests.helpers import assert_close

PER_FILE = 4


def imitation(first: int) -> bytes:
    """Records whose red, green and blue planes are filled with k, 2 k, 3 k, but for one corner of red."""
    return b"".join(
        bytes([k % 10])
        + bytes([k] * 31 + [255])
        + bytes([k]) * (31 * 32)
        + bytes([2 * k]) * 1024
        + bytes([3 * k]) * 1024
        for k in range(first, first + PER_FILE)
    )


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six small batch files by name, which `cifar10` takes for the real ones."""
    monkeypatch.setattr(cifar10, "_PER_FILE", PER_FILE)
    batches = {}

    def small(file: cifar10.DataFile, first: int, *others: str) -> cifar10.DataFile:
        content = batches[file.name] = imitation(first)
        digest = hashlib.sha1(content).hexdigest()
        return replace(file, n_bytes=len(content), digests=(digest, *others))

    train = tuple(small(file, PER_FILE * k) for k, file in enumerate(cifar10.TRAIN_FILES))
    monkeypatch.setattr(cifar10, "TRAIN_FILES", train)
    monkeypatch.setattr(cifar10, "TEST_FILE", small(cifar10.TEST_FILE, 50))
    return batches


def write_plain(folder: Path, batches: dict[str, bytes]) -> None:
    for name, content in batches.items():
        (folder / name).write_bytes(content)


def write_xz(folder: Path, batches: dict[str, bytes]) -> None:
    for name, content in batches.items():
        (folder / f"{name}.xz").write_bytes(lzma.compress(content))


def write_archive(folder: Path, batches: dict[str, bytes]) -> None:
    with tarfile.open(folder / cifar10.ARCHIVE, "w:gz") as archive:
        for name, content in {"readme.html": b"read me", **batches}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def red(split: Split) -> list[int]:
    return (split.images[:, 0, 5, 5] * 255).round().int().tolist()


@pytest.mark.parametrize("write", [write_plain, write_xz, write_archive])
@pytest.mark.parametrize("subfolder", ["", "cifar-10", "cifar10", "cifar-10-batches-bin"])
def test_every_form_in_every_place(batches: dict[str, bytes], tmp_path: Path, write, subfolder: str) -> None:
    (tmp_path / subfolder).mkdir(exist_ok=True)
    write(tmp_path / subfolder, batches)
    photographs = load("cifar10", data_dir=tmp_path, validation=5)
    assert red(photographs.validation) == list(range(5))
    assert red(photographs.train) == list(range(5, 20))
    assert red(photographs.test) == list(range(50, 54))
    assert photographs.train.labels.tolist() == [k % 10 for k in range(5, 20)]
    assert (photographs.train.images.dtype, photographs.train.labels.dtype) == (torch.float32, torch.int64)
    last = photographs.train.images[-1] * 255
    assert last[:, 7, 7].round().tolist() == [19, 38, 57]
    assert last[:, 0, 31].round().tolist() == [255, 38, 57]
    assert "original test file" in photographs.note


def test_from_the_cache_or_the_network(
    batches: dict[str, bytes], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(mirrors: tuple[str, ...], into: Path, *, known_hash: str) -> Path:
        assert (into, known_hash) == (cache / "cifar-10", "md5:c32a1d4ab5d03f1284b67883e8d87530")
        assert mirrors == ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
        into.mkdir(parents=True)
        write_archive(into, batches)
        return into / cifar10.ARCHIVE

    with monkeypatch.context() as patch:
        patch.setattr(cifar10, "download", serve)
        assert len(load("cifar10", validation=5).train) == 15
    assert len(load("cifar10", validation=5, allow_download=False).train) == 15


def test_the_inexact_test_file_is_accepted_and_told(
    batches: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = imitation(60)
    digest = hashlib.sha1(other).hexdigest()
    original = cifar10.TEST_FILE.digests
    monkeypatch.setattr(cifar10, "TEST_FILE", replace(cifar10.TEST_FILE, digests=(*original, digest)))
    monkeypatch.setattr(cifar10, "_INEXACT_TEST", digest)
    write_plain(tmp_path, batches | {"test_batch.bin": other})
    note = load("cifar10", data_dir=tmp_path, validation=5).note
    assert "20 of the 10,000 test images are decoded from JPEG" in note
    assert digest in note


@pytest.mark.parametrize("write", [write_plain, write_xz, write_archive])
def test_changed_pixels_are_noticed(batches: dict[str, bytes], tmp_path: Path, write) -> None:
    content = bytearray(batches["data_batch_3.bin"])
    content[100] ^= 1
    write(tmp_path, batches | {"data_batch_3.bin": bytes(content)})
    with pytest.raises(DataError, match=r"data_batch_3\.bin.* is truncated or corrupted: expected 12,292 bytes .*sha1"):
        load("cifar10", data_dir=tmp_path, validation=5)


@pytest.mark.parametrize("suffix", ["data_batch_2.bin.xz", cifar10.ARCHIVE])
def test_truncated_files_are_refused(batches: dict[str, bytes], tmp_path: Path, suffix: str) -> None:
    (write_archive if suffix == cifar10.ARCHIVE else write_xz)(tmp_path, batches)
    path = tmp_path / suffix
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{suffix} is truncated or corrupted"):
        load("cifar10", data_dir=tmp_path, validation=5)


def test_an_archive_without_a_batch_is_refused(batches: dict[str, bytes], tmp_path: Path) -> None:
    del batches["test_batch.bin"]
    write_archive(tmp_path, batches)
    with pytest.raises(DataError, match=r"md5 c32a.* but it holds only data_batch_1\.bin, "):
        load("cifar10", data_dir=tmp_path, validation=5)


def test_missing_files_are_named_with_what_to_do(batches: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz was not found in .*no network.*OHMWEAVE_DATA"):
        load("cifar10", data_dir=tmp_path, validation=5)
    with pytest.raises(DataError, match="downloads are switched off"):
        load("cifar10", data_dir=tmp_path, validation=5, allow_download=False)
    del batches["data_batch_4.bin"]
    write_plain(tmp_path, batches)
    with pytest.raises(DataError, match=r"data_batch_4\.bin \(CIFAR-10\) was not found .* the other files are there"):
        load("cifar10", data_dir=tmp_path, validation=5)


def test_wrong_arguments_are_named(batches: dict[str, bytes]) -> None:
    with pytest.raises(OutOfRangeError, match="`validation` must be < 20, but is 20"):
        load("cifar10", validation=20)
    with pytest.raises(OutOfRangeError, match="`size` must be 32 for cifar10, but is 28"):
        load("cifar10", size=28)


def test_normalised_channels() -> None:
    images = torch.rand(5, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    split = Split(images=images.clone(), labels=torch.arange(5))
    result = normalised(split)
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        assert_close(result.images[:, channel] * std + mean, images[:, channel], rtol=1e-12)
    assert torch.equal(split.images, images)
    assert torch.equal(result.labels, split.labels)
    assert_close(normalised(split, mean=[0, 0, 0], std=[1, 2, 4]).images[:, 2], images[:, 2] / 4, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.data("cifar-10")
def test_the_real_thing() -> None:
    photographs = load("cifar10", allow_download=False)
    assert [len(part) for part in (photographs.train, photographs.validation, photographs.test)] == [
        45_000,
        5_000,
        10_000,
    ]
    per_class = photographs.train.labels.bincount() + photographs.validation.labels.bincount()
    assert per_class.tolist() == [5_000] * 10
    assert photographs.test.labels.bincount().tolist() == [1_000] * 10
    assert photographs.validation.labels[:5].tolist() == [6, 9, 9, 4, 1]
    # The channel means usually quoted for the 50,000 training images.
    assert_close(photographs.train.images.mean((0, 2, 3)), [0.4914, 0.4822, 0.4465], rtol=2e-3)

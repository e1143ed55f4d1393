"""Downloads, from mirrors that are files of this machine."""

import hashlib
from pathlib import Path

import pooch
import pytest

from ohmweave.data.download import DownloadError, download

CONTENT = b"the right bytes"
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What each address serves; any other is unreachable."""
    served: dict[str, bytes] = {}

    class Downloader:
        def __init__(self, **_: object) -> None: ...

        def __call__(self, url: str, output_file: str, *_: object, **__: object) -> None:
            if url not in served:
                raise ConnectionError(f"cannot reach {url}")
            Path(output_file).write_bytes(served[url])

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *_, **__: Downloader())
    return served


def test_the_first_mirror_that_serves_the_right_file(mirrors: dict[str, bytes], tmp_path: Path) -> None:
    mirrors |= {"https://b/file.gz": b"an apology", "https://c/file.gz": CONTENT}
    path = download(["https://a/file.gz", "https://b/file.gz", "https://c/file.gz"], tmp_path, known_hash=SHA256)
    assert path == tmp_path / "file.gz"
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_failure_names_every_mirror_and_leaves_nothing(mirrors: dict[str, bytes], tmp_path: Path) -> None:
    mirrors["https://b/file.gz"] = CONTENT[:-1]
    with pytest.raises(DownloadError, match=r"https://a/file\.gz: cannot reach .*; https://b/file\.gz: .*hash"):
        download(["https://a/file.gz", "https://b/file.gz"], tmp_path, known_hash=SHA256)
    assert list(tmp_path.iterdir()) == []

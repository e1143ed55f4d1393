"""No test of this folder sees the user's data folder, cache or network, unless it is marked `data`."""

from pathlib import Path

import pytest

from ohmweave.data import cifar10, files, mnist
from ohmweave.data.download import DownloadError


@pytest.fixture(autouse=True)
def cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, in the place of the user's."""
    folder = tmp_path / "cache"
    if request.node.get_closest_marker("data") is None:
        monkeypatch.delenv("OHMWEAVE_DATA", raising=False)
    for module in (files, mnist, cifar10):
        monkeypatch.setattr(module, "cache_folder", lambda: folder)
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise DownloadError("no network in tests")

    for module in (mnist, cifar10):
        monkeypatch.setattr(module, "download", refuse)

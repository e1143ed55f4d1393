"""No test of this folder sees the user's data folder, cache or network, unless it is marked `data`."""

from pathlib import Path

import pytest

from ohmweave.data import cifar10, mnist, sources
from ohmweave.data.download import DownloadError


@pytest.fixture(autouse=True)
def cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, in the place of the user's."""
    folder = tmp_path / "cache"
    if request.node.get_closest_marker("data") is None:
        monkeypatch.delenv("OHMWEAVE_DATA", raising=False)
        monkeypatch.delenv("MEMWEAVE_DATA", raising=False)
    for module in (sources, mnist, cifar10):
        monkeypatch.setattr(module, "cache_folder", lambda: folder)
    monkeypatch.setattr(sources, "_former_cache_folder", lambda: tmp_path / "former-cache")
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise DownloadError("no network in tests")

    for module in (mnist, cifar10):
        monkeypatch.setattr(module, "download", refuse)

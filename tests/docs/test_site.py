"""The documentation site builds without a warning, from files alone, and has every public name."""

import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the site needs mkdocs: the extra `docs`"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it. Links and anchors that lead nowhere are warnings, and those end it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _public_names() -> Iterator[tuple[str, str]]:
    """Page and anchor of every public name that is not a package."""
    top = importlib.import_module("ohmweave").__all__
    packages = {name for name in top if importlib.util.find_spec(f"ohmweave.{name}")}
    for package in ["ohmweave", *(f"ohmweave.{name}" for name in sorted(packages))]:
        for name in importlib.import_module(package).__all__:
            if name != "__version__" and not (package == "ohmweave" and name in packages):
                yield f"api/{package.rpartition('.')[2]}.html", f"{package}.{name}"


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    pages = {page.relative_to(site).as_posix(): page.read_text(encoding="utf-8") for page in site.glob("api/*.html")}
    names = list(_public_names())
    missing = [anchor for page, anchor in names if f'id="{anchor}"' not in pages.get(page, "")]
    assert len(names) > 400
    assert not missing


@pytest.mark.parametrize("term", ["write-verify", "ADC", "LSTM", "DifferentialPair", "stuck"])
def test_search_index_has_the_words_of_the_field(site: Path, term: str) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert any(term.lower() in entry["title"].lower() + entry["text"].lower() for entry in index["docs"])


def test_pages_load_nothing_from_the_network(site: Path) -> None:
    loaded = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:[^"]+)"')
    found = {
        f"{page.relative_to(site)}: {address}"
        for page in site.glob("**/*.html")
        for address in loaded.findall(page.read_text(encoding="utf-8"))
    }
    assert not found


# Opens every page in a frame of each width, one after the other, and names those that are wider than their frame.
MEASURE = """<!doctype html><title></title><body><script>
(async () => {
  const wide = [];
  for (const width of [420, 1400]) for (const page of PAGES) {
    const frame = document.createElement("iframe");
    frame.style = `width: ${width}px; height: 900px; border: 0`;
    const loaded = new Promise((done) => (frame.onload = done));
    frame.src = page;
    document.body.append(frame);
    await loaded;
    const taken = frame.contentDocument.documentElement.scrollWidth;
    if (taken > width) wide.push(`${page} takes ${taken} of ${width} px`);
    frame.remove();
  }
  document.title = `measured: ${wide.join(", ")}`;
})();
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_no_page_is_wider_than_the_screen(site: Path) -> None:
    pages = sorted(page.name for page in site.glob("*.html") if page.name != "404.html")
    measure = site / "measure.html"
    measure.write_text(MEASURE.replace("PAGES", json.dumps([*pages, "api/nn.html"])), encoding="utf-8")
    shown = _shown(measure.as_uri(), "--allow-file-access-from-files")
    assert "<title>measured: </title>" in shown, re.findall("<title>.*?</title>", shown)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_search_answers_without_a_server(site: Path) -> None:
    assert re.search(r"[1-9]\d* matching documents", _shown(f"{(site / 'index.html').as_uri()}?q=LSTM"))


def _shown(address: str, *options: str) -> str:
    """The page's elements once its scripts have run."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--virtual-time-budget=60000", "--dump-dom", *options, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=300).stdout

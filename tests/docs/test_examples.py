"""The Python blocks of README and docs run, in order, one namespace a file, in an empty folder.

A block that cannot run has an HTML comment above it with the reason: `<!-- not run: needs a GPU -->`. Below
`<!-- file: NAME.py -->` a block is saved as that file instead, and below `<!-- run -->` the `ohmweave` commands of a
block of shell lines are run. A block below `<!-- output -->` shows what was printed: the same words, while numbers may
differ. A page that shows figures made by running it makes them here too.
"""

from pathlib import Path

import pytest

from tests.docs import markdown, pages

REPOSITORY = Path(__file__).parents[2]
PAGES = [page for page in markdown.files(REPOSITORY) if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    for shown, printed in pages.run(text, str(page)):
        assert pages.alike(printed) == pages.alike(shown.text), f"{page.name}, line {shown.line}: printed is\n{printed}"
    for link in pages.figures(text):
        for suffix in (".svg", ".png"):
            assert (tmp_path / Path(link).with_suffix(suffix).name).stat().st_size > 0
            assert (page.parent / link).with_suffix(suffix).exists()

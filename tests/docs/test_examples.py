"""The Python blocks of README and docs run, in order, one namespace a file, in an empty folder.

A block that cannot run stands under an HTML comment that says why: `<!-- not run: needs a GPU -->`.
"""

from pathlib import Path

import pytest

from tests.docs import markdown

REPOSITORY = Path(__file__).parents[2]
PAGES = [page for page in markdown.files(REPOSITORY) if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in markdown.blocks(page.read_text(encoding="utf-8")):
        if block.language == "python" and not block.not_run:
            # Leading newlines make a traceback name the line in the page.
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            exec(code, namespace)

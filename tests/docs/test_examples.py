"""The Python blocks of README and docs run, in order, one namespace a file, in an empty folder.

A block that cannot run has an HTML comment above it with the reason: `<!-- not run: needs a GPU -->`. Below
`<!-- file: NAME.py -->` a block is saved as that file instead, and below `<!-- run -->` the `ohmweave` commands of a
block of shell lines are run.
"""

import shlex
import subprocess
import sys
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
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.run:
            _run_commands(block.text)
        elif block.language == "python" and not block.not_run:
            # Leading newlines make a traceback name the line in the page.
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            exec(code, namespace)


def _run_commands(text: str) -> None:
    for line in text.splitlines():
        name, *arguments = shlex.split(line, comments=True)
        assert name == "ohmweave", f"only commands of ohmweave can be run, but this is {line!r}"
        done = subprocess.run([sys.executable, "-m", "ohmweave", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

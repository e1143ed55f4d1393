"""Runs the Python blocks and commands of a page, and writes what they print and draw into it.

`python -m tests.docs.pages PAGE.md ...` runs each page in an empty folder, replaces its output blocks, and copies the
figures that it links (SVG and PNG) to where it links them. The tests run the same blocks and compare what they print
with what the page shows, numbers apart: these differ between processors and versions.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.docs import markdown

_NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_FRAME = re.compile(r"[─━═│┃┏┓┗┛┡┩╇╈┳┻└┘├┤┬┴┼╭╮╰╯\-]+")


def run(text: str, name: str) -> Iterator[tuple[markdown.Block, str]]:
    """Run the blocks of a page in the current folder: each output block, and what was printed since the one before.

    Args:
        text: of the page.
        name: of the page, for tracebacks.
    """
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed, files = "", []
    for block in markdown.blocks(text):
        if block.output:
            yield block, printed
            printed = ""
        elif block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
            files.append(Path(block.file).stem)
        elif block.run:
            printed += _run_commands(block.text)
        elif block.language == "python" and not block.not_run:
            # Leading newlines make a traceback name the line in the page.
            code = compile("\n" * (block.line - 1) + block.text, name, "exec")
            with contextlib.redirect_stdout(io.StringIO()) as said, _importable(files):
                exec(code, namespace)
            printed += said.getvalue()


@contextlib.contextmanager
def _importable(files: list[str]) -> Iterator[None]:
    """Let a block import the files that the page has saved in the current folder; forget them afterwards."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in files:
            sys.modules.pop(name, None)


def _run_commands(text: str) -> str:
    printed = ""
    for line in text.splitlines():
        name, *arguments = shlex.split(line, comments=True)
        assert name == "ohmweave", f"only commands of ohmweave can be run, but this is {line!r}"
        command = [sys.executable, "-m", "ohmweave", *arguments]
        environment = os.environ | {"COLUMNS": "120"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    return printed


def alike(text: str) -> str:
    """What is left of an output without its numbers, frames and spaces."""
    return " ".join(_FRAME.sub(" ", _NUMBER.sub("#", text)).split())


def figures(text: str) -> list[str]:
    """The images that a page links in the folders of images that pages make."""
    found = re.findall(r"!\[[^\]]*\]\(([^)\s]*images/(?:tutorials|gallery)/[^)\s]+)\)", markdown.without_blocks(text))
    return list(dict.fromkeys(found))


def update(page: Path) -> None:
    """Run a page, and write its outputs and figures."""
    text = page.read_text(encoding="utf-8")
    new, at = [], 0
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block, printed in run(text, str(page)):
            start = _offset(text, block.line)
            new += [text[at:start], printed.rstrip("\n") + "\n" if printed.strip() else "\n"]
            at = start + len(block.text)
        page.write_text("".join([*new, text[at:]]), encoding="utf-8")
        for link in figures(text):
            target = (page.parent / link).resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            for suffix in (".svg", ".png"):
                shutil.copy(Path(folder) / target.with_suffix(suffix).name, target.with_suffix(suffix))


def _offset(text: str, line: int) -> int:
    """Position of the first character of a line, counted from 1."""
    return sum(len(one) for one in text.splitlines(keepends=True)[: line - 1])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        update(Path(name).resolve())
        sys.stdout.write(f"{name}\n")

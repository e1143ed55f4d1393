"""The few things of a Markdown file that the documentation's tests look at."""

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?:<!-- (?:not run: (?P<reason>.+?)|file: (?P<file>\S+)|(?P<run>run)|(?P<output>output)) -->\n\n?)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAMED_FILE = re.compile(r"`((?:src|tests|docs)/[\w./-]+|[\w.-]+\.(?:md|toml|cff))`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block, with the HTML comment above it.

    `language` and `text` are its own, `line` is where it starts. A comment `not run: WHY` gives `not_run`, `file: NAME`
    gives `file`, the name under which the text is saved, `run` marks a block of commands that are run, and `output` one
    that shows what was printed since the last one.
    """

    language: str
    text: str
    line: int
    not_run: str | None
    file: str | None
    run: bool
    output: bool


def files(repository: Path) -> list[Path]:
    """The documentation: README and its kin, and everything under docs."""
    return sorted([*repository.glob("*.md"), *repository.glob("docs/**/*.md")])


def blocks(text: str) -> list[Block]:
    """All fenced blocks in order."""
    return [
        Block(
            language=fence["language"],
            text=fence["text"],
            line=text.count("\n", 0, fence.start("text")) + 1,
            not_run=fence["reason"],
            file=fence["file"],
            run=fence["run"] is not None,
            output=fence["output"] is not None,
        )
        for fence in _FENCE.finditer(text)
    ]


def without_blocks(text: str) -> str:
    """The prose alone."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Targets of links and pictures, anchors cut off, that point into this repository."""
    targets = (target.partition("#")[0] for target in _LINK.findall(without_blocks(text)))
    return [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]


def named_files(text: str) -> list[str]:
    """Paths from the repository's root that the prose names in backquotes."""
    return _NAMED_FILE.findall(without_blocks(text))

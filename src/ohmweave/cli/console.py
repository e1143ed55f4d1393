"""Output of the command line: results go to stdout, progress, notes and errors to stderr."""

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160


class _Console(Console):
    """A console that shows text as it is: control characters as escapes. It is the last place before the terminal.

    Rich's own control of the cursor is in segments of another kind.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As in `Console`."""
        from ohmweave.base.text import visible

        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text, keep="\n"), segment.style)


def console_on(stream: TextIO) -> Console:
    """A console on `stream` without markup; for a file or pipe, lines are wide enough for tables."""
    wide = not stream.isatty() and "COLUMNS" not in os.environ
    width = WIDTH_WITHOUT_TERMINAL if wide else None
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_result(content: Any) -> None:
    """Print text (without markup) or an object that rich renders to stdout."""
    console_on(sys.stdout).print(Text(content) if isinstance(content, str) else content)


def print_note(text: str) -> None:
    """Print a note as one line to stderr."""
    console_on(sys.stderr).print(Text(" ".join(text.split("\n"))), soft_wrap=True)


def print_error(text: str) -> None:
    """Print an error as one line to stderr."""
    console_on(sys.stderr).print(Text.assemble(("error: ", "bold red"), " ".join(text.split())), soft_wrap=True)

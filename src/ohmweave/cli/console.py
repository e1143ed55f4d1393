"""Output of the command line: results go to stdout, progress, notes and errors to stderr."""

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160
_WIDEST = 10_000


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
    """Print text (without markup) or an object that rich renders to stdout.

    A table that is wider than the terminal, with each cell as narrow as its longest word, keeps that width: rich would
    cut its columns, or leave them out, without a word.
    """
    console, shown = console_on(sys.stdout), Text(content) if isinstance(content, str) else content
    if not isinstance(shown, Table):
        console.print(shown)
        return
    least = Measurement.get(console, console.options.update(max_width=_WIDEST), shown).minimum
    console.width = max(console.width, least)
    console.print(shown)


def print_note(text: str) -> None:
    """Print a note as one line to stderr."""
    console_on(sys.stderr).print(Text(" ".join(text.split("\n"))), soft_wrap=True)


def print_error(text: str) -> None:
    """Print an error as one line to stderr."""
    console_on(sys.stderr).print(Text.assemble(("error: ", "bold red"), " ".join(text.split())), soft_wrap=True)

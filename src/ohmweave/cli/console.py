"""Output of the command line: results go to stdout, progress, notes and errors to stderr."""

import os
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160


def console_on(stream: TextIO) -> Console:
    """A console on `stream`; for a file or pipe, lines are wide enough for tables."""
    wide = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=WIDTH_WITHOUT_TERMINAL if wide else None, highlight=False)


def print_result(content: Any) -> None:
    """Print text (without markup) or an object that rich renders to stdout."""
    console_on(sys.stdout).print(Text(content) if isinstance(content, str) else content)


def print_note(text: str) -> None:
    """Print a note of one line to stderr."""
    console_on(sys.stderr).print(Text(text), soft_wrap=True)


def print_error(text: str) -> None:
    """Print an error as one line to stderr."""
    console_on(sys.stderr).print(Text.assemble(("error: ", "bold red"), " ".join(text.split())), soft_wrap=True)

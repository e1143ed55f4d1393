"""Progress of a run: a bar on a terminal, otherwise a line every few seconds."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from ohmweave.cli.console import console_on, print_note

SECONDS_BETWEEN_LINES = 2.0


@contextlib.contextmanager
def shown_progress(title: str) -> Iterator[Callable[[float, str], None]]:
    """During the block, show calls of the yielded `progress(fraction, text)` on stderr; `fraction` is from 0 to 1."""
    if sys.stderr.isatty():
        with _bar(title) as progress:
            yield progress
    else:
        yield _lines(title)


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Callable[[float, str], None]]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", style="dim", markup=False),
    )
    with Progress(*columns, console=console_on(sys.stderr)) as bar:
        task = bar.add_task("", total=1.0, title=title)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)


def _lines(title: str) -> Callable[[float, str], None]:
    last_time, last_text = -SECONDS_BETWEEN_LINES, ""

    def progress(fraction: float, text: str) -> None:
        nonlocal last_time, last_text
        due = time.monotonic() - last_time >= SECONDS_BETWEEN_LINES
        if text != last_text and (due or fraction >= 1.0):
            last_time, last_text = time.monotonic(), text
            print_note(f"{title}  {100 * fraction:3.0f} %  {text}")

    return progress

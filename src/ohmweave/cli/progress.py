"""Progress of a run: a bar on a terminal, otherwise a line every few seconds, with the time that is left."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from ohmweave.cli.console import console_on, print_note

SECONDS_BETWEEN_LINES = 2.0
LEAST_PART, LEAST_SECONDS = 0.02, 5.0
"""The time left is said from here on: what less of the work took says little about the rest (ours)."""


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

    left = _TimeLeft()

    columns = (
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.description}", style="dim", markup=False),
    )
    with Progress(*columns, console=console_on(sys.stderr)) as bar:
        task = bar.add_task("", total=1.0, title=title, left="")
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text, left=left(fraction))


def _lines(title: str) -> Callable[[float, str], None]:
    last_time, last_text = -SECONDS_BETWEEN_LINES, ""
    left = _TimeLeft()

    def progress(fraction: float, text: str) -> None:
        nonlocal last_time, last_text
        rest = left(fraction)
        due = time.monotonic() - last_time >= SECONDS_BETWEEN_LINES
        if text != last_text and (due or fraction >= 1.0):
            last_time, last_text = time.monotonic(), text
            print_note("  ".join(part for part in (title, f"{100 * fraction:3.0f} %", rest, text) if part))

    return progress


class _TimeLeft:
    """The time left, in words, if the rest goes on as what was done since the first call; empty if that says little.

    Finished tasks of an earlier run took no time in this one, so that the first call's fraction is where it starts.
    """

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def __call__(self, fraction: float) -> str:
        if self._start is None:
            self._start = (time.monotonic(), fraction)
        seconds, part = time.monotonic() - self._start[0], fraction - self._start[1]
        if fraction >= 1.0 or part < LEAST_PART or seconds < LEAST_SECONDS:
            return ""
        from ohmweave.report import show_duration

        return f"{show_duration(seconds * (1.0 - fraction) / part)} left"

import io
import sys

import pytest

from ohmweave.cli import progress as progress_module
from ohmweave.cli.progress import shown_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_with_the_text_taken_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    with shown_progress("coins/toss") as progress:
        progress(0.25, "half [way]")
    assert "coins/toss" in terminal.getvalue()
    assert "25%" in terminal.getvalue()
    assert "half [way]" in terminal.getvalue()


def test_a_file_gets_a_line_now_and_then_and_the_last_one_always(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 1000.0)
    with shown_progress("coins/toss") as progress:
        for number in range(10):
            progress(number / 10, f"step {number}")
        progress(1.0, "done")
    assert capsys.readouterr().err.splitlines() == ["coins/toss    0 %  step 0", "coins/toss  100 %  done"]


def test_the_time_left_is_said_once_it_means_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: times[-1])
    with shown_progress("coins/toss") as progress:
        # A fifth was done by an earlier run; a quarter of the rest takes 60 s.
        for time, fraction, text in ((100.0, 0.2, "first"), (103.0, 0.21, "second"), (160.0, 0.4, "third")):
            times.append(time)
            progress(fraction, text)
    assert capsys.readouterr().err.splitlines() == [
        "coins/toss   20 %  first",
        "coins/toss   21 %  second",
        "coins/toss   40 %  3 min 0 s left  third",
    ]

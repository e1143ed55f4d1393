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

"""Rows from elsewhere: their text is neither a path, nor markup, nor a command to the terminal."""

import errno
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ohmweave.cli.console import console_on
from ohmweave.experiments import Context, FigureSpec, Row, Task, read_rows
from tests.cli.test_commands import Outcome, billed
from tests.helpers.experiments import NAME, experiment, only_registered, run
from tests.report.test_page import LINE, broken

VICTIM = "/../../../victim"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
NASTY = (
    VICTIM,
    ESCAPE,
    "[/]",
    "[bold red]x[/bold red]",
    "<script>alert(1)</script>",
    "a | b\n| c | d |",
    "\ud800",
    "\u202eevil",
    "$\\frac{$",
    ":smile:",
    "x" * 300,
    "../" * 50 + "victim",
    "C:\\windows\\victim",
    "",
)


@pytest.fixture(autouse=True)
def _coins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr("ohmweave.experiments.load_installed", list)
    inside = tmp_path / "a" / "b" / "c"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("COLUMNS", "200")
    with only_registered(experiment(run=billed, figures=(LINE,))):
        yield


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: Outcome(capsys, *arguments)


def store(folder: Path, *rows: Row) -> None:
    path = folder / NAME / "rows.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(one.to_line() + "\n" for one in rows))


def row_of(task_params: Mapping[str, Any], result: Mapping[str, Any], text: str) -> Row:
    task = Task(experiment=NAME, params=task_params, seed=0)
    return Row(
        id=task.id,
        experiment=NAME,
        params=task_params,
        seed=0,
        result=result,
        versions={"ohmweave": text, "torch": text, text: text},
        commit=text,
    )


def hostile(text: str) -> list[Row]:
    """A row with `text` wherever a row may hold text, and another one, so that params are shown."""
    bill = [
        {"phase": text, "layer": text, "component": text, "count": 1, "energy": 1e-12, "time": 1e-9, "area": 0.0}
        | {"source": text}
    ]
    result = {"n_heads": [50], "n_tosses": 100, "g": 1e-6, "bill": bill, text: text}
    return [
        row_of({"data": text, "scale": text, "other": text}, result, text),
        row_of({"data": "digits", "scale": "smoke", "other": "x"}, result, "1"),
    ]


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", NASTY)
def test_no_output_is_moved_coloured_or_written_elsewhere_by_a_row(command: Any, tmp_path: Path, text: str) -> None:
    store(Path("here"), *hostile(text))
    before = files_below(tmp_path)
    commands = (
        ["claims", "here"],
        ["claims", "here", "--markdown"],
        ["claims", "here", "--json"],
        ["cost", NAME, "--results", "here", "--by", "component"],
        ["cost", NAME, "--results", "here", "--json"],
        ["report", "here"],
        ["run", NAME, "--out", "here", "--table", "here/all.md"],
    )
    for arguments in commands:
        done = command(*arguments)
        assert done.code == 0, (arguments, done.err)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", done.out + done.err), arguments
    made = files_below(tmp_path) - before
    assert made
    assert all(path.resolve().is_relative_to(Path("here").resolve()) for path in made)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path.name) for path in made)
    page = Path("here/report.html").read_text(encoding="utf-8")
    assert re.findall(r"<script\b[^>]*>", page) == ["<script>"]  # the page's own
    assert "<script>alert" not in page
    assert "\x1b" not in page
    table = Path("here/all.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<script", table)
    assert "\n| c | d |" not in table


def test_markup_and_escapes_are_shown_as_they_are(command: Any) -> None:
    store(Path("here"), *hostile("[/] \x1b[2J"))
    printed = command("cost", NAME, "--results", "here", "--by", "component").out
    assert "[/] \\x1b[2J" in printed
    assert "[/] \\x1b[2J" in command("claims", "here").out
    assert "\\[/] \\\\x1b\\[2J" in command("claims", "here", "--markdown").out


def test_a_markdown_cell_stays_one_cell(command: Any) -> None:
    store(Path("here"), *hostile("a | b\n| c \\| <i>"))
    printed = command("claims", "here", "--markdown").out
    for line in printed.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 9
    assert "<i>" not in printed.replace("\\<", "")


def test_our_own_styles_are_kept_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    from rich.text import Text

    stream = Terminal()
    console_on(stream).print(Text("\x1b[5m", style="bold"))
    assert "\\x1b[5m" in stream.getvalue()
    assert "\x1b[5m" not in stream.getvalue()


@pytest.mark.filterwarnings("always")
def test_a_line_that_is_no_row_is_named_and_stops_nothing(command: Any) -> None:
    command("run", NAME, "--out", "here", "--seeds", "2")
    path = Path("here") / NAME / "rows.jsonl"
    path.write_bytes(b"\xff\x1b[2J[/]\n" + path.read_bytes())
    for arguments in (
        ["claims", "here"],
        ["report", "here"],
        ["cost", NAME, "--results", "here"],
        ["run", NAME, "--out", "here", "--seeds", "2"],
    ):
        done = command(*arguments)
        assert done.code == 0, done.err
        assert f"warning: {path}, line 1: it is not UTF-8 at byte 1" in done.err


@pytest.mark.filterwarnings("always")
def test_an_edited_row_is_named_and_its_task_is_run_again(command: Any) -> None:
    command("run", NAME, "--out", "here", "--seeds", "2")
    path = Path("here") / NAME / "rows.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace('"seed":1', '"seed":3'))
    done = command("run", NAME, "--out", "here", "--seeds", "2")
    assert "line 2: its id is that of another task" in done.err
    assert "1 of 2 tasks had rows already" in done.err
    assert path.read_text().splitlines()[::2] == whole.splitlines()


@pytest.mark.filterwarnings("always")
def test_results_that_no_claim_understands_are_named(command: Any) -> None:
    store(Path("here"), replace(hostile("x")[1], result={"n_heads": "many", "n_tosses": 0, "g": [], "bill": [1, {}]}))
    done = command("claims", "here")
    assert done.code == 0
    assert "no number from these rows" in done.out + done.err
    assert "its bill is left out" in command("report", "here").err


def test_rows_of_another_commit_are_said_and_run_again_on_request(command: Any) -> None:
    command("run", NAME, "--out", "here", "--seeds", "2")
    path = Path("here") / NAME / "rows.jsonl"
    first, second = read_rows(path)
    store(Path("here"), replace(first, commit="0123456789abcdef"), second)
    said = r"1 of 2 rows was computed by other code: ohmweave \S+ with torch \S+, Python \S+, commit 0123456789"
    assert re.search(said, command("claims", "here").out)
    assert re.search(said, command("claims", "here", "--markdown").out)
    assert re.search(said, json.loads(command("claims", "here", "--json").out)[0]["other"])
    command("report", "here")
    assert re.search(said, Path("here/report.html").read_text())
    again = command("run", NAME, "--out", "here", "--seeds", "2")
    assert re.search(said + "; --refresh runs their tasks again", again.err)
    assert "2 of 2 tasks had rows" in again.err

    fresh = command("run", NAME, "--out", "here", "--seeds", "2", "--refresh")
    assert "1 of 2 tasks had rows" in fresh.err
    assert "other code" not in fresh.err + fresh.out
    assert sorted(read_rows(path), key=lambda row: row.seed) == [first, second]
    assert "2 of 2 tasks had rows" in command("run", NAME, "--out", "here", "--seeds", "2", "--refresh").err


def test_a_link_out_of_the_folder_is_refused(command: Any, tmp_path: Path) -> None:
    store(Path("here"), hostile("x")[1])
    (tmp_path / "victim").mkdir()
    Path("here/figures").symlink_to(tmp_path / "victim")
    done = command("report", "here")
    assert done.code == 1
    assert "here/figures must be a folder inside here" in done.err
    assert not files_below(tmp_path / "victim")


@pytest.mark.parametrize("part", [".html", ".svg", ".png"])
def test_a_full_disk_is_an_error_that_names_the_file(
    command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    store(Path("here"), hostile("x")[1])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if part == ".html":
        monkeypatch.setattr(Path, "write_text", full)
    else:
        from matplotlib.figure import Figure

        save = Figure.savefig
        monkeypatch.setattr(
            Figure, "savefig", lambda self, path, **how: full() if path.suffix == part else save(self, path, **how)
        )
    done = command("report", "here")
    assert done.code == 1
    assert re.search(rf"error: here/.*{part}: No space left on device", done.err)
    assert not [path for path in files_below(tmp_path) if path.name.startswith(".")]


def test_a_figure_that_cannot_be_drawn_is_an_error_after_the_page_is_written(command: Any) -> None:
    bad = FigureSpec(name="bad", title="Bad", caption="", draw=broken)
    with only_registered(experiment(figures=(LINE, bad))):
        store(Path("here"), hostile("x")[1])
        done = command("report", "here")
    assert done.code == 1
    assert done.out.strip() == "here/report.html"
    assert "figure 'bad' could not be drawn from these rows: KeyError" in done.err
    assert "lacks figures or tables" in done.err
    assert Path("here/report.html").is_file()


def test_a_full_disk_in_a_run_names_the_rows(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = command("run", NAME, "--out", "here")
    assert done.code == 1
    assert f"here/{NAME}/rows.jsonl: No space left on device" in done.err


def test_progress_of_a_hostile_task_is_text(command: Any) -> None:
    def shouting(task: Task, context: Context) -> Mapping[str, Any]:
        context.progress(0.5, "\x1b[2J [/]")
        return run(task, context)

    with only_registered(experiment(run=shouting)):
        done = command("run", NAME, "--out", "here")
    assert done.code == 0
    assert "\x1b" not in done.err

"""The command line from outside: what it prints, where, and how it ends."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from ohmweave.cli import app, main
from ohmweave.cli.console import print_result
from ohmweave.cli.evaluate import shown_table
from ohmweave.experiments import Context, ExperimentError, Task, read_rows
from tests.helpers.experiments import NAME, experiment, only_registered, run

COMMANDS = [
    "demo", "list", "run", "claims", "report", "cite", "cost", "data", "fit", "evaluate", "compare", "explore",
    "netlist", "docs", "bench",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _coins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Coins instead of papers, and an empty folder to work in."""
    monkeypatch.setattr("ohmweave.experiments.load_installed", list)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with only_registered(experiment()):
        yield


class Outcome:
    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        self.code = ended.value.code or 0
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: Outcome(capsys, *arguments)


def test_every_command_and_option_has_help(command: Any) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert sorted(commands) == sorted(COMMANDS)
    for name, one in commands.items():
        assert one.help
        assert all(getattr(parameter, "help", None) for parameter in one.params), name
        shown = command(name, "--help")
        assert (shown.code, shown.err) == (0, "")
        assert f"ohmweave {name}" in shown.out or "Usage" in shown.out


def test_version_and_no_arguments(command: Any) -> None:
    assert command("--version").out.startswith("ohmweave ")
    assert all(name in command("--help").out for name in COMMANDS)


def test_list(command: Any) -> None:
    printed = command("list").out
    assert NAME in printed
    assert "tests" in printed
    (one,) = json.loads(command("list", "--json").out)
    assert one["name"] == NAME
    assert (one["from"], one["devices"]) == ("tests", ["cpu"])
    assert one["claims"][0]["accept"] == "within 2.00 % of the paper"
    assert one["assumptions"] == [{"text": "coins are <round>", "source": "ours"}]


def test_run_then_claims_then_report(command: Any) -> None:
    first = command("run", "coins", "--seeds", "2", "--out", "here")
    assert first.code == 0
    assert "coins/toss · digits, smoke scale" in first.out
    assert "100 %  done" in first.err
    assert "ohmweave report here" in first.err
    assert len(read_rows(Path("here") / NAME / "rows.jsonl")) == 2
    assert "2 of 2 tasks had rows already" in command("run", NAME, "--seeds", "2", "--out", "here").err

    lines = json.loads(command("claims", "here", "--json").out)
    wanted = {"experiment", "quantity", "unit", "paper", "ours", "low", "high", "n", "verdict", "where", "note"}
    assert all(wanted <= set(line) for line in lines)
    assert [line["verdict"] for line in lines] == [
        "not comparable (digits, not MNIST)",
        "not met",
        "not run",
    ]
    assert "share of heads" in command("claims", "here").out
    assert command("claims", "here", "--markdown").out.startswith("### coins/toss")

    page = command("report", "here")
    assert (page.code, page.out.strip()) == (0, str(Path("here", "report.html")))
    assert Path("here/report.html").is_file()


def billed(task: Task, context: Context) -> Mapping[str, Any]:
    energy = 1e-12 * (1 + task.seed)
    record = {"phase": "training", "layer": "x", "component": "ADC", "count": 1, "energy": energy, "source": "ours"}
    return run(task, context) | {"bill": [record | {"time": 1e-9, "area": 0.0, "images": 2}]}


def test_cost(command: Any) -> None:
    with only_registered(experiment(run=billed)):
        command("run", NAME, "--seeds", "3", "--out", "here")
        command("run", NAME, "--data", "mnist", "--out", "there")
        printed = command("cost", NAME, "--results", "here", "--by", "component").out
        (record,) = json.loads(command("cost", NAME, "--results", "here", "--json").out)[NAME]
        both = command("cost", NAME, "--results", ".").out
    assert f"{NAME} (of one chip, mean over 3 rows of 1 chip each)" in printed
    assert all(part in printed for part in ("training", "x", "ADC", "2 pJ", "1 pJ", "± 124.2 %", "100.0%", "1 ns"))
    assert abs(record["energy"] - 2e-12) < 1e-18
    assert (record["rows"], record["source"], record["count"]) == (3, "ours", 1)
    assert record["energy_low"] < record["energy"] < record["energy_high"]
    assert f"{NAME}, data digits (of one chip, mean over 3 rows" in both
    assert f"{NAME}, data mnist (of one chip, mean over 1 row of 1 chip)" in both


def test_what_has_no_bill_is_said(command: Any) -> None:
    command("run", NAME, "--out", "here")
    ended = command("cost", NAME, "--results", "here")
    assert (ended.code, ended.out) == (1, "")
    assert "have no bill" in ended.err


def test_data_and_scale_have_their_own_folders(command: Any) -> None:
    command("run", NAME)
    command("run", NAME, "--data", "mnist", "--scale", "full")
    assert {path.parent.parent.parent.name for path in Path("results").rglob("rows.jsonl")} == {
        "digits-smoke",
        "mnist-full",
    }
    lines = json.loads(command("claims", "results", "--json").out)
    assert [(line["data"], line["scale"]) for line in lines if line["claim"] == "heads"] == [
        ("digits", "smoke"),
        ("mnist", "full"),
    ]


def test_options_reach_the_tasks(command: Any) -> None:
    seen: list[Context] = []

    def looking(task: Task, context: Context) -> Mapping[str, Any]:
        seen.append(context)
        return run(task, context)

    with only_registered(experiment(run=looking)):
        arguments = "--data mnist --data-dir d --scale full --seeds 1 --out o --seed 7 --device cpu"
        assert command("run", NAME, *arguments.split()).code == 0
    options = seen[0].options
    assert (options.data, options.data_dir, options.scale, options.out) == ("mnist", Path("d"), "full", Path("o"))
    assert (options.seeds, options.seed, options.device) == (1, 7, "cpu")


def test_claims_of_what_was_not_run_only_when_asked(command: Any) -> None:
    Path("empty").mkdir()
    assert json.loads(command("claims", "empty", "--json").out) == []
    assert "no rows in empty yet" in command("claims", "empty").err
    lines = json.loads(command("claims", "empty", "--json", "--all").out)
    assert {line["verdict"] for line in lines} == {"not run"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "coins/tos"], 1, "did you mean coins/toss"),
        (["run", NAME, "--device", "abacus"], 1, "`--device` must be one that torch can use here, but is 'abacus'"),
        (["run", NAME, "--device", "meta"], 1, "`--device` must be cpu for coins/toss, but is 'meta'"),
        (["claims", "nowhere"], 1, "no results folder nowhere"),
        (["report", "nowhere"], 1, "no results folder nowhere"),
        (["run"], 2, "NAME"),
        (["run", NAME, "--seeds", "0"], 2, "--seeds"),
        (["run", NAME, "--scale", "huge"], 2, "--scale"),
        (["run", NAME, "--workers", "2", "--scheduler", "tcp://x:1"], 2, "--workers"),
        (["claims", ".", "--json", "--markdown"], 2, "--json"),
        (["weave"], 2, "weave"),
    ],
)
def test_errors_are_one_clear_message(command: Any, arguments: list[str], code: int, message: str) -> None:
    ended = command(*arguments)
    assert ended.code == code
    assert message in " ".join(ended.err.split())
    assert ended.out == ""
    assert "Traceback" not in ended.err
    if code == 1:
        assert ended.err.startswith("error: ")
        assert ended.err.count("\n") == 1


def test_an_error_of_the_disk_is_one_line_too(command: Any) -> None:
    Path("file").write_text("")
    ended = command("run", NAME, "--out", "file")
    assert (ended.code, ended.err.count("\n")) == (1, 1)


def test_a_fault_of_ours_is_not_hidden(command: Any) -> None:
    def faulty(task: Task, context: Context) -> Mapping[str, Any]:
        raise ZeroDivisionError

    with only_registered(experiment(run=faulty)), pytest.raises(ZeroDivisionError):
        main(["run", NAME])


def test_an_interrupted_run_says_how_to_go_on(command: Any) -> None:
    def interrupted(task: Task, context: Context) -> Mapping[str, Any]:
        if task.seed == 1:
            raise KeyboardInterrupt
        return run(task, context)

    with only_registered(experiment(run=interrupted)):
        ended = command("run", NAME, "--seeds", "3", "--out", "here")
    assert ended.code == 130
    assert "the same command continues from there" in ended.err
    assert len(read_rows(Path("here") / NAME / "rows.jsonl")) == 1
    assert command("run", NAME, "--seeds", "3", "--out", "here").code == 0


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_does_not_wait_for_torch(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom ohmweave.cli import main\n"
        f"try:\n    main({arguments!r})\nfinally:\n    assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_run_all_says_the_time_first_and_writes_a_table_last(command: Any) -> None:
    done = command("run", "--all", "--seeds", "2", "--out", "here")
    assert done.code == 0
    notes = [" ".join(line.split()) for line in done.err.splitlines()]
    assert notes[0] == "expected time on this machine at smoke scale:"
    assert notes[1] == f"{NAME} digits, 2 seeds: 2 of 2 tasks unknown (not measured)"
    assert notes[2] == f"in all about 0.0 s, and unknown times for 1 experiments: {NAME}"
    assert notes[3] == "note: 1 claims need --data mnist and cannot be judged on digits"
    rows = read_rows(Path("here") / NAME / "rows.jsonl")
    table = Path("here/claims.md").read_text()
    assert "2 rows of 1 experiments; 0.00 machine hours; " in table
    assert f"Commit: {rows[0].commit}." in table
    assert f"torch {rows[0].versions['torch']}" in table
    assert "3 claims: " in table
    assert f"| {NAME} | digits, smoke | share of heads | 55.00 % |" in table

    again = command("run", "--all", "--seeds", "3", "--out", "here", "--table", "there/all.md")
    assert f"{NAME} digits, 3 seeds: 1 of 3 tasks" in " ".join(again.err.split())
    assert "mean of 2 tasks in here" in again.err
    assert "3 rows of 1 experiments" in Path("there/all.md").read_text()


def test_a_full_run_of_all_takes_the_data_set_and_the_repetitions_of_each_experiment(command: Any) -> None:
    one = dataclasses.replace(experiment(), data="mnist", seeds=3)
    two = dataclasses.replace(experiment(name="b/other"), data="cifar10", seeds=2)
    with only_registered(one, two):
        notes = " ".join(command("run", "--all", "--scale", "full").err.split())
        assert f"{NAME} mnist, 3 seeds: 3 of 3 tasks" in notes
        assert "b/other cifar10, 2 seeds: 2 of 2 tasks" in notes
        assert {row.params["data"] for row in read_rows(Path("results/full") / NAME / "rows.jsonl")} == {"mnist"}
        assert len(read_rows(Path("results/full/b/other/rows.jsonl"))) == 2
        named = " ".join(command("run", "--all", "--scale", "full", "--data", "digits", "--seeds", "1").err.split())
        assert f"{NAME} digits, 1 seed: 1 of 1 tasks" in named
        assert Path("results/digits-full").is_dir()
        smoke = " ".join(command("run", "--all").err.split())
        assert f"{NAME} digits, 1 seed: 1 of 1 tasks" in smoke


def test_run_all_goes_on_after_an_experiment_that_fails(command: Any) -> None:
    def broken(task: Task, context: Context) -> Mapping[str, Any]:
        raise ExperimentError("no such cell")

    with only_registered(experiment(name="a/broken", run=broken), experiment()):
        done = command("run", "--all", "--out", "here")
        assert done.code == 1
        assert "error: a/broken: no such cell" in done.err
        assert "error: not finished: a/broken; the same command tries them again" in done.err
        assert len(read_rows(Path("here") / NAME / "rows.jsonl")) == 1
        assert command("run", "a/broken", "--out", "here").code == 1


def test_run_takes_names_or_all(command: Any) -> None:
    assert command("run").code == 2
    assert command("run", NAME, "--all").code == 2


def test_a_table_names_every_commit_of_its_rows(command: Any) -> None:
    command("run", NAME, "--out", "here")
    path = Path("here") / NAME / "rows.jsonl"
    (one,) = read_rows(path)
    other = replace(one, seed=9, commit="abc", id=Task(experiment=NAME, params=one.params, seed=9).id)
    path.write_text(path.read_text() + other.to_line() + "\n")
    command("run", NAME, "--out", "here", "--table", "all.md")
    table = Path("all.md").read_text()
    assert "abc (1 rows)" in table
    assert "1 of 2 rows have no time in a log" in table


def test_no_column_of_a_table_is_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    heads = [f"column{n}" for n in range(12)]
    print_result(shown_table("wide", [{head: f"{n}.123456789" for n, head in enumerate(heads)}]))
    out = capsys.readouterr().out
    assert all(head in out for head in heads)
    assert all(f" {n}.123456789 " in out for n in range(12))

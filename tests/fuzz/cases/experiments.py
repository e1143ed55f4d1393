"""The bookkeeping of experiments: options, tasks, rows, claims and estimators."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ohmweave import experiments
from ohmweave.experiments import (
    Assumption,
    AtLeast,
    AtMost,
    Between,
    Claim,
    Context,
    Equal,
    Estimate,
    Expected,
    Experiment,
    FigureSpec,
    Needs,
    Options,
    Row,
    Scope,
    Summary,
    TableSpec,
    Task,
    Within,
)
from tests.fuzz.runner import Call, Case
from tests.helpers.experiments import CLAIMS, experiment, only_registered, run, tasks
from tests.helpers.experiments import row as row_with


def _ends(found: Estimate | None) -> Any:
    return [] if found is None else [one for one in (found.value, found.low, found.high, found.n) if one is not None]


def _rows(result: Mapping[str, Any] | None = None) -> list[Row]:
    content = {"n_heads": [50, 60], "n_tails": [50, 40], "n_tosses": 100, "g": 1e-6} if result is None else result
    return [row_with(content, seed=seed, network=seed // 2, way="ab"[seed % 2]) for seed in range(4)]


def _estimator(make: Callable[..., Any], **arguments: Any) -> Case:
    """An estimator is made, and applied to sound rows."""
    return lambda: Call(function=make, arguments=arguments, use=lambda estimate: _ends(estimate(_rows())))


def _interval(function: Callable[..., Estimate | None], **arguments: Any) -> Case:
    return lambda: Call(function=function, arguments=arguments, use=_ends)


def _accepts(kind: Callable[..., Any], *, paper: float | None = 0.5, **arguments: Any) -> Case:
    return lambda: Call(
        function=kind, arguments=arguments, use=lambda made: [made.accepts(0.5, paper), made.describe()]
    )


def _task() -> Call:
    return Call(
        function=Task,
        arguments={"experiment": "coins/toss", "params": {"data": "digits", "x": [1, 0.5]}, "seed": 3},
        use=lambda task: task.id,
    )


def _row() -> Call:
    task = Task(experiment="coins/toss", params={"x": 1.5}, seed=3)
    arguments = {
        "id": task.id, "experiment": "coins/toss", "params": {"x": 1.5}, "seed": 3, "result": {"n": [1, 2]},
        "versions": {"torch": "2.6.0"}, "commit": "ab" * 20,
    }  # fmt: skip
    return Call(function=Row, arguments=arguments, use=lambda row: [row.to_line(), repr(row)])


def _options() -> Call:
    arguments = {
        "data": "digits", "data_dir": Path("data"), "scale": "smoke", "seeds": 2, "out": Path("results"),
        "device": "cpu", "seed": 0, "threads": 1,
    }  # fmt: skip
    return Call(function=Options, arguments=arguments, use=lambda made: [made.seeds, made.threads])


def _artifact(name: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Context(options=Options(out=Path(folder) / "a" / "b")).artifact(name)
        if not path.resolve().is_relative_to((Path(folder) / "a" / "b").resolve()):
            raise AssertionError("outside of the folder")
        return str(path.name)


def _claim() -> Call:
    arguments = {
        "key": "heads", "quantity": "share of heads", "unit": "1", "paper": 0.55, "where": "Table 1",
        "estimate": experiments.mean_rate_of("n_heads", "n_tosses"), "accept": Within(absolute=0.02),
        "needs": Needs(), "better": "higher", "note": "a note", "declared": "",
    }  # fmt: skip

    def use(claim: Claim) -> Any:
        found = experiments.judge(claim, _rows())
        return [repr(claim), found.verdict, *_ends(found.estimate)]

    return Call(function=Claim, arguments=arguments, use=use)


def _explained() -> Call:
    arguments = {
        "key": "n", "quantity": "count", "unit": "cells", "paper": 50.0, "where": "Table 1",
        "estimate": experiments.value_of("n_tosses"), "accept": Equal(), "explained": "counted twice",
        "explained_value": 100.0,
    }  # fmt: skip
    return Call(function=Claim, arguments=arguments, use=lambda claim: experiments.judge(claim, _rows()).verdict)


def _experiment() -> Call:
    arguments = {
        "name": "coins/toss", "title": "Coins", "paper": "Author, 2020", "summary": "Tosses.", "claims": CLAIMS,
        "assumptions": (Assumption(text="round", source="ours"),), "tasks": tasks, "run": run, "figures": (),
        "tables": (), "data": "mnist", "seeds": 2, "devices": ("cpu",),
    }  # fmt: skip
    return Call(function=Experiment, arguments=arguments, use=lambda made: [repr(made), made.seeds])


def _run(refresh: Any, seeds: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        options = Options(out=Path(folder), seeds=seeds)
        done = experiments.run_experiment(experiment(), options, lambda fraction, text: None, refresh=refresh)
        return [done.n_tasks, done.n_before]


def _found(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def find(name: Any) -> Any:
        with only_registered(experiment()):
            return repr(function(name))

    return find


def _read(function: Callable[[Path], Any]) -> Callable[[Any], Any]:
    def read(content: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            path.write_bytes(content if isinstance(content, bytes) else str(content).encode(errors="replace"))
            return len(function(path))

    return read


_LINE = _rows()[0].to_line()
_DATA_RATES = {"correct": "n_heads", "total": "n_tosses"}
_GAP = _DATA_RATES | {"where": {"way": "a"}, "minus": {"way": "b"}}
_MEASURED = {"values": [0.5, 0.6, 0.7]}
EXPERIMENTS: dict[str, Case] = {
    "experiments.Options": _options,
    "experiments.Task": _task,
    "experiments.Row": _row,
    "experiments.Context": lambda: Call(function=_artifact, arguments={"name": "net/a.pt"}),
    "experiments.Claim": _claim,
    "experiments.Claim:explained": _explained,
    "experiments.Experiment": _experiment,
    "experiments.Within": _accepts(Within, absolute=0.1),
    "experiments.AtLeast": _accepts(AtLeast, value=0.5),
    "experiments.AtMost": _accepts(AtMost, value=0.5),
    "experiments.Between": _accepts(Between, low=0.2, high=0.7),
    "experiments.Equal": lambda: Call(
        function=Equal().accepts, arguments={"ours": 0.5, "paper": 0.5}, lets_nan_through=True
    ),
    "experiments.Assumption": lambda: Call(
        function=Assumption, arguments={"text": "round", "source": "ours"}, use=lambda one: one.text
    ),
    "experiments.FigureSpec": lambda: Call(
        function=FigureSpec,
        arguments={"name": "a", "title": "b", "caption": "c", "draw": lambda rows: None},
        use=lambda one: one.draw([]),
    ),
    "experiments.TableSpec": lambda: Call(
        function=TableSpec,
        arguments={"name": "a", "title": "b", "caption": "c", "rows": lambda rows: []},
        use=lambda one: one.rows([]),
    ),
    "experiments.Needs": lambda: Call(
        function=Needs, arguments={"data": "mnist", "scale": "full"}, use=lambda one: one.why_not(_rows()[0])
    ),
    "experiments.Scope": lambda: Call(
        function=Scope, arguments={"data": "mnist", "scale": "full", "seeds": 3}, use=lambda one: [one.title, one.slug]
    ),
    "experiments.Summary": lambda: Call(
        function=Summary,
        arguments={"n_tasks": 3, "n_before": 1, "path": Path("rows.jsonl"), "seconds": 2.0, "other": ""},
        use=lambda one: [repr(one), one.n_tasks, one.n_before, one.seconds],
        negative=False,
    ),
    "experiments.Expected": lambda: Call(
        function=Expected,
        arguments={"experiment": "coins/toss", "n_todo": 2, "n_tasks": 3, "seconds": 2.0, "source": "the log"},
        use=lambda one: [one.n_todo, one.n_tasks, one.seconds or 0.0],
        negative=False,
    ),
    "experiments.Estimate": lambda: Call(
        function=Estimate, arguments={"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}, use=_ends
    ),
    "experiments.mean_interval": _interval(experiments.mean_interval, **_MEASURED),
    "experiments.gap_interval": _interval(experiments.gap_interval, **_MEASURED, others=[0.1, 0.2]),
    "experiments.nested_interval": _interval(experiments.nested_interval, groups=[[0.1, 0.2], [0.3]]),
    "experiments.wilson_interval": _interval(experiments.wilson_interval, n_correct=3, n_total=10),
    "experiments.mean_of": _estimator(experiments.mean_of, key="g", where={"way": "a"}),
    "experiments.value_of": _estimator(experiments.value_of, key="g", where={"way": "a"}),
    "experiments.lowest_of": _estimator(experiments.lowest_of, key="g", where={"way": "a"}),
    "experiments.rate_of": _estimator(experiments.rate_of, **_DATA_RATES, where={"way": "a"}),
    "experiments.mean_rate_of": _estimator(experiments.mean_rate_of, **_DATA_RATES, where={"way": "a"}),
    "experiments.lowest_rate_of": _estimator(experiments.lowest_rate_of, **_DATA_RATES, where={"way": "a"}),
    "experiments.mean_rate_difference_of": _estimator(
        experiments.mean_rate_difference_of, **_DATA_RATES, minus="n_tails", where={"way": "a"}
    ),
    "experiments.nested_mean_rate_of": _estimator(
        experiments.nested_mean_rate_of, **_DATA_RATES, by="network", where={"way": "a"}, chips_of_one=True
    ),
    "experiments.nested_rate_difference_of": _estimator(
        experiments.nested_rate_difference_of, **_DATA_RATES, minus="n_tails", by="network", chips_of_one=True
    ),
    "experiments.nested_rate_gap_of": _estimator(experiments.nested_rate_gap_of, **_GAP, by="network"),
    "experiments.paired_rate_gap_of": _estimator(experiments.paired_rate_gap_of, **_GAP),
    "experiments.mean_rate_gap_of": _estimator(experiments.mean_rate_gap_of, **_GAP),
    "experiments.numbers": lambda: Call(
        function=experiments.numbers, arguments={"rows": _rows(), "key": "n_heads", "where": {"way": "a"}}
    ),
    "experiments.rates": lambda: Call(
        function=experiments.rates, arguments={"rows": _rows(), **_DATA_RATES, "where": {"way": "a"}}
    ),
    "experiments.select": lambda: Call(
        function=experiments.select, arguments={"rows": _rows(), "where": {"way": "a"}}
    ),
    "experiments.by_params": lambda: Call(function=experiments.by_params, arguments={"rows": _rows()}),
    "experiments.by_scope": lambda: Call(function=experiments.by_scope, arguments={"rows": _rows()}),
    "experiments.scope_of": lambda: Call(
        function=lambda params: experiments.scope_of(row_with({"x": 1}, **params)).slug,
        arguments={"params": {"data": "mnist", "seeds": 3}},
    ),
    "experiments.plain": lambda: Call(
        function=experiments.plain, arguments={"value": {"a": [1, 0.5]}, "name": "result"}
    ),
    "experiments.canonical": lambda: Call(
        function=experiments.canonical, arguments={"value": {"a": [1, 0.5]}, "name": "result"}
    ),
    "experiments.short_commit": lambda: Call(function=experiments.short_commit, arguments={"commit": "ab" * 20}),
    "experiments.other_origins": lambda: Call(function=experiments.other_origins, arguments={"rows": _rows()}),
    "experiments.judge": lambda: Call(
        function=lambda result: experiments.judge(CLAIMS[1], _rows(result)).verdict,
        arguments={"result": {"g": 1e-6}},
    ),
    "experiments.find": lambda: Call(function=_found(experiments.find), arguments={"name": "coins/toss"}),
    "experiments.match": lambda: Call(function=_found(experiments.match), arguments={"name": "coins/*"}),
    "experiments.source_of": lambda: Call(function=_found(experiments.source_of), arguments={"name": "coins/toss"}),
    "experiments.run_experiment": lambda: Call(function=_run, arguments={"refresh": False, "seeds": 2}),
    "experiments.read_rows": lambda: Call(
        function=_read(experiments.read_rows), arguments={"content": _LINE + "\n"}
    ),
    "experiments.read_log": lambda: Call(
        function=_read(lambda path: experiments.read_log(path.parent)), arguments={"content": "{}\n"}
    ),
    "experiments.read_results": lambda: Call(
        function=_read(lambda path: experiments.read_results(path.parent)), arguments={"content": _LINE + "\n"}
    ),
}  # fmt: skip

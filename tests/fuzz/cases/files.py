"""Functions that read or write a file or a folder: their names are nasty, their contents sound.

`tests.fuzz.crafted` has nasty contents.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ohmweave import cells, evaluation, experiments, fitting, nn, plot, programming, report
from ohmweave.base.files import atomic_write
from ohmweave.experiments import Row
from tests.fuzz.cases.arrays import CELL
from tests.fuzz.cases.cost import switched_trains
from tests.fuzz.cases.fitting import CYCLED
from tests.fuzz.cases.mapping import WRITE
from tests.fuzz.cases.networks import network
from tests.fuzz.runner import Call, Case
from tests.helpers.experiments import experiment, only_registered, row

_TRAINS = "\n".join(
    [
        "cell,pulse,polarity,g (uS)",
        *(f"{c},{p},{1 if p < 20 else -1},{10 - 0.1 * abs(20 - p)}" for c in "ab" for p in range(40)),
    ]
)
_MODULE = """
from tests.helpers.experiments import experiment
from ohmweave.experiments import register

register(experiment(name="own/one"))
"""


def _inside(use: Callable[..., Any], **made: Callable[[Path], Any]) -> Callable[..., Any]:
    """`use` in a folder of its own, two levels below one that must stay empty; `made` makes its files."""

    def called(name: Any, **more: Any) -> Any:
        before = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "a" / "b"
            work.mkdir(parents=True)
            os.chdir(work)
            try:
                for file, make in made.items():
                    make(work / file.replace("_", "."))
                return use(name, **more)
            finally:
                os.chdir(before)
                found = sorted(path.name for path in Path(folder).iterdir()) + sorted(
                    path.name for path in (Path(folder) / "a").iterdir()
                )
                if found != ["a", "b"] and not (isinstance(name, str | Path) and ".." in str(name)):
                    raise AssertionError(f"files outside of the folder: {found}")

    return called


def _text(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text)


def _saved(path: Path) -> None:
    nn.save(network(), path)


def _rows(path: Path) -> None:
    del path
    with experiments.rows.open_rows(Path("results"), "coins/toss") as rows:
        one: Row = row({"n_heads": [50], "n_tosses": 100, "g": 1e-6}, data="mnist")
        rows.append(one, seconds=1.0, started="2020-01-30T12:00:00+00:00")


def _loaded(name: Any) -> Any:
    net = network()
    nn.load(net, name)
    return net(torch.ones(2, 5))


def _report(name: Any) -> Any:
    with only_registered(experiment()):
        return str(report.write_report(name))


def _imported(name: Any) -> Any:
    try:
        with only_registered():
            return experiments.import_experiments(name)
    finally:
        sys.modules.pop("own", None)


def _written(name: Any) -> Any:
    with atomic_write(Path(name)) as part:
        part.write_text("x")


def _name(function: Callable[..., Any], name: str, **more: Any) -> Case:
    return lambda: Call(function=function, arguments={"name": name, **more})


FILES: dict[str, Case] = {
    "cells.save": _name(_inside(lambda name, about: cells.save(CELL, name, about=about)), "x.json", about={"a": "b"}),
    "cells.load": _name(
        _inside(lambda name: [cells.load(name).g_min], cell_json=lambda path: cells.save(CELL, path)), "cell.json"
    ),
    "nn.save": _name(_inside(lambda name: nn.save(network(), name)), "x.safetensors"),
    "nn.load": _name(_inside(_loaded, net_safetensors=_saved), "net.safetensors"),
    "fitting.read_trains": _name(
        _inside(
            lambda name, **more: torch.from_numpy(fitting.read_trains(name, **more).g), m_csv=_text(_TRAINS)
        ),
        "m.csv", unit="uS", v_read=0.2,
    ),
    "evaluation.read_subject": _name(
        _inside(lambda name: evaluation.read_subject(name).name, cell_json=lambda path: cells.save(CELL, path)),
        "cell.json",
    ),
    "report.write_report": _name(_inside(_report, x=_rows), "results"),
    "experiments.import_experiments": lambda: Call(
        function=_inside(_imported, own_py=_text(_MODULE)), arguments={"name": Path("own.py")}
    ),
    "experiments.atomic_write": _name(_inside(_written), "x.txt"),
    "experiments.expected_times": lambda: Call(
        function=lambda seeds: [
            one.n_todo for one in experiments.expected_times([(experiment(), experiments.Options(seeds=seeds))])
        ],
        arguments={"seeds": 2}, negative=False,
    ),
    "programming.defer_settling": lambda: Call(
        function=programming.defer_settling, arguments={"write": WRITE}, use=lambda found: found[1], negative=False
    ),
    "programming.reported": lambda: Call(function=programming.reported, arguments={"report": lambda: None}),
    "nn.AlwaysOn": lambda: Call(
        function=lambda x: nn.AlwaysOn()(x), arguments={"x": torch.rand(2, 3)}, lets_nan_through=True
    ),
    "nn.ErrorLoss": lambda: Call(
        function=nn.ErrorLoss, arguments={"error": nn.MarginError(margin=1.0)},
        use=lambda loss: loss(torch.rand(2, 3), torch.tensor([0, 2])),
    ),
    "nn.ErrorLoss.forward": lambda: Call(
        function=lambda z, labels: nn.ErrorLoss(nn.MarginError(margin=1.0))(z, labels),
        arguments={"z": torch.rand(2, 3), "labels": torch.tensor([0, 2])}, lets_nan_through=True,
    ),
    "plot.part_fit": lambda: Call(function=plot.part_fit, arguments={"part": _part()}, use=repr),
    "plot.pulse_fit": lambda: Call(function=plot.pulse_fit, arguments={"fit": _fit()}, use=repr),
}  # fmt: skip


@cache
def _fit() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitting.fit_trains(fitting.trains_of(**switched_trains()), law="linear")


@cache
def _part() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitting.fit_cell(fitting.Measurement(files=(), parts=(CYCLED,)), bins=5).parts[0]

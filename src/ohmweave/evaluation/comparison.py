"""`compare`: learning rules on the same cells, images and chips, each at the setting that a declared search found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ohmweave.base import OutOfRangeError, check_integer
from ohmweave.cells import Cell
from ohmweave.evaluation.comparison_page import COMPARISON, NAME, table_of
from ohmweave.evaluation.contenders import Contender, cell_named, chosen, compared_cells, contenders, digest_of_cell
from ohmweave.evaluation.contest import Contest, train
from ohmweave.evaluation.networks import check_network, network_of
from ohmweave.evaluation.search import ladder
from ohmweave.experiments import Options, Progress, Row, Task, read_rows, run_experiment

_SIZES: Mapping[str, Mapping[str, int]] = {
    "smoke": {"n_train": 500, "trial": 2, "epochs": 6, "extensions": 1},
    "full": {"n_train": 10_000, "trial": 3, "epochs": 20, "extensions": 3},
}
"""Training images, epochs of a trial of the search and of a result, and steps beyond an end that is best. Ours."""
DATA = ("digits", "mnist")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison:
    """The result of a comparison.

    Attributes:
        rules: names, in the order of the call.
        cells: names, likewise.
        rows: of the trials and of the results.
        out: results folder.
    """

    rules: tuple[str, ...]
    cells: tuple[str, ...]
    rows: tuple[Row, ...]
    out: Path

    def table(self) -> list[dict[str, str]]:
        """A line for each cell and rule: setting, accuracies with intervals, pulses, energy and time, for people."""
        return table_of(self.rows)

    def __repr__(self) -> str:
        """One line."""
        return f"Comparison({', '.join(self.rules)} on {', '.join(self.cells)}: {len(self.rows)} rows in {self.out})"


def compare(
    rules: Sequence[str] | Mapping[str, Contender],
    *,
    cells: Sequence[str] | Mapping[str, Cell] = ("linear", "soft-bounds"),
    imports: Sequence[str | Path] = (),
    data: str = "digits",
    data_dir: str | Path | None = None,
    network: str | Path = "mlp",
    scale: str = "smoke",
    seeds: int = 3,
    out: str | Path | None = None,
    seed: int = 0,
    progress: Progress = lambda fraction, text: None,
) -> Comparison:
    """Compare learning rules in situ: curves, accuracy, accuracy at equal pulses, energy and time.

    All rules start from the same random weights, written about the middle of the window of chips that are fabricated
    alike, and see the same images in the same order. Each has one setting, which is searched for each cell on
    validation images, with chips and weights of its own; the test images are read once for each result. A finished
    training has a row in `out`, and the same call continues there. More seeds add to the rows.

    Args:
        rules: names of known rules (`contenders`), or rules by name.
        cells: names of known cells (`compared_cells`) or of .json files of cells, or cells by name.
        imports: .py files with RULES or CELLS, which are run.
        data: "digits" or "mnist".
        data_dir: folder with its files; None: as `ohmweave.data.load`.
        network: "mlp", "cnn", or a .py file that defines `network(shape, n_classes)`.
        scale: "smoke" or "full": 500 or up to 10,000 training images, 6 or 20 epochs.
        seeds: trainings of each rule on each cell, with chips, weights and orders of their own, from 1 to 1,000.
        out: results folder; None: results/compare-DATA-SCALE.
        seed: the first seed.
        progress: called with the fraction that is done and a text.

    Raises:
        OutOfRangeError: a name is unknown, or a number out of its range; nothing was computed then.
        DataError: a file cannot be imported, or holds something else.
        ExperimentError: another run is writing to `out`.

    Source: ours.
    """
    if scale not in _SIZES or data not in DATA:
        known = f"{', '.join(_SIZES)}, and `data` of {', '.join(DATA)}"
        raise OutOfRangeError(f"`scale` must be of {known}, but they are {scale!r} and {data!r}")
    seeds = check_integer("seeds", seeds, at_least=1, at_most=1_000)
    files = [Path(one) for one in imports]
    size, folder = _SIZES[scale], Path(out) if out is not None else Path("results") / f"compare-{data}-{scale}"
    contest = Contest(
        rules=_rules(rules, files),
        cells=_cells(cells, files),
        network=network_of(network),
        n_train=size["n_train"],
        data=data,
        data_dir=None if data_dir is None else Path(data_dir),
    )
    check_network(contest.network, contest.images())
    options = Options(data=data, data_dir=contest.data_dir, scale=scale, seeds=seeds, out=folder, seed=seed)
    run = _Run(contest=contest, options=options, size=size, progress=progress)
    rows = run.all()
    return Comparison(rules=tuple(contest.rules), cells=tuple(contest.cells), rows=tuple(rows), out=folder)


def _rules(rules: Any, files: Sequence[Path]) -> dict[str, Contender]:
    if isinstance(rules, Mapping):
        wrong = [name for name, one in rules.items() if not isinstance(one, Contender)]
        if wrong or not rules:
            raise OutOfRangeError(f"`rules` must hold Contenders by name, but {wrong or rules} is none")
        return dict(rules)
    known = contenders(files)
    found = {name: known[name] for name in chosen("RULES", list(rules), known)}
    if not found:
        raise OutOfRangeError("`rules` must name a rule or more, but names none")
    return found


def _cells(cells: Any, files: Sequence[Path]) -> dict[str, Cell]:
    if isinstance(cells, Mapping):
        found = {str(name): Cell.of(one) for name, one in cells.items()}
    else:
        known = compared_cells(files)
        found = dict(cell_named(one, known) for one in cells)
    if not found:
        raise OutOfRangeError("`cells` must name a cell or more, but names none")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    contest: Contest
    options: Options
    size: Mapping[str, int]
    progress: Callable[[float, str], None]

    def all(self) -> list[Row]:
        """Search in rounds that depend on the rows before them, then the results; all rows of this comparison."""
        rounds = self.size["extensions"] + 1
        trials: list[Task] = []
        for number in range(rounds):
            trials = self._trials(self._of(trials))
            # A trial takes a third of the epochs; the shares only make the progress even.
            self._run(trials, 0.4 * number / rounds, 0.4 * (number + 1) / rounds)
        finals = self._finals(self._of(trials))
        self._run(finals, 0.4, 1.0)
        return self._of([*trials, *finals])

    def _of(self, tasks: Sequence[Task]) -> list[Row]:
        wanted = {task.id for task in tasks}
        path = self.options.out / NAME / "rows.jsonl"
        return [row for row in read_rows(path) if row.id in wanted] if path.exists() else []

    def _task(self, rule: str, cell: str, value: float, *, stage: str, seed: int) -> Task:
        contender = self.contest.rules[rule]
        params = {
            "rule": rule,
            "version": contender.version,
            "cell": cell,
            "digest": digest_of_cell(self.contest.cells[cell]),
            "axis": contender.axis,
            "value": value,
            "stage": stage,
            "epochs": self.size["trial" if stage == "search" else "epochs"],
            "network": self.contest.network.name,
            "n_train": self.contest.n_train,
            "data": self.options.data,
            "scale": self.options.scale,
        }
        return Task(experiment=NAME, params=params, seed=seed)

    def _each(self) -> list[tuple[str, str]]:
        return [(cell, rule) for cell in self.contest.cells for rule in self.contest.rules]

    def _trials(self, rows: Sequence[Row]) -> list[Task]:
        tasks = []
        for cell, rule in self._each():
            found = {one.params["value"]: _validation(one) for one in _those(rows, cell, rule)}
            values = ladder(self.contest.rules[rule].start, found, self.size["extensions"])
            tasks += [self._task(rule, cell, value, stage="search", seed=self.options.seed) for value in values]
        return tasks

    def _finals(self, rows: Sequence[Row]) -> list[Task]:
        tasks = []
        for cell, rule in self._each():
            # Of equally good trials, the one with fewer pulses.
            best = max(_those(rows, cell, rule), key=lambda one: (_validation(one), -one.result["n_pulses"][-1]))
            tasks += [
                self._task(rule, cell, best.params["value"], stage="final", seed=self.options.seed + number)
                for number in range(self.options.seeds)
            ]
        return tasks

    def _run(self, tasks: Sequence[Task], begin: float, end: float) -> None:
        experiment = replace(
            COMPARISON, tasks=lambda options: tasks, run=lambda task, context: train(self.contest, task, context)
        )
        run_experiment(experiment, self.options, lambda part, text: self.progress(begin + (end - begin) * part, text))


def _those(rows: Sequence[Row], cell: str, rule: str) -> list[Row]:
    return [row for row in rows if row.params["cell"] == cell and row.params["rule"] == rule]


def _validation(row: Row) -> float:
    return float(row.result["validation"][-1] / row.result["n_validation"])

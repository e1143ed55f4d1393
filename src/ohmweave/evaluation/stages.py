"""The stages of an evaluation as tasks with one row each, and the run of a task."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ohmweave.cells import Cell
from ohmweave.data import Dataset
from ohmweave.evaluation.bench import Bench, Made
from ohmweave.evaluation.effort import Effort
from ohmweave.evaluation.learning import drop_checkpoints
from ohmweave.evaluation.networks import Network, fresh, kept, n_correct, train
from ohmweave.evaluation.search import PROPERTY_SEARCH, ROUNDS, best, best_on_equal_steps, retried, tried
from ohmweave.evaluation.subject import Subject
from ohmweave.evaluation.ways import IN_SITU, SOFTWARE, TRANSFER, inference_energy, make
from ohmweave.evaluation.without import FINER, PERFECT, without
from ohmweave.experiments import JSON, Context, Options, Row, Task

NAME = "evaluate/cell"
CELL = "cell"
"""The stage whose one row keeps what the cell file says."""
_OF_THE_CELL = ("did not converge", "has sent no pulse", "of the weights of")
"""Words of the warnings of writes and rules."""
_SEARCH_SEED = 1_000  # chips of the search are others than those of the results


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is evaluated.

    Attributes:
        subject: the cell.
        network: the network.
        effort: the size.
        wait: s, between the last write and the test.
    """

    subject: Subject
    network: Network
    effort: Effort
    wait: float

    def params(self, options: Options) -> dict[str, JSON]:
        """The params that all tasks share."""
        return {
            "data": options.data,
            "scale": options.scale,
            "seeds": options.seeds,
            "network": self.network.name,
            "cell": self.subject.digest,
            "effort": asdict(self.effort),
            "wait": self.wait,
        }

    def task(self, options: Options, seed: int, **more: JSON) -> Task:
        """A task of the evaluation."""
        return Task(experiment=NAME, params={**self.params(options), **more}, seed=seed)


Stage = Callable[[Question, Options, Sequence[Row]], list[Task]]


def cell_stage(question: Question, options: Options, rows: Sequence[Row]) -> list[Task]:
    """What the cell file says, so that the page has it from the rows alone."""
    del rows
    return [question.task(options, options.seed, stage=CELL, way=CELL)]


def software_stage(question: Question, options: Options, rows: Sequence[Row]) -> list[Task]:
    """The networks in software. That of the first seed is the one of all chips."""
    del rows
    return [
        question.task(options, options.seed + i, stage="software", way=SOFTWARE)
        for i in range(question.effort.networks)
    ]


def search_stage(number: int) -> Stage:
    """Round `number` of the search; only rows of this and of earlier rounds decide what is tried."""
    _, trials_of, grows = ROUNDS[number]

    def stage(question: Question, options: Options, rows: Sequence[Row]) -> list[Task]:
        last = number if grows else number - 1
        known = [row for row in rows if row.params["stage"] == "search" and row.params["round"] <= last]
        return [
            question.task(
                options, options.seed, stage="search", way=trial.way, round=number, setting=dict(trial.setting)
            )
            for trial in trials_of(known, question.effort)
        ]

    return stage


def fitted_stage(way: str) -> Stage:
    """A way with its best setting, on chips of the fitted cell."""

    def stage(question: Question, options: Options, rows: Sequence[Row]) -> list[Task]:
        return _on_cells(question, options, rows, way, range(1))

    return stage


def drawn_stage(way: str) -> Stage:
    """A way with its best setting, on chips of each drawn cell."""

    def stage(question: Question, options: Options, rows: Sequence[Row]) -> list[Task]:
        n_draws = question.effort.draws if question.subject.has_intervals else 0
        return _on_cells(question, options, rows, way, range(1, n_draws + 1))

    return stage


def _on_cells(question: Question, options: Options, rows: Sequence[Row], way: str, draws: range) -> list[Task]:
    if not draws:
        return []
    setting = dict(best(rows, way).setting)
    return [
        question.task(options, options.seed, stage="accuracy", way=way, draw=draw, setting=setting) for draw in draws
    ]


def property_search_stage(question: Question, options: Options, rows: Sequence[Row]) -> list[Task]:
    """Rates in situ for cells with smaller steps, on validation images: that of the whole cell and its neighbours."""
    return [
        question.task(options, options.seed, stage=PROPERTY_SEARCH, way=IN_SITU, without=name, setting=dict(setting))
        for name in FINER
        if name == PERFECT or has(question, name)
        for setting in retried(_of_whole_cell(rows, IN_SITU, name))
    ]


def property_stage(name: str) -> Stage:
    """Transfer and learning in situ on the cell without one property; no tasks if the cell does not have it."""

    def stage(question: Question, options: Options, rows: Sequence[Row]) -> list[Task]:
        if name != PERFECT and not has(question, name):
            return []
        tasks = []
        for way in (TRANSFER, IN_SITU):
            found = tried(rows, way, without=name)
            setting = dict(found[0].setting if found else _of_whole_cell(rows, way, name))
            tasks.append(question.task(options, options.seed, stage="property", way=way, without=name, setting=setting))
        return tasks

    return stage


def has(question: Question, name: str) -> bool:
    """True if the cell has the property `name`."""
    return without(question.subject.cell, name) is not None


def _of_whole_cell(rows: Sequence[Row], way: str, name: str) -> Mapping[str, Any]:
    """The setting of the whole cell, for the cell without the property `name`."""
    # A rule that lives on asymmetry would fail without it, which says nothing about the cell.
    chosen = best_on_equal_steps if name in ("asymmetry", PERFECT) else best
    return chosen(rows, way).setting


def run_task(question: Question, data: Dataset, task: Task, context: Context) -> Mapping[str, JSON]:
    """Do one task: train, write, learn, and count right images: validation images in the search, test images else."""
    if task.params["stage"] == CELL:
        return question.subject.facts()
    if task.params["stage"] == "software":
        net = _software(question, task.seed, data, context)
        return {
            "n_correct": n_correct(net, data.test),
            "n_total": len(data.test),
            "n_validation": len(data.validation),
            "n_correct_validation": n_correct(net, data.validation),
        }
    bench = _bench(question, task, data, context)
    made, said = _made(bench, task)
    searching = task.params["stage"] in (PROPERTY_SEARCH, "search")
    split = data.validation if searching else data.test
    found: dict[str, JSON] = {
        "n_correct": n_correct(made.net, split),
        "n_total": len(split),
        **made.facts,
        "warnings": said,
    }
    if searching:
        found["n_pulses"] = (made.spent.n_set + made.spent.n_reset) / bench.n_chips
    if task.params["stage"] == "accuracy":
        found |= _spent(question.subject, made.spent, bench.n_chips)
        found["energy_inference"] = inference_energy(made, bench)
    drop_checkpoints(bench)
    return found


def _made(bench: Bench, task: Task) -> tuple[Made, list[str]]:
    """The network on chips, and the different warnings of its writes and rule, which belong to the row."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        made = make(task.params["way"], bench, task.params["setting"])
    # Torch gives some warnings once a process: in rows they would differ between a whole and a continued run.
    texts = dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, UserWarning))
    return made, [text for text in texts if any(words in text for words in _OF_THE_CELL)]


def _bench(question: Question, task: Task, data: Dataset, context: Context) -> Bench:
    params, effort, options = task.params, question.effort, context.options
    searching = params["stage"] in (PROPERTY_SEARCH, "search")
    n_chips = effort.search_chips if searching else options.seeds
    if params["stage"] == "property":
        n_chips = min(effort.property_chips, options.seeds)
    if params.get("draw"):
        n_chips = min(effort.draw_chips, options.seeds)
    return Bench(
        cell=_cell(question, params, options.seed),
        data=data,
        network=question.network,
        software=_software(question, options.seed, data, context),
        n_chips=n_chips,
        seed=task.seed + (_SEARCH_SEED if searching else 0),
        first=options.seed,
        epochs=effort.epochs,
        wait=question.wait,
        progress=context.progress,
        artifact=context.artifact,
        key=task.id,
    )


def _cell(question: Question, params: Mapping[str, Any], seed: int) -> Cell:
    name = params.get("without")
    if name is None:
        return question.subject.drawn(params.get("draw", 0), seed=seed)
    cell = without(question.subject.cell, name)
    assert cell is not None  # such tasks are not made
    return cell


def _software(question: Question, seed: int, data: Dataset, context: Context) -> torch.nn.Module:
    """The network trained in software; it is kept in the results folder, and read from there the next time."""
    effort = question.effort
    model = fresh(question.network, data, seed=seed)
    path: Path = context.artifact(
        f"{question.network.name}-{data.name}-{len(data.train)}-{effort.epochs}-{seed}.safetensors"
    )
    return kept(
        model,
        path,
        lambda model: train(model, data, epochs=effort.epochs, seed=seed, progress=context.progress),
    )


def pulse_prices(subject: Subject) -> tuple[float, float] | None:
    """J of a SET and of a RESET pulse; None if the file has no amplitudes and widths.

    V^2 g t with the amplitudes and widths that the cells were measured with, and g in the middle of the window. Ours:
    the current during a pulse is not in the file. Prices of other cells would be wrong by the ratio of conductances.
    """
    conditions = subject.about.get("conditions")
    names = ("v_set", "width_set", "v_reset", "width_reset")
    if isinstance(conditions, dict) and all(isinstance(conditions.get(name), float | int) for name in names):
        g = (subject.cell.g_min + subject.cell.g_max) / 2
        up, down = (conditions[f"v_{sign}"] ** 2 * g * conditions[f"width_{sign}"] for sign in ("set", "reset"))
        return up, down
    return None


def _spent(subject: Subject, spent: Any, n_chips: int) -> dict[str, JSON]:
    prices = pulse_prices(subject)
    return {
        "n_pulses": (spent.n_set + spent.n_reset) / n_chips,
        "n_readouts": spent.n_readouts / n_chips,
        "n_reads": spent.n_reads / n_chips,
        "energy_pulses": None if prices is None else (spent.n_set * prices[0] + spent.n_reset * prices[1]) / n_chips,
    }

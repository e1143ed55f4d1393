"""`evaluate`: what a cell is worth in a network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ohmweave.base import OutOfRangeError, check_integer, check_non_negative
from ohmweave.cells import Cell
from ohmweave.data import Dataset
from ohmweave.evaluation.as_experiment import EVALUATION
from ohmweave.evaluation.effort import EFFORTS, Effort
from ohmweave.evaluation.networks import Progress, check_network, images, network_of
from ohmweave.evaluation.results import Evaluation
from ohmweave.evaluation.search import ROUNDS
from ohmweave.evaluation.stages import (
    NAME,
    Question,
    Stage,
    drawn_stage,
    fitted_stage,
    property_search_stage,
    property_stage,
    run_task,
    search_stage,
    software_stage,
)
from ohmweave.evaluation.subject import subject_of
from ohmweave.experiments import ExperimentError, Options, Row, read_rows, run_experiment

DATA = ("digits", "mnist")
DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A stage and its share of the time, roughly."""

    text: str
    stage: Stage
    weight: float


_STEPS: Sequence[_Step] = (
    _Step(text="software", stage=software_stage, weight=2),
    *(
        _Step(text=f"search, {text}", stage=search_stage(number), weight=8 if "rates" in text or "full" in text else 2)
        for number, (text, _, _) in enumerate(ROUNDS)
    ),
    _Step(text="accuracy", stage=fitted_stage, weight=4),
    _Step(text="search, rates without properties", stage=property_search_stage, weight=5),
    _Step(text="properties", stage=property_stage, weight=12),
    _Step(text="drawn cells", stage=drawn_stage, weight=12),
)


def evaluate(
    cell: Cell | str | Path,
    *,
    data: str = "digits",
    network: str | Path = "mlp",
    chips: int = 10,
    scale: str = "smoke",
    out: str | Path | None = None,
    seed: int = 0,
    wait: float = DAY,
    data_dir: str | Path | None = None,
    effort: Effort | None = None,
    progress: Progress = lambda fraction, text: None,
) -> Evaluation:
    """What a cell is worth: the accuracy of a network on chips of it, and what each of its properties costs.

    The network is trained in software, written with verify, trained with the errors of the write and written, tuned in
    situ, and learnt in situ. Settings are found on validation images by the search of `ohmweave.evaluation.search`; the
    test images are read once for each result. Finished tasks have rows in `out`, and the same call continues there.

    Args:
        cell: a cell file, as `ohmweave fit` writes it, or a cell. It must switch by identical pulses.
        data: "digits" or "mnist".
        network: "mlp", "cnn", or a file that defines `network(shape, n_classes)`.
        chips: chips of each result, 2 to 1,000.
        scale: "smoke", minutes, or "full".
        out: results folder; None is results/evaluate-CELL-NETWORK-DATA-SCALE.
        seed: of all random numbers, >= 0.
        wait: s, >= 0, between the last write and the test, for cells with retention.
        data_dir: folder of the data set's files; None as for `ohmweave.data.load`.
        effort: the size, in place of that of `scale`.
        progress: called with the fraction that is done and a text.

    Returns:
        The results; `str()` is a table, `.rows` are the rows.

    Raises:
        OutOfRangeError: an argument is out of range.
        DataError: the cell file or the data set cannot be read.
        ExperimentError: `out` holds the rows of another evaluation.
        UnplaceableLayerError: the network has layers that cannot be placed on a chip.

    Valid for: ideal wires and converters; what they cost is not in the results. Source: ours.
    """
    if data not in DATA:
        raise OutOfRangeError(f"`data` must be one of {', '.join(DATA)}, but is {data!r}")
    if scale not in EFFORTS:
        raise OutOfRangeError(f"`scale` must be one of {', '.join(EFFORTS)}, but is {scale!r}")
    check_integer("chips", chips, at_least=2, at_most=1_000)
    subject = subject_of(cell)
    question = Question(
        subject=subject,
        network=network_of(network),
        effort=effort or EFFORTS[scale],
        wait=check_non_negative("wait", wait, "s"),
    )
    folder = Path(out) if out is not None else _folder(subject.name, question.network.name, data, scale)
    options = Options(
        data=data,
        data_dir=None if data_dir is None else Path(data_dir),
        scale=scale,
        seeds=chips,
        out=folder,
        seed=seed,
    )
    dataset = images(data, data_dir=options.data_dir, n_train=question.effort.n_train)
    check_network(question.network, dataset)
    _check_folder(question, options)
    _run(question, dataset, options, progress)
    return Evaluation.of(question, options, _rows(question, options))


def _folder(cell: str, network: str, data: str, scale: str) -> Path:
    return Path("results") / f"evaluate-{cell}-{network}-{data}-{scale}"


def _all_rows(options: Options) -> list[Row]:
    return read_rows(options.out / NAME / "rows.jsonl")


def _rows(question: Question, options: Options) -> list[Row]:
    """The rows of this evaluation."""
    wanted = question.params(options)
    return [row for row in _all_rows(options) if all(row.params.get(name) == wanted[name] for name in wanted)]


def _check_folder(question: Question, options: Options) -> None:
    """Refuse a folder with rows of another evaluation: its tables would mix them."""
    wanted = question.params(options)
    for row in _all_rows(options):
        other = [name for name in wanted if row.params.get(name) != wanted[name]]
        if other:
            raise ExperimentError(
                f"`out` (`--out`) must be a new folder or one of the same evaluation, but {options.out} has rows with "
                f"another {' and '.join(other)}"
            )


def _run(question: Question, dataset: Dataset, options: Options, progress: Progress) -> None:
    """All stages in order; each makes its tasks from the rows of those before."""
    progress = _forward(progress)
    total, done = sum(step.weight for step in _STEPS), 0.0
    for step in _STEPS:
        report = _part(progress, done / total, step.weight / total, step.text)
        n_before = -1
        while (n_now := len(_rows(question, options))) > n_before:  # a round of the search may grow with its rows
            n_before = n_now
            tasks = step.stage(question, options, _rows(question, options))
            experiment = replace(
                EVALUATION,
                tasks=lambda options, tasks=tasks: tasks,  # type: ignore[misc]
                run=lambda task, context: run_task(question, dataset, task, context),
            )
            run_experiment(experiment, options, report)
        done += step.weight
    progress(1.0, "done")


def _part(progress: Progress, start: float, share: float, text: str) -> Callable[[float, str], None]:
    return lambda fraction, detail: progress(start + share * fraction, f"{text}: {_short(detail)}")


def _forward(progress: Progress) -> Progress:
    """`progress` that never goes back: a round that grows has more tasks than it had before."""
    highest = 0.0

    def forward(fraction: float, text: str) -> None:
        nonlocal highest
        highest = max(highest, fraction)
        progress(highest, text)

    return forward


def _short(detail: str) -> str:
    """What a task does, without the params that all tasks share."""
    if ", stage=" not in detail:
        return detail
    return detail.partition(", stage=")[2].partition(", way=")[2]

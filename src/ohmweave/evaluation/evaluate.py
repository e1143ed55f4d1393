"""`evaluate`: what a cell is worth in a network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ohmweave.base import DataError, OutOfRangeError, check_integer, check_non_negative
from ohmweave.cells import Cell
from ohmweave.data import Dataset
from ohmweave.evaluation.as_experiment import EVALUATION
from ohmweave.evaluation.course import steps_of
from ohmweave.evaluation.effort import EFFORTS, Effort
from ohmweave.evaluation.networks import check_network, images, network_of
from ohmweave.evaluation.results import Evaluation
from ohmweave.evaluation.search import declared
from ohmweave.evaluation.stages import NAME, Question, run_task
from ohmweave.evaluation.subject import Subject, subject_of
from ohmweave.evaluation.tables import result_lines
from ohmweave.experiments import ExperimentError, Options, Row, read_rows, run_experiment
from ohmweave.explore.training import Progress

DATA = ("digits", "mnist")
DAY = 86_400.0


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
    anyway: bool = False,
    progress: Progress = lambda fraction, text: None,
    told: Callable[[str], None] = lambda line: None,
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
        anyway: evaluate a cell whose file says that no law describes its data; such a cell is refused otherwise.
        progress: called with the fraction that is done and a text.
        told: called with lines of text: what the cell file says, what the search tries, then each result as soon as it
            is there.

    Returns:
        The results; `str()` is a table, `.rows` are the rows.

    Raises:
        OutOfRangeError: an argument is out of range, or the cell has no steps (`TwoState`).
        DataError: the cell file or the data set cannot be read, or the file says that no law describes its data.
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
    for line in subject.heading():
        told(f"cell: {line}")
    _check_verdict(subject, anyway=anyway)
    for line in declared():
        told(f"search, on validation images: {line}")
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
    _run(question, dataset, options, progress, told)
    return Evaluation.of(options, _rows(question, options))


def _check_verdict(subject: Subject, *, anyway: bool) -> None:
    """Refuse a cell of which its own file says that it is not the measured one."""
    if subject.verdict is not None and not subject.verdict.describes and not anyway:
        raise DataError(
            f"`cell`: {subject.name} says that {subject.verdict}. Networks on this law may be better or worse than on "
            "the measured cells. Look at the figure that `ohmweave fit` drew and at its notes, fit again (another "
            "window with --g-min and --g-max, another law with --law, trains of one amplitude), or evaluate the law as "
            "it is with `--anyway` (`anyway=True`)"
        )


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


def _run(
    question: Question, dataset: Dataset, options: Options, progress: Progress, told: Callable[[str], None]
) -> None:
    """All steps in order; each makes its tasks from the rows of those before. New results are told after each."""
    progress = _forward(progress)
    steps = steps_of(question)
    total, done = sum(step.weight for step in steps), 0.0
    lines: dict[str, str] = {}
    for step in steps:
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
        now = result_lines(_rows(question, options))
        for key, line in now.items():
            if key not in lines:
                told(line)
        lines = now
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

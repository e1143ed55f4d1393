"""The user's options, the tasks of an experiment, and the row that is the result of each task."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from ohmweave.base.checks import check_integer
from ohmweave.base.errors import ExperimentError
from ohmweave.base.fields import check_fields
from ohmweave.experiments.values import JSON, canonical, plain

SCALES = ("smoke", "full")

CHECK = "check"
"""Key of the digest in a line of a rows file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices of a run that are not physics.

    Attributes:
        data: name of the data set.
        data_dir: folder with its files; None searches OHMWEAVE_DATA and the cache.
        scale: "smoke" (seconds to minutes, a check that everything works) or "full" (the paper's size).
        seeds: number of independent repetitions (mostly chips), >= 1.
        out: results folder.
        device: torch device of an experiment's tensors ("cpu", "cuda", "cuda:1"). An experiment raises for a device
            whose kind is not in its `Experiment.devices`.
        seed: first seed, >= 0; every random stream derives from it.
        threads: of torch in each task, >= 1. Rows computed in other numbers of threads differ in the last digits of
            sums, which chaotic training may amplify; each row records it.

    Raises:
        ExperimentError: `scale` is neither "smoke" nor "full".
        OutOfRangeError: `seeds`, `seed` or `threads` is too small or not an integer.
    """

    data: str = "digits"
    data_dir: Path | None = None
    scale: str = "smoke"
    seeds: int = 1
    out: Path = Path("results")
    device: str = "cpu"
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ExperimentError(f"`scale` must be one of {', '.join(SCALES)}, but is {self.scale!r}")
        check_integer("seeds", self.seeds, at_least=1)
        check_integer("seed", self.seed, at_least=0)
        check_integer("threads", self.threads, at_least=1, at_most=2**12)


def check_any_integer(name: str, value: Any) -> int:
    """`value` as an int. Raises `OutOfRangeError` unless it is an integer of at most 64 bits in magnitude."""
    return check_integer(name, value, at_least=-(2**64), at_most=2**64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work with one row as its result. It is not run again while that row exists.

    `params` has everything except the seed that changes the result. The names `data`, `scale` and `seeds` have a
    meaning outside of the experiment (see `ohmweave.experiments.scopes`).
    """

    experiment: str
    params: Mapping[str, JSON]
    seed: Annotated[int, check_any_integer]

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def id(self) -> str:
        """16 hex digits, the same for equal name, params and seed on any machine."""
        content = {"experiment": self.experiment, "params": self.params, "seed": self.seed}
        return hashlib.sha256(canonical(content, "task").encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of one task: counts and SI numbers, with the versions that computed them.

    Times are in the log, not here, so that equal tasks have equal rows, byte for byte.
    """

    id: str
    experiment: str
    params: Mapping[str, JSON]
    seed: Annotated[int, check_any_integer]
    result: Mapping[str, JSON]
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"Row({self.experiment} {self.id}: {params}, seed={self.seed})\n  result: {', '.join(self.result)}"

    def to_line(self) -> str:
        """The row as one line of canonical JSON, without the line end, with a digest of its content under "check"."""
        content = {
            "id": self.id,
            "experiment": self.experiment,
            "params": self.params,
            "seed": self.seed,
            "result": self.result,
            "versions": self.versions,
            "commit": self.commit,
        }
        return canonical(content | {CHECK: digest_of(content)}, "row")


def digest_of(content: Mapping[str, JSON]) -> str:
    """16 hex digits that change with anything in the content of a row: damage and edits are noticed by it."""
    return hashlib.sha256(canonical(content, "row").encode()).hexdigest()[:16]


def row_of(task: Task, result: Mapping[str, JSON], versions: Mapping[str, str], commit: str | None) -> Row:
    """The row of a finished task. Raises `ExperimentError` if `result` has no JSON form (NaN)."""
    return Row(
        id=task.id,
        experiment=task.experiment,
        params=plain(task.params, "params"),
        seed=task.seed,
        result=plain(result, "result"),
        versions=versions,
        commit=commit,
    )


def _ignore_progress(fraction: float, text: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The options and the progress report of a running task.

    Attributes:
        options: the user's options. Choices that change the result belong in `Task.params` instead.
        progress: `progress(fraction, text)`: the fraction of this task that is done, from 0 to 1, and what it computes.
    """

    options: Options
    progress: Callable[[float, str], None] = _ignore_progress

    def artifact(self, name: str) -> Path:
        """Path for a file beside the rows: `<out>/artifacts/<name>`; its folder exists afterwards.

        All experiments of a results folder share it, so that several can use one trained network. Put into `name`
        everything on which the content depends, and write with `atomic_write`.

        Raises:
            ExperimentError: `name` is empty, absolute or leads out of the folder.
        """
        inside = PurePosixPath(name)
        if not inside.parts or inside.is_absolute() or ".." in inside.parts:
            raise ExperimentError(f"`name` must be a relative path inside the artifacts folder, but is {name!r}")
        path = self.options.out / "artifacts" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

"""`study`: declare, check, run and continue a study of designs."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ohmweave.base import OhmweaveError, OutOfRangeError, check_integer
from ohmweave.experiments import (
    Experiment,
    Options,
    Row,
    Task,
    local_scheduler,
    n_workers,
    read_rows,
    run_distributed,
    run_experiment,
)
from ohmweave.explore.declared import Study, declare, read_study
from ohmweave.explore.design_learning import mapping_of
from ohmweave.explore.design_stages import NAME, Work, runner, task_of
from ohmweave.explore.exploration import Exploration
from ohmweave.explore.genetic_search import Search
from ohmweave.explore.keys import Stage
from ohmweave.explore.parts import Design
from ohmweave.explore.space import Point, points_of
from ohmweave.explore.study_networks import check_network, network_of
from ohmweave.explore.training import Progress

Say = Callable[[str], None]


def study(
    what: Study | str | os.PathLike[str] | Mapping[str, Any],
    *,
    settings: Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = lambda fraction, text: None,
    say: Say = lambda text: None,
) -> Exploration:
    """Explore a declared space of designs: accuracy, energy, latency and area of each, with the front marked.

    Everything is checked before the first network is trained. Finished work has rows in `out`, and the same call
    continues there; a study with more points in the same folder computes the new ones alone.

    Args:
        what: a study file, a `Study`, or the mapping of its table `[space]`.
        settings: the table `[study]`, with a mapping alone.
        out: results folder; None: results/explore-NAME.
        data_dir: folder with the files of data sets; None: as `ohmweave.data.load`.
        workers: processes on this machine; None: this process alone. Needs the extra `distributed`.
        scheduler: address of a running Dask scheduler, in place of `workers`.
        progress: called with the fraction that is done and a text.
        say: called with lines for the user, such as the expected duration.

    Returns:
        The designs and their figures; `str()` is a table, `write` makes files and a page.

    Raises:
        OutOfRangeError: a key or value is not one of a study, or a design cannot be built; nothing was computed then.
        DataError: a file cannot be read.
        ExperimentError: another run is writing to `out`, or Dask is not installed.

    Source: ours.
    """
    declared = _declared(what, settings)
    if workers is not None:
        check_integer("workers", workers, at_least=1, at_most=4_096)
        if scheduler is not None:
            raise OutOfRangeError("`workers` and `scheduler` must not both be given")
    folder = Path(out) if out is not None else Path("results") / f"explore-{declared.name}"
    work, points = checked(declared, data_dir=data_dir)
    options = Options(out=folder, seed=declared.seed, seeds=declared.chips, data_dir=work.data_dir)
    with ExitStack() as stack:
        if workers is not None:
            scheduler = stack.enter_context(local_scheduler(workers))
        run = _Run(study=declared, work=work, options=options, scheduler=scheduler, progress=progress, say=say)
        found = run.search() if points is None else run.all(points)
    return Exploration.of(declared, found, _rows(folder), folder, work)


def checked(study: Study, *, data_dir: str | os.PathLike[str] | None = None) -> tuple[Work, list[Point] | None]:
    """What all tasks of a study share, and its points, all of which can be built; None for a search.

    Args:
        study: as declared.
        data_dir: as in `study`.

    Raises:
        OutOfRangeError, DataError: as `study`.
    """
    work = Work.of(study, None if data_dir is None else Path(data_dir))
    points = None if study.method == "search" else points_of(study)
    check_designs(study, work, Search(study).first(20) if points is None else points)
    return work, points


def _declared(what: Any, settings: Mapping[str, Any] | None) -> Study:
    if isinstance(what, Mapping):
        return declare(what, settings=settings)
    if settings is not None:
        raise OutOfRangeError("`settings` must be given with a mapping alone: a file and a Study have their own")
    return what if isinstance(what, Study) else read_study(what)


def check_designs(study: Study, work: Work, points: Sequence[Point]) -> None:
    """Build the cell, write, converters and chip of every design, and place its network, before anything is computed.

    Raises:
        OutOfRangeError: a design cannot be built; the message says with which values.
        DataError: a file or data set cannot be read.
    """
    checked: set[tuple[Any, ...]] = set()
    for point in points:
        design = Design(values=point, files=study.files)
        for check, names in _CHECKS.items():
            key = (check, *(point[name] for name in names))
            if key in checked:
                continue
            checked.add(key)
            try:
                check(design, work)
            except OhmweaveError as error:
                values = ", ".join(f"{name} = {point[name]}" for name in names if name in study.typed)
                where = f" (at {values})" if values else ""
                raise type(error)(
                    f"`space` must have designs that can be built, but one cannot{where}: {error}"
                ) from error


def _check_network(design: Design, work: Work) -> None:
    data = work.dataset(design)
    for name, split in (("n_validation", data.validation), ("n_test", data.test), ("n_train", data.train)):
        if len(split) < 20:
            raise OutOfRangeError(f"`study.{name}` must leave 20 images or more, but leaves {len(split)}")
    check_network(design["network"], design.network_file, data)


def _check_parts(design: Design, work: Work) -> None:
    data = work.dataset(design)
    model = network_of(design["network"], design.network_file, data, seed=0)
    mapping = mapping_of(design, model) if design.in_situ else design.mapping
    window = design.cell.g_max - design.cell.g_min
    if not design.tolerance < window:
        raise OutOfRangeError(
            f"`space.tolerance` must be smaller than the window of the cell, {window:g} S, but is "
            f"{design.tolerance:g} S"
        )
    design.n_arrays(model, mapping)


def _check_converters(design: Design, work: Work) -> None:
    chip = design.chip(1, n_chips=2, seed=0, converters=True)
    design.prices(chip)


_CHECKS: Mapping[Callable[[Design, Work], None], tuple[str, ...]] = {
    _check_network: ("data", "network"),
    _check_parts: (
        "data", "network", "training", "cell", "rows", "cols", "lines", "levels", "copies", "tolerance", "rule",
    ),
    _check_converters: (
        "cell", "rows", "cols", "wire", "driver", "sense", "lines", "adc_bits", "columns_per_adc", "subtract",
        "dac_bits", "dac", "adc_design", "node", "cell_size",
    ),
}  # fmt: skip
"""What is checked of a design, and the keys that it depends on."""


def _no_tasks(options: Options) -> Sequence[Task]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A study in the making."""

    study: Study
    work: Work
    options: Options
    scheduler: str | None
    progress: Progress
    say: Say

    def all(self, points: Sequence[Point]) -> Sequence[Point]:
        """Compute all points: the first alone, for the expected time, and then stage by stage."""
        expected = self._expect(points)
        total, before = sum(expected.values()) or 1.0, 0.0
        for stage in Stage:
            share = expected.get(stage, 0.0) / total
            self._stage(stage, points, progress=self._part(stage, before, share))
            before += share
        self.progress(1.0, "done")
        return points

    def search(self) -> Sequence[Point]:
        """Compute points one after the other, as the search proposes them from the figures of those before."""
        search = Search(self.study)
        wanted = self.study.points or 0
        for number in range(wanted):
            point = search.propose()
            for stage in Stage:
                self._stage(stage, [point])
            search.tell(Exploration.of(self.study, [point], _rows(self.options.out), self.options.out, self.work))
            self.progress((number + 1) / wanted, f"point {number + 1} of {wanted}")
        return search.points

    def _tasks(self, stage: Stage, points: Sequence[Point]) -> list[Task]:
        """The tasks of a stage, each once."""
        tasks = (task_of(stage, point, self.work, self.study.seed) for point in points)
        return list({task.id: task for task in tasks}.values())

    def _expect(self, points: Sequence[Point]) -> dict[Stage, float]:
        """Run the first point, and say how long the rest will take if it goes on like this; seconds by stage."""
        done = {row.id for row in _rows(self.options.out)}
        seconds: dict[Stage, float] = {}
        text = []
        for stage in Stage:
            left = [task for task in self._tasks(stage, points) if task.id not in done]
            if left:
                start = time.monotonic()
                self._stage(stage, points, only=left[:1])
                each = time.monotonic() - start
                text.append(f"{len(left)} to {stage.name.lower()} at {each:.3g} s")
                seconds[stage] = each * (len(left) - 1)
        if text:
            n = 1 if self.scheduler is None else n_workers(self.scheduler)
            spread = f", on {n} processes" if n > 1 else ""
            self.say(
                f"{len(points)} designs: {'; '.join(text)}. About {_duration(sum(seconds.values()) / n)} to go{spread}"
                ", if the first design is typical"
            )
        return seconds

    def _stage(
        self,
        stage: Stage,
        points: Sequence[Point],
        *,
        only: Sequence[Task] | None = None,
        progress: Progress = lambda fraction, text: None,
    ) -> None:
        """Run the tasks of a stage that have no row, or those of `only`."""
        tasks = self._tasks(stage, points) if only is None else list(only)
        experiment = replace(_EMPTY, tasks=lambda options: tasks, run=runner(self.work))
        if self.scheduler is None or len(tasks) == 1:
            run_experiment(experiment, self.options, progress)
        else:
            run_distributed(experiment, self.options, progress, scheduler=self.scheduler)

    def _part(self, stage: Stage, before: float, share: float) -> Progress:
        """The progress of a stage as a part of the whole."""
        return lambda fraction, text: self.progress(
            min(before + share * fraction, 1.0), f"{stage.name.lower()}: {_short(text)}"
        )


_EMPTY = Experiment(
    name=NAME,
    title="A study of designs",
    paper="no paper: a declared space of designs",
    summary="Networks are trained, written to chips and read, for each design of a declared space.",
    claims=(),
    assumptions=(),
    tasks=_no_tasks,
    run=partial(lambda task, context: {}),
    data="digits",
)


def _rows(folder: Path) -> list[Row]:
    return read_rows(folder / NAME / "rows.jsonl")


def _short(text: str) -> str:
    """The first words of a task, whose params are many."""
    return text if len(text) < 60 else text[:57] + "..."


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7_200
        else f"{seconds / 3_600:.1f} h"
    )

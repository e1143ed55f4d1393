"""Schedules of layers and their replicas: when each job starts, and the latency and throughput that follow.

A machine is the arrays of one layer, or one replica of them. It does one job at a time. A job occupies one machine for
a duration and starts after the jobs that it needs.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from ohmweave.base import OutOfRangeError, check_fields, check_integer, integer, non_negative, positive, shown
from ohmweave.base.text import counted
from ohmweave.mapping.replication import replicas_within

MOST_JOBS = 2**18
"""Number of jobs or replicas that are planned within a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A piece of work for one machine.

    Attributes:
        name: for example the layer, "C1".
        machine: name of the machine.
        duration: s, > 0.
        image: index of the input that it belongs to.
        needs: jobs that must be done before, as indices into the sequence of jobs that is given to `schedule`.
    """

    name: str
    machine: str
    duration: Annotated[float, positive("s")]
    image: Annotated[int, integer(at_least=0)] = 0
    needs: tuple[Annotated[int, integer(at_least=0)], ...] = ()

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Jobs and their start times.

    Attributes:
        jobs: in order of priority.
        start: s, of each job.
    """

    def __repr__(self) -> str:
        """One line: jobs, images, machines and the time until all is done."""
        machines = len({job.machine for job in self.jobs})
        jobs, images = counted(len(self.jobs), "job"), counted(self.n_images, "image")
        return f"Schedule({jobs} of {images} on {counted(machines, 'machine')}, makespan {self.makespan:.4g} s)"

    jobs: tuple[Job, ...]
    start: tuple[Annotated[float, non_negative("s")], ...]

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if not self.jobs or len(self.start) != len(self.jobs):
            raise OutOfRangeError(
                f"`start` must have as many times as there are jobs, and one or more, but has {len(self.start)} for "
                f"{len(self.jobs)} jobs"
            )

    def _span(self, image: int) -> tuple[float, float]:
        mine = [(s, s + job.duration) for job, s in zip(self.jobs, self.start, strict=True) if job.image == image]
        return min(first for first, _ in mine), max(last for _, last in mine)

    @property
    def makespan(self) -> float:
        """End of the last job, s."""
        return max(start + job.duration for job, start in zip(self.jobs, self.start, strict=True))

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len({job.image for job in self.jobs})

    @property
    def latency(self) -> float:
        """Time from the start to the end of the first image, s, beside those that follow it.

        Images that follow take machines that the first one needs again: alone, in a schedule of one image, it is
        never slower.
        """
        first, last = self._span(min(job.image for job in self.jobs))
        return last - first

    @property
    def throughput(self) -> float:
        """Images in 1 s once the pipeline is full, 1/s: between the ends of the first and the last image.

        It is never more than the busiest machine can do: where layers share a machine, images may end close together
        because their work was put off.
        """
        ends = sorted(self._span(image)[1] for image in {job.image for job in self.jobs})
        span = ends[-1] - ends[0]
        if span <= 0:
            return 1 / self.makespan
        busiest = max(self.utilisation.values()) * self.makespan
        return min((len(ends) - 1) / span, len(ends) / busiest)

    @property
    def utilisation(self) -> dict[str, float]:
        """Fraction of the makespan in which each machine is busy, by machine."""
        busy: dict[str, float] = {}
        for job in self.jobs:
            busy[job.machine] = busy.get(job.machine, 0.0) + job.duration
        return {machine: time / self.makespan for machine, time in busy.items()}


def schedule(jobs: Sequence[Job]) -> Schedule:
    """Start each job as soon as its machine is free and the jobs that it needs are done.

    If several jobs could start on a machine, the first in the sequence does. Source: list scheduling, R. L. Graham,
    SIAM J. Appl. Math. 17, 416 (1969).

    Raises:
        OutOfRangeError: a duration is not > 0, `needs` is not an index of a job, or jobs need each other in a circle.
    """
    if isinstance(jobs, str) or not jobs or not all(isinstance(job, Job) for job in jobs):
        raise OutOfRangeError(f"`jobs` must be one or more jobs, but are {shown(jobs)}")
    return _Workshop(jobs).run()


class _Workshop:
    """The state of a schedule in the making: jobs that wait, ready jobs by machine, and running jobs."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.start = [0.0] * len(jobs)
        self.queues: dict[str, list[int]] = {job.machine: [] for job in jobs}
        self.idle = set(self.queues)
        self.running: list[tuple[float, int]] = []  # (end, job)
        self.waits_for = [len(set(job.needs)) for job in jobs]
        self.followers: list[list[int]] = [[] for _ in jobs]
        for index, job in enumerate(jobs):
            for need in set(job.needs):
                if not 0 <= need < len(jobs):
                    raise OutOfRangeError(f"`needs` must be positions from 0 to {len(jobs) - 1}, but has {need}")
                self.followers[need].append(index)
            if not job.needs:
                heapq.heappush(self.queues[job.machine], index)

    def run(self) -> Schedule:
        """Advance from the end of one job to the next until all are done."""
        now, n_done = 0.0, 0
        while n_done < len(self.jobs):
            self._start_all(now)
            if not self.running:
                raise OutOfRangeError("`jobs` must not need each other in a circle, but do")
            now = self.running[0][0]
            while self.running and self.running[0][0] <= now:
                self._finish(heapq.heappop(self.running)[1])
                n_done += 1
        return Schedule(jobs=tuple(self.jobs), start=tuple(self.start))

    def _start_all(self, now: float) -> None:
        for machine in [machine for machine in self.idle if self.queues[machine]]:
            index = heapq.heappop(self.queues[machine])
            self.start[index] = now
            self.idle.remove(machine)
            heapq.heappush(self.running, (now + self.jobs[index].duration, index))

    def _finish(self, index: int) -> None:
        self.idle.add(self.jobs[index].machine)
        for follower in self.followers[index]:
            self.waits_for[follower] -= 1
            if not self.waits_for[follower]:
                heapq.heappush(self.queues[self.jobs[follower].machine], follower)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One layer of a pipeline.

    Attributes:
        name: of the layer.
        duration: s, for one image on one replica.
        cells: number of cells of one replica.
    """

    name: str
    duration: Annotated[float, positive("s")]
    cells: Annotated[int, integer(at_least=1)]

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)


def check_stages(stages: Sequence[Stage]) -> None:
    """Raise `OutOfRangeError` unless `stages` are one or more stages with different names."""
    if isinstance(stages, str) or not stages or not all(isinstance(stage, Stage) for stage in stages):
        raise OutOfRangeError(f"`stages` must be one or more stages, but are {shown(stages)}")
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise OutOfRangeError(f"`stages` must have different names, but are {names}")


def balance(stages: Sequence[Stage], *, n_cells: int) -> dict[str, int]:
    """Numbers of replicas that make the slowest stage as fast as `n_cells` cells allow.

    The slowest stage gets one more replica, again and again, until no further replica of it fits. This is optimal: a
    faster pipeline needs at least as many replicas of every stage as were given so far, and one more of the slowest.

    Args:
        stages: the stages.
        n_cells: cells of the chip, for all replicas together.

    Returns:
        Number of replicas by name.

    Raises:
        OutOfRangeError: the chip has too few cells for one replica of each stage.
    """
    check_integer("n_cells", n_cells, at_least=1)
    check_stages(stages)
    smallest = min(stage.cells for stage in stages)
    if n_cells // smallest > MOST_JOBS:
        raise OutOfRangeError(
            f"`n_cells` must be <= {MOST_JOBS * smallest:,} for stages this small, but is {n_cells:,}"
        )
    left = n_cells - sum(stage.cells for stage in stages)
    if left < 0:
        raise OutOfRangeError(f"`n_cells` must be >= {n_cells - left}, one replica of each stage, but is {n_cells}")
    found = replicas_within([stage.duration for stage in stages], [stage.cells for stage in stages], n_cells)
    return {stage.name: n for stage, n in zip(stages, found, strict=True)}


def pipeline(stages: Sequence[Stage], replicas: Mapping[str, int], *, n_images: int) -> list[Job]:
    """Jobs that take `n_images` images through all stages in order.

    The work on an image is divided evenly among the replicas of a stage. All replicas of a stage need all of the stage
    before. An image may enter as soon as the first stage is free.

    Args:
        stages: in order.
        replicas: number of replicas by name; 1 for stages that are not in it.
        n_images: >= 1.

    Raises:
        OutOfRangeError: `n_images` or a number of replicas is not >= 1.
    """
    check_integer("n_images", n_images, at_least=1)
    check_stages(stages)
    if not isinstance(replicas, Mapping):
        raise OutOfRangeError(f"`replicas` must be numbers by the name of a stage, but is {shown(replicas)}")
    if unknown := replicas.keys() - {stage.name for stage in stages}:
        raise OutOfRangeError(f"`replicas` must be of the stages {[one.name for one in stages]}, but has {unknown}")
    n_jobs = n_images * sum(check_integer("replicas", replicas.get(one.name, 1), at_least=1) for one in stages)
    if n_jobs > MOST_JOBS:
        raise OutOfRangeError(f"`n_images` and `replicas` must make at most {MOST_JOBS:,} jobs, but make {n_jobs:,}")
    jobs: list[Job] = []
    for image in range(n_images):
        before: tuple[int, ...] = ()
        for stage in stages:
            n = int(replicas.get(stage.name, 1))
            shares = [
                Job(
                    name=stage.name,
                    machine=f"{stage.name}.{copy + 1}" if n > 1 else stage.name,
                    duration=stage.duration / n,
                    image=image,
                    needs=before,
                )
                for copy in range(n)
            ]
            before = tuple(range(len(jobs), len(jobs) + n))
            jobs += shares
    return jobs

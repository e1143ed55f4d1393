"""Schedules: which machine does what when; replicas, pipelines, and the time that they save.

A machine does one job at a time: a layer's arrays, or a replica of them. A job keeps one machine busy for a duration
and starts after the jobs that it needs. Latency, throughput and utilisation follow from the finished schedule.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ohmweave.base import OutOfRangeError, check_integer, check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A piece of work for one machine.

    Attributes:
        name: what it is, "C1" say.
        machine: that does it.
        duration: s.
        image: which input it belongs to.
        needs: positions of the jobs that must be done before, in the sequence that holds this one.
    """

    name: str
    machine: str
    duration: float
    image: int = 0
    needs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Jobs and when each starts.

    Attributes:
        jobs: in the order in which machines prefer them.
        start: s, of each.
    """

    jobs: tuple[Job, ...]
    start: tuple[float, ...]

    def _span(self, image: int) -> tuple[float, float]:
        mine = [(s, s + job.duration) for job, s in zip(self.jobs, self.start, strict=True) if job.image == image]
        return min(first for first, _ in mine), max(last for _, last in mine)

    @property
    def makespan(self) -> float:
        """s, until all is done."""
        return max(start + job.duration for job, start in zip(self.jobs, self.start, strict=True))

    @property
    def n_images(self) -> int:
        """Inputs."""
        return len({job.image for job in self.jobs})

    @property
    def latency(self) -> float:
        """s, from the start to the end of the first image."""
        first, last = self._span(min(job.image for job in self.jobs))
        return last - first

    @property
    def throughput(self) -> float:
        """Images a second once the pipeline is full: between the ends of the first and the last image."""
        ends = sorted(self._span(image)[1] for image in {job.image for job in self.jobs})
        return 1 / self.makespan if len(ends) == 1 else (len(ends) - 1) / (ends[-1] - ends[0])

    @property
    def utilisation(self) -> dict[str, float]:
        """Fraction of the makespan that each machine works."""
        busy: dict[str, float] = {}
        for job in self.jobs:
            busy[job.machine] = busy.get(job.machine, 0.0) + job.duration
        return {machine: time / self.makespan for machine, time in busy.items()}


def schedule(jobs: Sequence[Job]) -> Schedule:
    """Start each job as soon as its machine is free and what it needs is done; of several, the first in the sequence.

    Raises:
        OutOfRangeError: a job lasts no time, needs one that is not there, or they need each other in a circle.
    """
    return _Workshop(jobs).run()


class _Workshop:
    """Jobs that wait for others, queues of ready ones by machine, and the jobs that run."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.start = [0.0] * len(jobs)
        self.queues: dict[str, list[int]] = {job.machine: [] for job in jobs}
        self.idle = set(self.queues)
        self.running: list[tuple[float, int]] = []  # (end, job)
        self.waits_for = [len(set(job.needs)) for job in jobs]
        self.followers: list[list[int]] = [[] for _ in jobs]
        for index, job in enumerate(jobs):
            check_positive("duration", job.duration, "s")
            for need in set(job.needs):
                if not 0 <= need < len(jobs):
                    raise OutOfRangeError(f"`needs` must be positions from 0 to {len(jobs) - 1}, but has {need}")
                self.followers[need].append(index)
            if not job.needs:
                heapq.heappush(self.queues[job.machine], index)

    def run(self) -> Schedule:
        """From the first job to the last."""
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
        duration: s, of one image on one replica.
        cells: of one replica: what another one costs.
    """

    name: str
    duration: float
    cells: int


def balance(stages: Sequence[Stage], *, n_cells: int) -> dict[str, int]:
    """Replicas of each stage that make the slowest as fast as `n_cells` cells allow.

    Always gives the slowest stage one more, until its replica does not fit. No stage's time can be lowered further
    without room for it, so with the slowest first this is the best bottleneck.

    Returns:
        Number of replicas by name.
    Raises:
        OutOfRangeError: not even one of each fits.
    """
    left = n_cells - sum(stage.cells for stage in stages)
    if left < 0:
        raise OutOfRangeError(f"`n_cells` must be >= {n_cells - left}, one replica of each stage, but is {n_cells}")
    replicas = {stage.name: 1 for stage in stages}
    while True:
        slowest = max(stages, key=lambda stage: stage.duration / replicas[stage.name])
        if slowest.cells > left:
            return replicas
        replicas[slowest.name] += 1
        left -= slowest.cells


def pipeline(stages: Sequence[Stage], replicas: Mapping[str, int], *, n_images: int) -> list[Job]:
    """Jobs of `n_images` through all stages in order, each cut evenly over the replicas of a stage.

    The replicas of a stage need all of the stage before; the next image enters as soon as the first stage is free.
    """
    check_integer("n_images", n_images, at_least=1)
    jobs: list[Job] = []
    for image in range(n_images):
        before: tuple[int, ...] = ()
        for stage in stages:
            n = replicas.get(stage.name, 1)
            check_integer("replicas", n, at_least=1)
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

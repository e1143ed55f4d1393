"""Schedules small enough to be drawn by hand, and what holds for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.base import OutOfRangeError
from ohmweave.cost import Job, Stage, balance, pipeline, schedule
from tests.helpers import assert_close

STAGES = (
    Stage(name="a", duration=6.0, cells=10),
    Stage(name="b", duration=3.0, cells=5),
    Stage(name="c", duration=1.0, cells=2),
)


def test_two_machines_by_hand() -> None:
    jobs = [
        Job(name="first", machine="m", duration=2.0),
        Job(name="second", machine="m", duration=1.0, image=1),
        Job(name="after first", machine="n", duration=4.0, needs=(0,)),
        Job(name="after both", machine="n", duration=1.0, image=1, needs=(0, 1)),
    ]
    done = schedule(jobs)
    assert done.start == (0.0, 2.0, 2.0, 6.0)
    assert done.makespan == 7.0
    assert done.latency == 6.0
    assert_close(done.utilisation["m"], 3 / 7, rtol=1e-12)
    # They end at 6 and 7 s, one a second, but machine n is busy for 5 s with two images.
    assert_close(done.throughput, 0.4, rtol=1e-12)


@given(st.lists(st.tuples(st.floats(0.1, 10.0), st.sampled_from("mno")), min_size=1, max_size=5), st.integers(1, 12))
def test_no_more_images_than_the_busiest_machine_can_do(layers: list[tuple[float, str]], n_images: int) -> None:
    jobs = [
        Job(name=str(k), machine=machine, duration=t, image=image, needs=(image * len(layers) + k - 1,) if k else ())
        for image in range(n_images)
        for k, (t, machine) in enumerate(layers)
    ]
    busiest = max(sum(t for t, machine in layers if machine == which) for which in "mno")
    assert schedule(jobs).throughput <= 1 / busiest * (1 + 1e-9)


def test_the_first_in_the_sequence_goes_first() -> None:
    jobs = [Job(name=name, machine="m", duration=1.0) for name in "abc"]
    assert schedule(jobs).start == (0.0, 1.0, 2.0)


def test_a_pipeline_is_as_fast_as_its_slowest_stage() -> None:
    done = schedule(pipeline(STAGES, {}, n_images=5))
    assert_close(done.latency, 10.0, rtol=1e-12)
    assert_close(done.throughput, 1 / 6, rtol=1e-12)
    assert_close(done.makespan, 10.0 + 4 * 6.0, rtol=1e-12)


def test_replicas_share_an_image() -> None:
    done = schedule(pipeline(STAGES, {"a": 3, "b": 2}, n_images=4))
    assert_close(done.latency, 2.0 + 1.5 + 1.0, rtol=1e-12)
    assert_close(done.throughput, 1 / 2, rtol=1e-12)
    assert set(done.utilisation) == {"a.1", "a.2", "a.3", "b.1", "b.2", "c"}


def test_balance_spends_cells_where_the_time_is() -> None:
    assert balance(STAGES, n_cells=17) == {"a": 1, "b": 1, "c": 1}
    assert balance(STAGES, n_cells=27) == {"a": 2, "b": 1, "c": 1}
    assert balance(STAGES, n_cells=42) == {"a": 3, "b": 2, "c": 1}


def test_balance_refuses_too_few_cells() -> None:
    with pytest.raises(OutOfRangeError, match="`n_cells` must be >= 17"):
        balance(STAGES, n_cells=16)


def test_jobs_in_a_circle_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="circle"):
        schedule(
            [Job(name="a", machine="m", duration=1.0, needs=(1,)), Job(name="b", machine="m", duration=1.0, needs=(0,))]
        )


def test_unknown_needs_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="`needs` must be positions from 0 to 0"):
        schedule([Job(name="a", machine="m", duration=1.0, needs=(1,))])
    with pytest.raises(OutOfRangeError, match="`duration` must be > 0 s"):
        schedule([Job(name="a", machine="m", duration=0.0)])


@st.composite
def some_jobs(draw: st.DrawFn) -> list[Job]:
    n = draw(st.integers(1, 25))
    return [
        Job(
            name=str(index),
            machine=draw(st.sampled_from("xyz")),
            duration=draw(st.integers(1, 9)),
            needs=tuple(draw(st.lists(st.integers(0, index - 1), max_size=3, unique=True))) if index else (),
        )
        for index in range(n)
    ]


@given(some_jobs())
def test_machines_do_one_thing_at_a_time_and_needs_are_kept(jobs: list[Job]) -> None:
    done = schedule(jobs)
    spans = [(start, start + job.duration) for job, start in zip(jobs, done.start, strict=True)]
    for index, job in enumerate(jobs):
        assert all(spans[need][1] <= spans[index][0] for need in job.needs)
        for other in range(index):
            if jobs[other].machine == job.machine:
                assert spans[other][1] <= spans[index][0] or spans[index][1] <= spans[other][0]
    assert done.makespan <= sum(job.duration for job in jobs)
    assert max(done.utilisation.values()) <= 1


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 20)), min_size=1, max_size=5), st.integers(0, 200))
def test_balance_uses_room_and_lowers_the_bottleneck(sizes: list[tuple[int, int]], more: int) -> None:
    stages = [Stage(name=str(i), duration=float(s), cells=c) for i, (s, c) in enumerate(sizes)]
    n_cells = sum(stage.cells for stage in stages) + more
    replicas = balance(stages, n_cells=n_cells)
    assert sum(stage.cells * replicas[stage.name] for stage in stages) <= n_cells
    slowest = max(stages, key=lambda stage: stage.duration / replicas[stage.name])
    assert sum(stage.cells * replicas[stage.name] for stage in stages) + slowest.cells > n_cells


def test_a_schedule_is_one_line() -> None:
    text = repr(schedule(pipeline(STAGES, {"a": 2}, n_images=3)))
    assert text.startswith("Schedule(12 jobs of 3 images on 4 machines, makespan ")
    assert "\n" not in text

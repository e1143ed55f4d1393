"""`yao2020/replication`: copies of a layer used for lower latency, or averaged for smaller write errors."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ohmweave.cost import Job, Schedule, Stage, balance, ledger, pipeline, schedule, yao2020_periphery
from ohmweave.data import Split
from ohmweave.experiments import (
    JSON,
    Assumption,
    AtLeast,
    Between,
    Claim,
    Context,
    Experiment,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    Within,
    mean_rate_of,
    nested_mean_rate_of,
    nested_rate_difference_of,
    register,
    value_of,
)
from ohmweave.mapping import FixedScaling
from ohmweave.nn import OnChip, calibrate_inputs, deploy
from ohmweave.papers.changes import OURS_NOW, TWO_SIDED
from ohmweave.papers.energy import BIT_SERIAL, gpu_energy
from ohmweave.papers.yao2020 import plan, system
from ohmweave.papers.yao2020.efficiency import MACS
from ohmweave.papers.yao2020.figures import result_of
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.papers.yao2020.plan import NEEDS
from ohmweave.plot import timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "yao2020/replication"
T_READ = 50e-9  # s. Paper.
N_BITS = 8  # intervals a read. Paper.
C1_ROWS, C1_COLS = 26, 26  # outputs of the first convolution
C3_ROWS, C3_COLS, C3_CHANNELS = 7, 7, 8  # outputs of the second; its input channels are presented one by one (paper)
FC_CHUNKS = 12  # of 16 inputs each (paper)
READS = {
    "C1": C1_ROWS * C1_COLS * N_BITS,
    "C3": C3_ROWS * C3_COLS * C3_CHANNELS * N_BITS,
    "FC": FC_CHUNKS * N_BITS,
}
"""One-bit reads of an image: 5,408, 3,136 and 96."""
CELLS = {"C1": 8 * 2 * 9, "C3": 8 * 12 * 2 * 9, "FC": 192 * 10 * 2}
N_CONVOLVERS = 3
N_TIMELINE = 4  # images drawn
N_BILLED = 100  # images whose energy is counted


def cut_image(n_convolvers: int) -> list[Job]:
    """One image over `n_convolvers` replicas of C1 and C3, row by row, then the last layer.

    Convolver k computes the k-th share of the output rows of each layer. A row of C3 needs the nine rows of C1 from
    which the three rows of S2 that its kernel covers are pooled, and other convolvers may have computed some of them.
    Rows near a border between shares are therefore computed first: neighbours wait for them.
    """
    jobs: list[Job] = []
    row_of: dict[int, int] = {}
    for convolver, rows in enumerate(_shares(C1_ROWS, n_convolvers)):
        for row in _outside_in(rows):
            row_of[row] = len(jobs)
            jobs.append(Job(name="C1", machine=f"convolver {convolver + 1}", duration=C1_COLS * N_BITS * T_READ))
    last = []
    for convolver, rows in enumerate(_shares(C3_ROWS, n_convolvers)):
        for row in rows:
            needs = tuple(row_of[r] for r in range(3 * row, min(3 * row + 9, C1_ROWS)))
            last.append(len(jobs))
            jobs.append(
                Job(
                    name="C3",
                    machine=f"convolver {convolver + 1}",
                    duration=C3_COLS * C3_CHANNELS * N_BITS * T_READ,
                    needs=needs,
                )
            )
    jobs.append(Job(name="FC", machine="last layer", duration=READS["FC"] * T_READ, needs=tuple(last)))
    return jobs


def _shares(n_rows: int, n: int) -> list[range]:
    """Output rows of each convolver, divided as in `ohmweave.nn.replicas.cut_convolution`."""
    bounds = [round(k * n_rows / n) for k in range(n + 1)]
    return [range(first, last) for first, last in itertools.pairwise(bounds)]


def _outside_in(rows: range) -> list[int]:
    """Rows in the order of their distance from the nearer border, from both ends in turn."""
    return sorted(rows, key=lambda row: min(row - rows.start, rows.stop - 1 - row))


def stages() -> tuple[Stage, ...]:
    """The layers as stages of a pipeline, each on its own arrays."""
    return tuple(Stage(name=name, duration=READS[name] * T_READ, cells=CELLS[name]) for name in READS)


def layer_pipeline(n_cells: int, n_images: int) -> tuple[dict[str, int], Schedule]:
    """Copies of each layer that balance the pipeline within `n_cells` cells, and its schedule for `n_images` images."""
    replicas = balance(stages(), n_cells=n_cells)
    return replicas, schedule(pipeline(stages(), replicas, n_images=n_images))


def tasks(options: Options) -> list[Task]:
    """One task."""
    return plan.tasks(NAME, options)


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Schedule copies that share the images; then write the same copies, average their currents, and count."""
    work = plan.workload(task, context)
    one, three = schedule(cut_image(1)), schedule(cut_image(N_CONVOLVERS))
    plain = schedule(pipeline(stages(), {}, n_images=16))
    n_cells = 8 * 2048
    replicas, balanced = layer_pipeline(n_cells, 16)
    averaged, images = {}, {}
    for copies in (1, N_CONVOLVERS):
        context.progress(0.4 if copies == 1 else 0.7, f"writing convolvers, copies of each: {copies}")
        averaged[str(copies)], images[str(copies)] = _with_copies(work.net, copies, work, work.data.test)
    return {
        "latency_one": one.latency,
        "latency_three": three.latency,
        "factor": one.latency / three.latency,
        "utilisation_three": three.utilisation,
        "reads": dict(READS),
        "replicas": replicas,
        "replicated_cells": sum(CELLS[name] * n for name, n in replicas.items()),
        "plain": _figures(plain),
        "balanced": _figures(balanced),
        "n_correct": averaged,
        "n_test": len(work.data.test),
        "image_energy": images,
    }


def _figures(done: Schedule) -> dict[str, JSON]:
    return {
        "latency": done.latency,
        "throughput": done.throughput,
        "utilisation": done.utilisation,
        "mean_utilisation": sum(done.utilisation.values()) / len(done.utilisation),
    }


def _with_copies(net: FiveLayerCNN, copies: int, work: plan.Workload, test: Split) -> tuple[list[int], float]:
    """Write every pair of the convolutions `copies` times, so that currents are averaged.

    Returns:
        Right answers of each chip; mean energy of an image (J) over the first `N_BILLED`.
    """
    chip = system.chips(work.n_chips, seed=work.seed, dac=BIT_SERIAL, device=work.device)
    mapping = replace(system.MAPPING, copies=(1, copies))
    kernel = OnChip(mapping=mapping, tile_rows=system.KERNEL_SLICE)
    layers = {"groups.0.c1": kernel, "groups.0.c3": kernel}
    on_chip = deploy(net, chip, write=system.WRITE, mapping=system.MAPPING, scaling=FixedScaling, layers=layers)
    with torch.no_grad():
        calibrate_inputs(on_chip, work.calibration_images)
    n_correct = system.count_correct(on_chip, test)
    images = test.images[:N_BILLED]
    with ledger(on_chip, costs=yao2020_periphery(), assumed=True) as bill, torch.no_grad():
        on_chip(images)
    return n_correct, bill.total(phase="inference") / (len(images) * work.n_chips)


def _draw_cut(rows: Sequence[Row]) -> "Figure | None":
    return timeline(schedule(cut_image(N_CONVOLVERS)), title="one image over three convolvers").get_figure(root=True)


def _draw_pipeline(rows: Sequence[Row]) -> "Figure | None":
    replicas: Mapping[str, int] = result_of(rows[-1])["replicas"]
    return timeline(
        schedule(pipeline(stages(), replicas, n_images=N_TIMELINE)), title=f"{N_TIMELINE} images, balanced replicas"
    ).get_figure(root=True)


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    found = result_of(rows[-1])
    lines: list[dict[str, object]] = [
        {"": "one convolver, one image", "latency, us": found["latency_one"] * 1e6},
        {"": "three convolvers, one image cut", "latency, us": found["latency_three"] * 1e6},
    ]
    for name, title in (("plain", "pipeline, one replica a layer"), ("balanced", "pipeline, balanced replicas")):
        lines.append(
            {
                "": title,
                "latency, us": round(found[name]["latency"] * 1e6, 1),
                "images/s": round(found[name]["throughput"]),
                "mean utilisation": f"{found[name]['mean_utilisation']:.0%}",
                "replicas": str(found["replicas"]) if name == "balanced" else "1 each",
            }
        )
    return lines


def _copies(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    for copies in (1, N_CONVOLVERS):
        accuracy = mean_rate_of(f"n_correct.{copies}", "n_test")(rows)
        energy = value_of(f"image_energy.{copies}")(rows)
        lines.append(
            {
                "copies averaged": copies,
                "test accuracy": None if accuracy is None else f"{100 * accuracy.value:.2f} %",
                "chips": None if accuracy is None else accuracy.n,
                "an image, nJ": None if energy is None else energy.value * 1e9,
                "V100, nJ": gpu_energy(sum(MACS.values())) * 1e9,
            }
        )
    return lines


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Replicated layers: lower latency, or averaged errors",
        paper=plan.PAPER,
        summary="An image cut over three convolvers, scheduled row by row with what each row needs; a pipeline whose "
        "replicas balance C1, C3 and the last layer within the eight arrays; and the same three copies used to "
        "average write errors instead.",
        claims=(
            Claim(
                key="factor",
                quantity="latency of an image with one convolver over three",
                unit="times",
                paper=3.0,
                where="main text: roughly a factor of 3",
                estimate=value_of("factor"),
                accept=Within(absolute=0.3),
                better="higher",
                note='"roughly" is read as within a tenth; from the schedule alone, no cell takes part',
                declared=TWO_SIDED,
            ),
            *(
                Claim(
                    key=f"reads-{name.lower()}",
                    quantity=f"one-bit reads of {name} an image",
                    unit="reads",
                    paper=None,
                    where="ours, by counting positions, channels and bits of the printed layers; not printed",
                    estimate=value_of(f"reads.{name}"),
                    accept=Between(n_reads, n_reads),
                    declared=OURS_NOW,
                )
                for name, n_reads in (("C1", 5408), ("C3", 3136), ("FC", 96))
            ),
            Claim(
                key="averaged",
                quantity="test accuracy after write-verify, three averaged copies of the convolvers",
                unit="1",
                paper=None,
                where="ours: the other use of the same cells",
                estimate=nested_mean_rate_of("n_correct.3", "n_test", by="seed", chips_of_one=True),
                accept=AtLeast(0.95),
                needs=NEEDS,
            ),
            Claim(
                key="averaging-gain",
                quantity="test accuracy won by averaging three copies",
                unit="1",
                paper=None,
                where="ours",
                estimate=nested_rate_difference_of(
                    "n_correct.3", "n_correct.1", "n_test", by="seed", chips_of_one=True
                ),
                accept=AtLeast(-0.002),
                needs=NEEDS,
            ),
        ),
        assumptions=(
            *plan.ASSUMPTIONS,
            Assumption(
                text="One read at a time on each convolver and on the last layer, 50 ns a one-bit read; pooling and "
                "moving data take no time.",
                source="ours; 50 ns and the order of channels from the paper",
            ),
        ),
        tasks=tasks,
        run=run,
        seeds=10,
        devices=("cpu", "cuda"),
        figures=(
            FigureSpec(
                name="cut",
                title="One image over three convolvers",
                caption="A bar a row of outputs; beside each machine its utilisation.",
                draw=_draw_cut,
            ),
            FigureSpec(
                name="pipeline",
                title="A balanced pipeline",
                caption="Replicas chosen within the cells of eight arrays; shades alternate with images.",
                draw=_draw_pipeline,
            ),
        ),
        tables=(
            TableSpec(name="schedules", title="Schedules", caption="From the schedules above.", rows=_table),
            TableSpec(
                name="copies",
                title="What averaging costs",
                caption=f"Means of the chips; energy as counted over at most {N_BILLED} test images, digital "
                "arithmetic left out; a V100 by its cited 100 GOPS/W.",
                rows=_copies,
            ),
        ),
    )
)

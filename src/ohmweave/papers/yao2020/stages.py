"""`yao2020/stages`: the accuracy at each stage: software, 15 levels, transferred, hybrid."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ohmweave.cost import Bill, ledger, yao2020_periphery
from ohmweave.experiments import (
    JSON,
    Assumption,
    Context,
    Experiment,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    register,
    select,
)
from ohmweave.nn import Deployed
from ohmweave.papers.energy import BIT_SERIAL, ENERGY_TABLE, MEASURING, billed, training_macs
from ohmweave.papers.yao2020 import figures, hybrid, plan, system
from ohmweave.papers.yao2020.efficiency import MACS
from ohmweave.papers.yao2020.figures import result_of
from ohmweave.papers.yao2020.stages_claims import CLAIMS, LEVEL, STAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "yao2020/stages"


def tasks(options: Options) -> list[Task]:
    """One task for each software network: as many as `seeds`, with five chips each.

    At full scale on MNIST there are as many again whose training stops at the paper's software accuracy.
    """
    n_chips = plan.chips_a_network(options)
    found = plan.tasks_by_network(NAME, options, options.seeds, chips=n_chips)
    if options.data == "mnist" and options.scale == "full":
        found += plan.tasks_by_network(NAME, options, options.seeds, chips=n_chips, stop_at=LEVEL)
    return found


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Take all chips through all stages."""
    work = plan.workload(task, context)
    chip = system.chips(work.n_chips, seed=task.seed, dac=BIT_SERIAL, device=work.device)
    software = {
        "software": system.count_correct(work.net, work.data.test),
        "levels": system.count_correct(system.quantised(work.net, chip), work.data.test),
    }
    # What no other phase covers is read to measure accuracy.
    with ledger(chip, costs=yao2020_periphery(), phase=MEASURING, assumed=True) as bill:
        context.progress(0.3, f"writing {work.n_chips} chips")
        with bill.phase("transfer"):
            net = system.transfer(work.net, chip, work.calibration_images)
        counted = _on_chip(net, work, bill, context)
        error = _error_spread(net, work.net)
    n_images = {phase: bill.usage[phase, "fc"].n_vectors for phase in ("training", "inference")}
    layers = list(MACS.values())
    n_macs = {"training": training_macs(layers, n_frozen=2), "inference": sum(layers)}
    return {
        **counted,
        "n_correct": software | counted["n_correct"],
        "n_test": len(work.data.test),
        "writing": {name: report.summary() for name, report in net.reports.items()},
        "error": error,
        "n_cells_taken": chip.n_taken,
        **billed(bill, n_images, n_macs=n_macs, n_chips=work.n_chips),
    }


def _on_chip(net: Deployed, work: plan.Workload, bill: Bill, context: Context) -> dict[str, Any]:
    """Count as transferred, tune the last layer, count again: the parts of a row that come of it."""
    test, train = work.data.test, work.data.train.take(min(10_000, len(work.data.train)))
    probe = work.data.validation.take(min(1_000, len(work.data.validation)))
    n_correct, train_correct = ({"transferred": system.count_correct(net, split)} for split in (test, train))
    curve: list[JSON] = [[0, system.count_correct(net, probe)]]

    def watch(n_done: int) -> None:
        if n_done % max(1, work.n_steps // 11) == 0:
            with bill.phase(MEASURING):
                curve.append([n_done, system.count_correct(net, probe)])

    with bill.phase("training"):
        n_written = hybrid.tune(
            net,
            work.batches(hybrid.BATCH, name="hybrid"),
            n_steps=work.n_steps,
            after=watch,
            progress=lambda fraction, text: context.progress(0.4 + 0.5 * fraction, text),
        )
    context.progress(0.9, "counting")
    with bill.phase("inference"):
        n_correct["hybrid"] = system.count_correct(net, test)
    train_correct["hybrid"] = system.count_correct(net, train)
    return {
        "n_correct": n_correct,
        "train_correct": train_correct,
        "n_train": len(train),
        "curve": curve,
        "n_probe": len(probe),
        "n_written": n_written,
    }


def _error_spread(net: Deployed, software: torch.nn.Module) -> dict[str, JSON]:
    """Standard deviation (S) of the convolver's conductances, as they are at the end, from their targets, by layer."""
    found: dict[str, JSON] = {}
    for layer in ("c1", "c3"):
        name = f"groups.0.{layer}"
        matrix = net.matrix(name)
        weight = software.get_parameter(f"{name}.weight").detach().flatten(1)
        target = matrix.mapping.to_conductance(
            weight, matrix.placement, g_per_w=matrix.g_per_w, array=matrix.chip.array
        )
        found[layer] = float((matrix.conductance() - target).double().std())
    return found


def _curve(rows: Sequence[Row]) -> "Figure | None":
    return figures.tuning_curve(rows)


def _bars(rows: Sequence[Row]) -> "Figure | None":
    return figures.stage_accuracies(select(rows, {"stop_at": LEVEL}) or rows, STAGES)


def _writing(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "layer": layer,
            "cells (all chips)": bill["n_cells"],
            "pulses a cell": round(bill["pulses_mean"], 2),
            "SET": bill["n_set"],
            "RESET": bill["n_reset"],
            "not converged": bill["n_failed"],
            "verified error, uS (std)": round(bill["error_std"] * 1e6, 3),
        }
        for row in rows
        for layer, bill in result_of(row)["writing"].items()
    ]


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Accuracy at every stage of the way onto the chip",
        paper=plan.PAPER,
        summary="A five-layer CNN is trained in software, rounded to 15 levels, written cell by cell with write-verify "
        "into eight arrays of 2,048 cells, and its last layer is tuned in situ for one epoch. Software networks "
        "are repeated, with five chips each; of a second set, whose training stops at the paper's software accuracy, "
        "the losses between stages can be compared with the paper's.",
        claims=CLAIMS,
        assumptions=(
            *plan.ASSUMPTIONS,
            hybrid.RATE,
            Assumption(
                text="Second set: training at a constant learning rate stops where the running mean of the weights "
                f"gets {LEVEL:.2%} of the validation images right. The test images are not used.",
                source="ours",
            ),
            Assumption(
                text="A step is split in halves over a pair and starts from the measured conductance.", source="ours"
            ),
        ),
        tasks=tasks,
        run=run,
        seeds=10,
        devices=("cpu", "cuda"),
        figures=(
            FigureSpec(
                name="stages",
                title="Accuracy by stage",
                caption="Test accuracy: bars are means over chips, points single chips, crosses the paper; the "
                "networks stopped at the paper's software accuracy, where there are any.",
                draw=_bars,
            ),
            FigureSpec(
                name="tuning",
                title="Hybrid training",
                caption="Accuracy on validation images while the last layer is tuned in situ; one line a chip.",
                draw=_curve,
            ),
        ),
        tables=(
            TableSpec(
                name="writing",
                title="The transfer, pulse by pulse",
                caption="Pulses and verified errors of writing the network, all chips together.",
                rows=_writing,
            ),
            ENERGY_TABLE,
        ),
    )
)

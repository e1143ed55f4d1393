"""`yao2020/efficiency`: the paper's macro from its parts, and the energy of an image on the demonstrated network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from ohmweave.cost import GOPS_PER_W_V100, Macro, ledger, yao2020_periphery
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
    value_of,
)
from ohmweave.nn import calibrate_inputs
from ohmweave.papers.energy import BIT_SERIAL, ENERGY_TABLE, billed
from ohmweave.papers.yao2020 import plan, system
from ohmweave.papers.yao2020.efficiency_claims import EFFICIENCY
from ohmweave.papers.yao2020.figures import result_of
from ohmweave.papers.yao2020.macro import DENSITY_V100, V_READ, bottom_up, heat, macro
from ohmweave.plot import waterfall
from ohmweave.report import behind, bill_records, bills_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "yao2020/efficiency"

N_IMAGES = 100
MACS = {"c1": 26 * 26 * 8 * 9, "c3": 7 * 7 * 12 * 72, "fc": 192 * 10}
"""Multiplications of an image: outputs x weights of an output."""


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Compute the macro's figures; write the demonstrated network to its eight arrays and bill some images."""
    work = plan.workload(task, context)
    chip = system.chips(work.n_chips, seed=task.seed, dac=BIT_SERIAL, device=work.device)
    context.progress(0.5, "writing the network")
    with ledger(chip, costs=yao2020_periphery(), phase="transfer", assumed=True) as bill:
        net = system.written(work.net, chip)
        with bill.phase("calibration"):
            calibrate_inputs(net, work.data.train.images[:200])
        images = work.data.test.images[: min(N_IMAGES, len(work.data.test))]
        with bill.phase("inference"), torch.no_grad():
            net(images)
    n = len(images) * work.n_chips
    spent = bill.by("phase")
    reads = {layer: usage.n_reads / n for (phase, layer), usage in bill.usage.items() if phase == "inference"}
    n_macs = sum(MACS.values())
    cells = torch.cat([chip.array.cells(placement).flatten() for placement in chip.placed.values()])
    printed, pairs = macro(), macro(ops_per_cell=1.0)
    g_mean = float(chip.array.readout(cells).double().mean())
    real = macro(heat_of_cells=heat(g_mean))
    image = spent["inference"] / n
    return {
        "macro": _figures(printed),
        "pairs": _figures(pairs),
        "real_cells": _figures(real),
        "bottom_up": _figures(bottom_up()),
        "parts": {part.name: part.read_energy for part in printed.parts},
        "sources": {part.name: part.source for part in printed.parts},
        "implied_g": printed.mean_conductance(printed.parts[1].read_energy, V_READ),
        "written_g": g_mean,
        "over_v100": printed.efficiency / GOPS_PER_W_V100,
        "over_v100_area": printed.density / DENSITY_V100,
        "image_energy": image,
        "image_efficiency": 2 * n_macs / image,
        "transfer_energy": spent["transfer"] / work.n_chips,
        "reads": reads,
        "share_of_cells": chip.n_taken / chip.n_cells,
        "share_of_rows": 9 / 16,
        "n_macs": n_macs,
        "n_images": len(images),
        **billed(bill, {"inference": n}, n_macs={"inference": n_macs}, n_chips=work.n_chips),
    }


def _figures(one: Macro) -> dict[str, JSON]:
    return {
        "read_energy": one.read_energy,
        "efficiency": one.efficiency,
        "throughput": one.throughput,
        "density": one.density,
    }


def _breakdown(rows: Sequence[Row]) -> "Figure | None":
    parts = {name: energy * 1e12 for name, energy in result_of(rows[-1])["parts"].items()}
    return waterfall(parts, ylabel="energy of a one-bit read (pJ)").get_figure(root=True)


def _image(rows: Sequence[Row]) -> "Figure | None":
    (bills,) = bills_of(rows)
    lines = [line for line in bill_records(bills) if line["phase"] == "inference"]
    parts: dict[str, float] = {}
    for line in lines:
        name = f"{line['layer'].rpartition('.')[2]}: {line['component'].split(',')[0]}"
        parts[name] = parts.get(name, 0.0) + line["image_energy"] * 1e9
    return waterfall(parts, ylabel=f"energy of an image (nJ), mean over {behind([bills])}").get_figure(root=True)


def _facts(rows: Sequence[Row]) -> list[dict[str, object]]:
    found = result_of(rows[-1])
    named = {
        "paper's macro: 2 operations a cell": found["macro"],
        "the same, 2 operations a differential weight": found["pairs"],
        "cells as written here, all inputs 1": found["real_cells"],
        "rest from ISAAC's circuits instead of the printed total": found["bottom_up"],
    }
    return [
        {
            "": name,
            "energy of a read, pJ": round(one["read_energy"] * 1e12, 2),
            "GOPS/W": round(one["efficiency"] / 1e9),
            "GOPS/mm2": round(one["density"] / 1e15, 1),
        }
        for name, one in named.items()
    ]


def _honest(rows: Sequence[Row]) -> list[dict[str, object]]:
    def mean(key: str) -> float:
        found = value_of(key)(rows)
        assert found is not None
        return found.value

    reads = {layer.rpartition(".")[2]: n for layer, n in result_of(rows[-1])["reads"].items()}
    image, efficiency, transfer = (mean(key) for key in ("image_energy", "image_efficiency", "transfer_energy"))
    return [
        {"what": "energy of an image, counted", "value": f"{image * 1e9:.1f} nJ"},
        {"what": "operations (2 a multiplication) a joule, the network", "value": f"{efficiency / 1e9:.0f} GOPS/W"},
        {"what": "against a V100's 100 GOPS/W", "value": f"{efficiency / GOPS_PER_W_V100:.1f} times"},
        {"what": "energy of writing the network once", "value": f"{transfer * 1e6:.2f} uJ"},
        {"what": "images whose energy equals one transfer", "value": f"{transfer / image:.1f}"},
        {
            "what": "one-bit reads an image (C1, C3, FC)",
            "value": ", ".join(f"{reads[layer]:.0f}" for layer in MACS),
        },
        {
            "what": "mean conductance that the printed array energy implies",
            "value": f"{mean('implied_g') * 1e6:.2f} uS",
        },
        {"what": "mean conductance of the cells as written", "value": f"{mean('written_g') * 1e6:.2f} uS"},
        {"what": "cells that the network uses", "value": f"{mean('share_of_cells'):.1%}"},
        {"what": "row lines that a convolution uses", "value": "9 of 16"},
    ]


def tasks(options: Options) -> list[Task]:
    """One task."""
    return plan.tasks(NAME, options)


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Energy and area of the macro, from its parts, and of an image",
        paper=plan.PAPER,
        summary="The 128 x 128 macro's throughput and density from its printed size, clock and area; its efficiency, "
        "which is an identity, because the rest of the energy is the printed total less the parts; what those figures "
        "imply; and the counted energy of the demonstrated network on its eight arrays.",
        claims=EFFICIENCY,
        assumptions=(
            Assumption(
                text="A read takes 371.89 pJ (printed). Of it the ADCs take 32 x 4 x 2.55 pJ and the cells 1/14.4 of "
                "that (both printed); the rest, 22.8 pJ, is the difference, so that the sum is the printed total by "
                "construction; its split is not printed.",
                source="paper, Methods",
            ),
            Assumption(
                text="An operation is a multiplication or an addition, and every cell is a weight: 2 x 128 x 128 for "
                "a product of 8 one-bit reads. A signed weight takes two cells.",
                source="paper's figures follow from it",
            ),
            Assumption(
                text="An image on the eight arrays: 8-bit inputs sent bit by bit, every sensed line converted in every "
                "interval, drivers and sample-and-hold as the macro's rest by column, shift-and-add as ISAAC's; "
                "pooling, activation and buffers left out, as in the paper.",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        devices=("cpu", "cuda"),
        figures=(
            FigureSpec(name="macro", title="A one-bit read", caption="The macro's parts.", draw=_breakdown),
            FigureSpec(
                name="image",
                title="An image",
                caption="Counted energy of an image by layer and component.",
                draw=_image,
            ),
        ),
        tables=(
            TableSpec(
                name="figures",
                title="The macro's figures under other assumptions",
                caption="Peak figures: all cells used, no pause.",
                rows=_facts,
            ),
            TableSpec(name="honest", title="The demonstrated network", caption="Counted.", rows=_honest),
            ENERGY_TABLE,
        ),
    )
)

"""`yao2020/efficiency`: the paper's macro from its parts, and the energy of an image on the demonstrated network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from ohmweave.cost import GOPS_PER_W_V100, Macro, Part, isaac2016, ledger, yao2020_periphery
from ohmweave.experiments import (
    JSON,
    Assumption,
    Claim,
    Context,
    Estimate,
    Experiment,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    Within,
    register,
    value_of,
)
from ohmweave.nn import calibrate
from ohmweave.papers.energy import BIT_SERIAL, ENERGY_TABLE, billed
from ohmweave.papers.yao2020 import plan, system
from ohmweave.papers.yao2020.figures import result_of
from ohmweave.plot import waterfall
from ohmweave.report import behind, bill_records, bills_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "yao2020/efficiency"

READ_ENERGY = 371.89e-12  # J a one-bit read of the macro. Paper, Methods.
T_READ = 50e-9  # s. Paper.
AREA = 63_801.94e-12 / 0.9069  # m2: the printed area of a block and its printed share. Paper, Methods.
N_ADC, N_CONVERSIONS, ADC_ENERGY = 32, 4, 2.55e-12  # a macro; a read and ADC; J. Paper.
ADC_OVER_CELLS = 14.4  # energy of the converters over that of the cells. Paper.
V_READ = 0.2  # V. Paper.
LEVEL_MIDDLE = 11.25e-6  # S, middle of the eight levels from 2.5 to 20 uS. Paper.
DENSITY_V100 = 37e15  # operations a second and m2: 37 GOPS/mm2. As GOPS_PER_W_V100.
N_IMAGES = 100
MACS = {"c1": 26 * 26 * 8 * 9, "c3": 7 * 7 * 12 * 72, "fc": 192 * 10}
"""Multiplications of an image: outputs x weights of an output."""


def macro(*, heat_of_cells: float | None = None, ops_per_cell: float = 2.0) -> Macro:
    """The 128 x 128 macro of the paper.

    Args:
        heat_of_cells: J of a one-bit read in the cells; None is the figure that the paper implies.
        ops_per_cell: operations counted for a cell in a read: 2 in the paper, 1 for pairs of cells.
    """
    converters = Part(name="ADC", n_uses=N_ADC * N_CONVERSIONS, energy=ADC_ENERGY, source="paper: 32 x 4 x 2.55 pJ")
    printed = converters.read_energy / ADC_OVER_CELLS
    rest = READ_ENERGY - converters.read_energy - printed
    return Macro(
        rows=128,
        cols=128,
        input_bits=8,
        t_read=T_READ,
        area=AREA,
        ops_per_cell=ops_per_cell,
        parts=(
            converters,
            Part(
                name="cells",
                n_uses=1,
                energy=printed if heat_of_cells is None else heat_of_cells,
                source="paper: the ADCs take 14.4 times as much" if heat_of_cells is None else "V^2 g t",
            ),
            Part(
                name="drivers, multiplexers, control, sample-and-hold",
                n_uses=1,
                energy=rest,
                source="printed total of 371.89 pJ less the two above; its split is not printed",
            ),
        ),
    )


def bottom_up() -> Macro:
    """The same macro with drivers and sample-and-hold priced by ISAAC, instead of the rest of the printed total."""
    ours, isaac = macro(), {part.name: part for part in isaac2016().components}
    parts = (
        *ours.parts[:2],
        Part(name="drivers", n_uses=128, energy=isaac["drivers"].energy, source=isaac["drivers"].source),
        Part(
            name="sample-and-hold", n_uses=128, energy=isaac["sample-and-hold"].energy, source=isaac["drivers"].source
        ),
    )
    return Macro(rows=128, cols=128, input_bits=8, t_read=T_READ, area=AREA, parts=parts)


def heat(g_mean: float, *, active: float = 1.0) -> float:
    """Heat (J) of a one-bit read, V^2 g t, if all cells have `g_mean` (S) and the fraction `active` of rows is on."""
    return 128 * 128 * active * V_READ**2 * g_mean * T_READ


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Compute the macro's figures; write the demonstrated network to its eight arrays and bill some images."""
    work = plan.workload(task, context)
    chip = system.chips(work.n_chips, seed=task.seed, dac=BIT_SERIAL, device=work.device)
    context.progress(0.5, "writing the network")
    with ledger(chip, costs=yao2020_periphery(), phase="transfer") as bill:
        net = system.written(work.net, chip)
        with bill.phase("calibration"):
            calibrate(net, work.data.train.images[:200])
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


def _claim(key: str, quantity: str, unit: str, paper: float, result: str, *, per_unit: float = 1.0) -> Claim:
    """A claim within 0.5 %. Rows hold SI units; `per_unit` is the claim's unit in SI units."""

    def estimate(rows: Sequence[Row]) -> Estimate | None:
        found = value_of(result)(rows)
        return None if found is None else Estimate(value=found.value / per_unit)

    return Claim(
        key=key,
        quantity=quantity,
        unit=unit,
        paper=paper,
        where="main text and Methods",
        estimate=estimate,
        accept=Within(absolute=0.005 * paper),
    )


def _breakdown(rows: Sequence[Row]) -> "Figure | None":
    parts = result_of(rows[-1])["parts"]
    return waterfall({name: energy * 1e12 for name, energy in parts.items()}, ylabel="energy of a one-bit read (pJ)")


def _image(rows: Sequence[Row]) -> "Figure | None":
    (bills,) = bills_of(rows)
    lines = [line for line in bill_records(bills) if line["phase"] == "inference"]
    parts: dict[str, float] = {}
    for line in lines:
        name = f"{line['layer'].rpartition('.')[2]}: {line['component'].split(',')[0]}"
        parts[name] = parts.get(name, 0.0) + line["image_energy"] * 1e9
    return waterfall(parts, ylabel=f"energy of an image (nJ), mean over {behind([bills])}")


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
        summary="The 128 x 128 macro's efficiency, density and throughput from the printed parts; what those figures "
        "imply; and the counted energy of the demonstrated network on its eight arrays.",
        claims=(
            _claim("efficiency", "energy efficiency of the macro", "GOPS/W", 11_014, "macro.efficiency", per_unit=1e9),
            _claim("density", "performance density of the macro", "GOPS/mm2", 1_164, "macro.density", per_unit=1e15),
            _claim("throughput", "throughput of the macro", "GOPS", 81.92, "macro.throughput", per_unit=1e9),
            _claim("adc", "energy of the ADCs in a read", "J", 326.4e-12, "parts.ADC"),
            _claim("cells", "energy of the cells in a read", "J", 22.67e-12, "parts.cells"),
            _claim("v100", "efficiency over a Tesla V100's", "times", 110.0, "over_v100"),
        ),
        assumptions=(
            Assumption(
                text="A read takes 371.89 pJ (printed). Of it the ADCs take 32 x 4 x 2.55 pJ and the cells 1/14.4 of "
                "that (both printed); the rest, 22.8 pJ, is a difference, and its split is not printed.",
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

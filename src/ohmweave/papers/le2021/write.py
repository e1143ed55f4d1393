"""`le2021/write`: incremental-amplitude and fixed-voltage tuning of two chips to 2 bits a cell."""

from collections.abc import Mapping, Sequence

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.experiments import JSON, Context, Experiment, Options, Row, TableSpec, Task, mean_interval, register
from ohmweave.papers.le2021 import plan
from ohmweave.papers.le2021.claims import CLAIMS

NAME = "le2021/write"
SCHEMES = ("incremental", "fixed")


def tasks(options: Options) -> list[Task]:
    """One task a scheme and a seed."""
    params = {"scale": options.scale, "seeds": options.seeds}
    return [
        Task(experiment=NAME, params={**params, "scheme": scheme}, seed=options.seed + k)
        for scheme in SCHEMES
        for k in range(options.seeds)
    ]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Write half of the cells on each chip, a quarter of them at each level."""
    n = (plan.N_CELLS if task.params["scale"] == "full" else 2048) // len(plan.CHIPS)
    level = torch.arange(n) % len(plan.BANDS)
    target = torch.tensor(plan.targets(), dtype=torch.float64)[level]
    chips: dict[str, JSON] = {}
    pulses, converged = [], []
    for number, chip in enumerate(plan.CHIPS):
        array = SimulatedArray(plan.cell(chip), rows=1, cols=n, seed=2 * task.seed + chip, dtype=torch.float64)
        write = plan.incremental() if task.params["scheme"] == "incremental" else plan.fixed(chip)
        report = write(array, torch.arange(n), target)
        pulses.append(report.n_pulses.double())
        converged.append(report.converged)
        chips[str(chip)] = {
            "pulses": [float(pulses[-1][level == k].mean()) for k in range(len(plan.BANDS))],
            "n_converged": [int(converged[-1][level == k].sum()) for k in range(len(plan.BANDS))],
            "n_cells": [int((level == k).sum()) for k in range(len(plan.BANDS))],
        }
        context.progress((number + 1) / len(plan.CHIPS), f"{task.params['scheme']}, chip {chip}")
    every = torch.cat(converged)
    return {
        "pulses": float(torch.cat(pulses).mean()),
        "n_converged": int(every.sum()),
        "n_cells": every.numel(),
        "chips": chips,
    }


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines = []
    for scheme in SCHEMES:
        mine = [row for row in rows if row.params["scheme"] == scheme]
        pulses = mean_interval([float(str(row.result["pulses"])) for row in mine])
        if pulses is None:
            continue
        done, cells = (sum(int(str(row.result[key])) for row in mine) for key in ("n_converged", "n_cells"))
        lines.append(
            {
                "scheme": scheme,
                "pulses a cell": round(pulses.value, 2),
                "95 % interval": "" if pulses.low is None else f"{pulses.low:.2f} to {pulses.high:.2f}",
                "inside the band": f"{done / cells:.2%}",
            }
        )
    return lines


def _levels(rows: Sequence[Row]) -> list[dict[str, object]]:
    names = ("below 5 kOhm", "5.77 to 6.01 kOhm", "8.51 to 9.31 kOhm", "above 80 kOhm")
    lines: list[dict[str, object]] = []
    for row in rows:
        chips = row.result["chips"]
        assert isinstance(chips, Mapping)
        for chip, found in chips.items():
            assert isinstance(found, Mapping)
            for name, n, done, of in zip(
                names, *(found[key] for key in ("pulses", "n_converged", "n_cells")), strict=True
            ):
                lines.append(
                    {
                        "scheme": row.params["scheme"],
                        "seed": row.seed,
                        "chip": chip,
                        "level": name,
                        "pulses a cell": round(float(str(n)), 1),
                        "inside": f"{float(str(done)) / float(str(of)):.1%}",
                    }
                )
    return lines


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Two bits a cell by rising and by fixed gate voltages",
        paper=plan.PAPER,
        summary="32,768 cells of two chips are tuned to four levels by SETs whose gate voltage grows from pulse to "
        "pulse, and by SETs at a fixed gate voltage of each level with a RESET before each try. The cells are fitted "
        "to sweeps and cycling; no outcome of a write was used.",
        claims=CLAIMS,
        assumptions=plan.ASSUMPTIONS,
        tasks=tasks,
        run=run,
        data="digits",
        seeds=5,
        tables=(
            TableSpec(name="schemes", title="Pulses and success", caption="Both chips.", rows=_table, above=True),
            TableSpec(name="levels", title="By level", caption="Each chip and seed.", rows=_levels),
        ),
    )
)

"""`neurram2022/write`: incremental pulses with a limit of reversals, and the relaxation after them."""

from collections.abc import Mapping, Sequence

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.cells import wan2022
from ohmweave.cells.wan2022 import AGES, G_MAX, G_MIN
from ohmweave.experiments import JSON, Context, Experiment, Options, Row, TableSpec, Task, mean_interval, register
from ohmweave.papers.neurram2022 import plan
from ohmweave.papers.neurram2022.claims import WRITE_CLAIMS
from ohmweave.programming import IncrementalWrite

NAME = "neurram2022/write"
RESPONSES = ("middle", "fine", "coarse")
WRITE = IncrementalWrite(
    tolerance=plan.TOLERANCE,
    v_set=plan.V_SET,
    v_reset=plan.V_RESET,
    v_step=plan.V_STEP,
    v_max=plan.V_MAX,
    max_pulses=1000,
    max_reversals=plan.MAX_REVERSALS,
)
N_CELLS = 256 * 256
_BANDS = 8


def tasks(options: Options) -> list[Task]:
    """One task a reading of the pulse response and a seed."""
    params = {"scale": options.scale, "seeds": options.seeds}
    return [
        Task(experiment=NAME, params={**params, "response": response}, seed=options.seed + k)
        for response in RESPONSES
        for k in range(options.seeds)
    ]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Write one core of cells, and follow their errors for two days."""
    n = N_CELLS if task.params["scale"] == "full" else 4096
    response = task.params["response"]
    assert response in ("fine", "middle", "coarse")
    array = SimulatedArray(wan2022(response=response), rows=1, cols=n, seed=task.seed)
    target = torch.linspace(G_MIN, G_MAX, n, dtype=torch.float32)
    report = WRITE(array, torch.arange(n), target)
    context.progress(0.8, f"{response}, written")
    sigma: dict[str, JSON] = {}
    passed = 0.0
    for age in AGES:
        array.wait(age - passed)
        passed = age
        error = (array.readout(torch.arange(n)) - target)[report.converged]
        level = (target[report.converged] - G_MIN) / (G_MAX - G_MIN) * _BANDS
        sigma[f"{age:g}"] = [float(error[level.long().clamp_max(_BANDS - 1) == k].std()) for k in range(_BANDS)]
    return {
        "n_cells": n,
        "n_converged": int(report.converged.sum()),
        "pulses": float(report.n_pulses.double().mean()),
        "pulses_p95": float(report.n_pulses.double().quantile(0.95)),
        "sigma": sigma,
    }


def by_response(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by reading of the pulse response."""
    return {word: [row for row in rows if row.params["response"] == word] for word in RESPONSES}


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines = []
    for word, mine in by_response(rows).items():
        pulses = mean_interval([float(str(row.result["pulses"])) for row in mine])
        if pulses is None:
            continue
        done, cells = (sum(int(str(row.result[key])) for row in mine) for key in ("n_converged", "n_cells"))
        lines.append(
            {
                "response": word,
                "pulses a cell": round(pulses.value, 2),
                "95 % interval": "" if pulses.low is None else f"{pulses.low:.2f} to {pulses.high:.2f}",
                "95th percentile": round(max(float(str(row.result["pulses_p95"])) for row in mine), 0),
                "inside the band": f"{done / cells:.2%}",
            }
        )
    return lines


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="NeuRRAM: incremental pulses and relaxation",
        paper=plan.PAPER,
        summary="A core of 256 x 256 cells is written to conductances from 1 to 40 uS with amplitudes that grow from "
        "pulse to pulse, within 1 uS and with at most 30 reversals; the errors are followed for two days.",
        claims=WRITE_CLAIMS,
        assumptions=plan.WRITE_ASSUMPTIONS,
        tasks=tasks,
        run=run,
        data="digits",
        seeds=3,
        tables=(TableSpec(name="write", title="Pulses and success", caption="All cores.", rows=_table),),
    )
)

"""`yao2020/which-layers`: in-situ tuning of every combination of C1, C3 and FC."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ohmweave.experiments import (
    JSON,
    Assumption,
    AtLeast,
    Claim,
    Context,
    Estimate,
    Experiment,
    Options,
    Row,
    TableSpec,
    Task,
    mean_interval,
    rates,
    register,
)
from ohmweave.papers.yao2020 import hybrid, plan, system
from ohmweave.papers.yao2020.figures import result_of
from ohmweave.papers.yao2020.plan import NEEDS

NAME = "yao2020/which-layers"
LAYERS = {"C1": "groups.0.c1", "C3": "groups.0.c3", "FC": "fc"}
COMBINATIONS = tuple("+".join(chosen) for n in (1, 2, 3) for chosen in itertools.combinations(LAYERS, n))
N_EPOCHS = {"full": 5, "smoke": 1}  # full: paper


def tasks(options: Options) -> list[Task]:
    """One task a combination."""
    return [task for layers in COMBINATIONS for task in plan.tasks(NAME, options, layers=layers)]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Transfer the network, tune the layers of the task, and count before and after."""
    work = plan.workload(task, context)
    chosen = str(task.params["layers"]).split("+")
    chip = system.chips(work.n_chips, seed=task.seed, device=work.device)
    net = system.transfer(work.net, chip, work.calibration_images)
    before = system.count_correct(net, work.data.test)
    n_written = hybrid.tune(
        net,
        work.batches(hybrid.BATCH, name="hybrid"),
        n_steps=work.n_steps * N_EPOCHS[str(task.params["scale"])],
        layers=[LAYERS[layer] for layer in chosen],
        progress=lambda fraction, text: context.progress(0.1 + 0.8 * fraction, f"{'+'.join(chosen)}: {text}"),
    )
    after = system.count_correct(net, work.data.test)
    return {"before": before, "after": after, "n_test": len(work.data.test), "n_written": sum(n_written)}


def _gain(rows: Sequence[Row], layers: str) -> list[float]:
    found = [row for row in rows if row.params["layers"] == layers]
    return [
        after - before
        for row in found
        for after, before in zip(rates([row], "after", "n_test"), rates([row], "before", "n_test"), strict=True)
    ]


def _fc_share(rows: Sequence[Row]) -> Estimate | None:
    """Accuracy won by tuning FC alone, as a fraction of that won by the best combination."""
    means = {layers: mean_interval(_gain(rows, layers)) for layers in COMBINATIONS}
    found = {layers: mean.value for layers, mean in means.items() if mean is not None}
    if len(found) < len(COMBINATIONS) or max(found.values()) <= 0:
        return None
    return Estimate(value=found["FC"] / max(found.values()))


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "layers tuned": layers,
            "accuracy before": round(float(np.mean(rates(found, "before", "n_test"))), 4),
            "accuracy after": round(float(np.mean(rates(found, "after", "n_test"))), 4),
            "weights written": sum(result_of(row)["n_written"] for row in found),
        }
        for layers in COMBINATIONS
        if (found := [row for row in rows if row.params["layers"] == layers])
    ]


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Which layers to tune in situ",
        paper=plan.PAPER,
        summary="Every combination of the first convolution, the second and the last layer is tuned for five epochs.",
        claims=(
            Claim(
                key="fc-share",
                quantity="accuracy won by tuning FC alone, as a part of the best combination's",
                unit="1",
                paper=None,
                where="Extended Data Fig. 4b: FC alone is the most efficient",
                estimate=_fc_share,
                accept=AtLeast(0.8),
                needs=NEEDS,
                note="80 % counts as most efficient (ours): FC alone writes no convolution weights and needs no "
                "back-propagation",
            ),
        ),
        assumptions=(
            *plan.ASSUMPTIONS,
            Assumption(
                text="Each layer has the learning rate that the rule finds for it (`AdaptiveWriteVerify`).",
                source="ours; the paper prints none",
            ),
        ),
        tasks=tasks,
        run=run,
        devices=("cpu", "cuda"),
        tables=(TableSpec(name="layers", title="Combinations", caption="Means over chips.", rows=_table),),
    )
)

"""The multilayer perceptron of the same group, the measure for "75 % fewer weights"."""

from collections.abc import Sequence
from functools import partial

from ohmweave.experiments import Assumption, Claim, Estimate, Experiment, Row, Within, register, value_of
from ohmweave.papers.energy import ENERGY_TABLE
from ohmweave.papers.wang2019.assumptions import CELL
from ohmweave.papers.wang2019.claims import counted, on_test
from ohmweave.papers.wang2019.figures import ACCURACIES, plan
from ohmweave.papers.wang2019.system import PAPER
from ohmweave.papers.wang2019.tasks import CHIP, run, tasks

NAME = "wang2019/mlp"
CNN_WEIGHTS = 1_015


def weights_saved(rows: Sequence[Row]) -> Estimate | None:
    """Share of the perceptron's weights that the CNN does without."""
    weights = value_of("n_weights")(rows)
    return None if weights is None else Estimate(value=1 - CNN_WEIGHTS / weights.value)


MLP = register(
    Experiment(
        name=NAME,
        title="Perceptron 64-54-10, trained on the array",
        paper="Li et al., Nature Communications 9, 2385 (2018), as compared in " + PAPER,
        summary="The fully connected network of the same group on the same array, one pair of cells a weight, trained "
        "by the same rule: what the CNN's sharing of weights saves.",
        claims=(
            counted("weights", "weights", 3_996, "Li et al. 2018"),
            counted("cells", "cells that carry them", 7_992, "Li et al. 2018"),
            on_test(
                "accuracy",
                "test accuracy of the chip",
                0.9171,
                "Li et al. 2018",
                variant="chip",
                tolerance=0.019,
                note="one chip was measured, and chips of ours scatter by 1.9 points (standard deviation)",
            ),
            Claim(
                key="saved",
                quantity="weights that the CNN saves",
                unit="1",
                paper=0.75,
                where='Wang et al. 2019: "~75 %" fewer',
                estimate=weights_saved,
                accept=Within(absolute=0.005),
                note="the figure is rounded; by counting weights, no cell takes part",
            ),
        ),
        assumptions=(
            *CELL,
            Assumption(
                text="rule, cells and gate voltages of Wang et al. 2019; 1,600 batches of 50 as Li et al. 2018",
                source="ours: the learning rate of Li et al.'s gradient descent is not printed",
            ),
        ),
        tasks=partial(tasks, NAME, "mlp", {"chip": CHIP}),
        run=run,
        seeds=5,
        devices=("cpu", "cuda"),
        figures=(plan("mlp"),),
        tables=(ACCURACIES, ENERGY_TABLE),
    )
)

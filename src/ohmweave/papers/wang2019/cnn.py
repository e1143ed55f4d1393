"""The CNN trained in situ (section "feed-forward" of the paper)."""

from functools import partial

from ohmweave.experiments import Between, Experiment, register
from ohmweave.papers.energy import ENERGY_TABLE
from ohmweave.papers.wang2019.assumptions import CELL
from ohmweave.papers.wang2019.claims import FULL, counted, in_batch, on_test
from ohmweave.papers.wang2019.figures import ACCURACIES, curve_differences, plan, training_curves
from ohmweave.papers.wang2019.system import PAPER
from ohmweave.papers.wang2019.tasks import CHIP, NO_STUCK, NOISE_FREE, run, tasks

NAME = "wang2019/cnn"

CNN = register(
    Experiment(
        name=NAME,
        title="CNN of 1,015 weights, trained on the array",
        paper=PAPER,
        summary="A convolutional network learns on one array of 128 x 64 cells by blind, gate-controlled pulses: two "
        "epochs of MNIST cropped and resized to 8 x 8. Every ninth cell is stuck, every write misses by 10 uS. "
        "Beside it the paper's two simulations: without stuck cells, and without noise.",
        claims=(
            counted("weights", "weights", 1_015, "text"),
            counted("cells", "cells that carry them", 4_060, "Fig. 2a; counted: 4 cells a weight"),
            counted("updates", "updates", 1_200, "Fig. 2b: two epochs in batches of 100", needs=FULL),
            on_test(
                "accuracy",
                "test accuracy of the chip",
                0.9213,
                "text",
                variant="chip",
                accept=Between(0.915, 0.94),
                note="the in-array law was chosen to fit the paper's weights: calibration",
            ),
            on_test(
                "noise-free",
                "test accuracy without noise and stuck cells",
                0.96,
                'text: "approximately 4 %" above the experiment',
                variant="noise_free",
                accept=Between(0.95, 0.97),
            ),
            in_batch("in-batch", "of the chip", 0.9112, "Fig. 2b, digitised", variant="chip"),
            in_batch("in-batch-noise", "with 10 uS and no stuck cells", 0.9219, "Fig. 2b, digitised", variant="noise"),
        ),
        assumptions=CELL,
        tasks=partial(tasks, NAME, "cnn", {"chip": CHIP, "noise": NO_STUCK, "noise_free": NOISE_FREE}),
        run=run,
        devices=("cpu", "cuda"),
        figures=(training_curves("cnn"), plan("cnn")),
        tables=(ACCURACIES, ENERGY_TABLE, curve_differences("cnn")),
    )
)

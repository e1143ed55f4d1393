"""The CNN trained in situ (section "feed-forward" of the paper)."""

from functools import partial

from memweave.experiments import Between, Claim, Equal, Experiment, Needs, Within, mean_rate_of, register, value_of
from memweave.papers.wang2019.assumptions import CELL
from memweave.papers.wang2019.figures import ACCURACIES, curve_differences, plan, training_curves
from memweave.papers.wang2019.system import PAPER
from memweave.papers.wang2019.tasks import CHIP, NO_STUCK, NOISE_FREE, run, tasks

NAME = "wang2019/cnn"
MNIST = Needs(data="mnist", scale="full")
FULL = Needs(scale="full")


CNN = register(
    Experiment(
        name=NAME,
        title="CNN of 1,015 weights, trained on the array",
        paper=PAPER,
        summary="A convolutional network learns on one array of 128 x 64 cells by blind, gate-controlled pulses: two "
        "epochs of MNIST cropped and resized to 8 x 8. Every ninth cell is stuck, every write misses by 10 uS. "
        "Beside it the paper's two simulations: without stuck cells, and without noise.",
        claims=(
            Claim(
                key="weights",
                quantity="weights",
                unit="weights",
                paper=1_015,
                where="text",
                estimate=value_of("n_weights"),
                accept=Equal(),
            ),
            Claim(
                key="cells",
                quantity="cells that carry them",
                unit="cells",
                paper=4_060,
                where="Fig. 2a; counted: 4 cells a weight",
                estimate=value_of("n_cells"),
                accept=Equal(),
            ),
            Claim(
                key="updates",
                quantity="updates",
                unit="updates",
                paper=1_200,
                where="Fig. 2b: two epochs in batches of 100",
                estimate=value_of("n_updates"),
                accept=Equal(),
                needs=FULL,
            ),
            Claim(
                key="accuracy",
                quantity="test accuracy of the chip",
                unit="1",
                paper=0.9213,
                where="text",
                estimate=mean_rate_of("n_correct", "n_test", where={"variant": "chip"}),
                accept=Between(0.915, 0.94),
                needs=MNIST,
                note="the in-array law was chosen to fit the paper's weights: calibration",
            ),
            Claim(
                key="noise-free",
                quantity="test accuracy without noise and stuck cells",
                unit="1",
                paper=0.96,
                where='text: "approximately 4 %" above the experiment',
                estimate=mean_rate_of("n_correct", "n_test", where={"variant": "noise_free"}),
                accept=Between(0.95, 0.97),
                needs=MNIST,
            ),
            Claim(
                key="in-batch",
                quantity="in-batch accuracy of the chip, second epoch",
                unit="1",
                paper=0.9112,
                where="Fig. 2b, digitised",
                estimate=mean_rate_of("n_in_batch", "n_seen", where={"variant": "chip"}),
                accept=Within(absolute=0.02),
                needs=MNIST,
            ),
            Claim(
                key="in-batch-noise",
                quantity="in-batch accuracy with 10 uS and no stuck cells, second epoch",
                unit="1",
                paper=0.9219,
                where="Fig. 2b, digitised",
                estimate=mean_rate_of("n_in_batch", "n_seen", where={"variant": "noise"}),
                accept=Within(absolute=0.02),
                needs=MNIST,
            ),
        ),
        assumptions=CELL,
        tasks=partial(tasks, NAME, "cnn", {"chip": CHIP, "noise": NO_STUCK, "noise_free": NOISE_FREE}),
        run=run,
        figures=(training_curves("cnn"), plan("cnn")),
        tables=(ACCURACIES, curve_differences("cnn")),
    )
)

"""The ConvLSTM trained in situ (section "recurrent" of the paper)."""

from functools import partial

from memweave.experiments import (
    Assumption,
    Between,
    Claim,
    Equal,
    Experiment,
    Needs,
    Within,
    mean_rate_of,
    register,
    value_of,
)
from memweave.papers.wang2019.assumptions import CELL
from memweave.papers.wang2019.figures import ACCURACIES, curve_differences, plan, training_curves
from memweave.papers.wang2019.system import PAPER
from memweave.papers.wang2019.tasks import CHIP, NO_STUCK, NOISE_FREE, run, tasks

NAME = "wang2019/convlstm"
MNIST = Needs(data="mnist", scale="full")
FULL = Needs(scale="full")

CONVLSTM = register(
    Experiment(
        name=NAME,
        title="ConvLSTM of 850 weights, trained on the array",
        paper=PAPER,
        summary="A convolutional LSTM and a dense layer learn in which order the digits 1, 2 and 3 follow one another: "
        "back-propagation through three frames, the same pulses, the same array.",
        claims=(
            Claim(
                key="weights",
                quantity="weights",
                unit="weights",
                paper=850,
                where="text",
                estimate=value_of("n_weights"),
                accept=Equal(),
            ),
            Claim(
                key="cells",
                quantity="cells that carry them",
                unit="cells",
                paper=3_400,
                where="Fig. 3b; counted: 4 cells a weight",
                estimate=value_of("n_cells"),
                accept=Equal(),
            ),
            Claim(
                key="updates",
                quantity="updates",
                unit="updates",
                paper=240,
                where="Fig. 4a: two epochs in batches of 50",
                estimate=value_of("n_updates"),
                accept=Equal(),
                needs=FULL,
            ),
            Claim(
                key="sequences",
                quantity="training sequences",
                unit="sequences",
                paper=5_958,
                where="methods",
                estimate=value_of("n_train"),
                accept=Equal(),
                needs=Needs(data="mnist"),
            ),
            Claim(
                key="accuracy",
                quantity="test accuracy of the chip",
                unit="1",
                paper=0.9644,
                where="text",
                estimate=mean_rate_of("n_correct", "n_test", where={"variant": "chip"}),
                accept=Between(0.957, 0.98),
                needs=MNIST,
            ),
            Claim(
                key="in-batch",
                quantity="in-batch accuracy of the chip, second epoch",
                unit="1",
                paper=0.9597,
                where='text, "training accuracy"',
                estimate=mean_rate_of("n_in_batch", "n_seen", where={"variant": "chip"}),
                accept=Within(absolute=0.02),
                needs=MNIST,
            ),
            Claim(
                key="in-batch-noise",
                quantity="in-batch accuracy with 10 uS and no stuck cells, second epoch",
                unit="1",
                paper=0.9548,
                where="Fig. 4a, digitised",
                estimate=mean_rate_of("n_in_batch", "n_seen", where={"variant": "noise"}),
                accept=Within(absolute=0.02),
                needs=MNIST,
            ),
            Claim(
                key="in-batch-noise-free",
                quantity="in-batch accuracy without noise, second epoch",
                unit="1",
                paper=0.9691,
                where="Fig. 4a, digitised",
                estimate=mean_rate_of("n_in_batch", "n_seen", where={"variant": "noise_free"}),
                accept=Within(absolute=0.02),
                needs=MNIST,
            ),
        ),
        assumptions=(
            *CELL,
            Assumption(text="the random order of the sequences' classes", source="ours; not published"),
            Assumption(text="the highest gate voltage is 2.5 V", source="paper, Table 1; the public script says 2.4 V"),
        ),
        tasks=partial(tasks, NAME, "convlstm", {"chip": CHIP, "noise": NO_STUCK, "noise_free": NOISE_FREE}),
        run=run,
        figures=(training_curves("convlstm"), plan("convlstm")),
        tables=(ACCURACIES, curve_differences("convlstm")),
    )
)

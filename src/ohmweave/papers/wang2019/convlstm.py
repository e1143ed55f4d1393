"""The ConvLSTM trained in situ (section "recurrent" of the paper)."""

from functools import partial

from ohmweave.experiments import Assumption, Claim, Equal, Experiment, Needs, register, value_of
from ohmweave.papers.energy import ENERGY_TABLE
from ohmweave.papers.wang2019.assumptions import CELL
from ohmweave.papers.wang2019.claims import FULL, counted, in_batch, on_test
from ohmweave.papers.wang2019.figures import ACCURACIES, curve_differences, plan, training_curves
from ohmweave.papers.wang2019.system import PAPER
from ohmweave.papers.wang2019.tasks import CHIP, NO_STUCK, NOISE_FREE, run, tasks

NAME = "wang2019/convlstm"
_SCATTER = "digitised to 0.3 points from one run; runs of ours scatter by 0.5 points (added in squares)"

CONVLSTM = register(
    Experiment(
        name=NAME,
        title="ConvLSTM of 850 weights, trained on the array",
        paper=PAPER,
        summary="A convolutional LSTM and a dense layer learn in which order the digits 1, 2 and 3 follow one another: "
        "back-propagation through three frames, the same pulses, the same array.",
        claims=(
            counted("weights", "weights", 850, "text"),
            counted("cells", "cells that carry them", 3_400, "Fig. 3b; counted: 4 cells a weight"),
            counted("updates", "updates", 240, "Fig. 4a: two epochs in batches of 50", needs=FULL),
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
            on_test(
                "accuracy",
                "test accuracy of the chip",
                0.9644,
                "text",
                variant="chip",
                tolerance=0.009,
                note="1,010 sequences leave 0.6 points to chance, and chips of ours scatter by 0.6 points (standard "
                "deviations, added in squares)",
            ),
            in_batch(
                "in-batch",
                "of the chip",
                0.9597,
                'text, "training accuracy"',
                variant="chip",
                tolerance=0.006,
                note=_SCATTER,
            ),
            in_batch(
                "in-batch-noise",
                "with 10 uS and no stuck cells",
                0.9548,
                "Fig. 4a, digitised",
                variant="noise",
                tolerance=0.006,
                note=_SCATTER,
            ),
            in_batch(
                "in-batch-noise-free",
                "without noise",
                0.9691,
                "Fig. 4a, digitised",
                variant="noise_free",
                tolerance=0.006,
                note=f"software; {_SCATTER}",
            ),
        ),
        assumptions=(
            *CELL,
            Assumption(text="the random order of the sequences' classes", source="ours; not published"),
            Assumption(text="the highest gate voltage is 2.5 V", source="paper, Table 1; the public script says 2.4 V"),
        ),
        tasks=partial(tasks, NAME, "convlstm", {"chip": CHIP, "noise": NO_STUCK, "noise_free": NOISE_FREE}),
        run=run,
        seeds=5,
        devices=("cpu", "cuda"),
        figures=(training_curves("convlstm"), plan("convlstm")),
        tables=(ACCURACIES, ENERGY_TABLE, curve_differences("convlstm")),
    )
)

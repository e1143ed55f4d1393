"""`yao2020/split-image`: each image is cut in three strips, one for each convolver."""

from collections.abc import Mapping

from ohmweave.experiments import (
    JSON,
    Assumption,
    Claim,
    Context,
    Experiment,
    NotWorseThan,
    Task,
    mean_rate_of,
    register,
)
from ohmweave.papers.yao2020 import hybrid, plan, system
from ohmweave.papers.yao2020.plan import NEEDS

NAME = "yao2020/split-image"
N_STEPS = 300  # ours: as many batches as in the experiment on three groups; the paper prints none


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Write three convolvers, count with images cut, tune with images cut, count again."""
    work = plan.workload(task, context)
    chip = system.chips(work.n_chips, seed=task.seed, device=work.device)
    net = system.transfer(work.net.replicate(3), chip, work.calibration_images)
    before = system.count_correct(net, work.data.test, group=None)
    hybrid.tune(
        net,
        work.batches(hybrid.BATCH, name="hybrid"),
        n_steps=N_STEPS if task.params["scale"] == "full" else 60,
        group=lambda n_done: None,
        progress=lambda fraction, text: context.progress(0.4 + 0.4 * fraction, text),
    )
    after = system.count_correct(net, work.data.test, group=None)
    return {"before": before, "after": after, "n_test": len(work.data.test)}


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="One image cut over three convolvers",
        paper=plan.PAPER,
        summary="Each of three convolvers computes a third of the output rows of each convolution, from input rows "
        "that overlap by the two that a 3 x 3 kernel needs; the outputs are joined before the next layer.",
        claims=(
            Claim(
                key="after",
                quantity="test accuracy with cut images, after tuning",
                unit="1",
                paper=0.9583,
                where="main text",
                estimate=mean_rate_of("after", "n_test"),
                accept=NotWorseThan(),
                needs=NEEDS,
            ),
            Claim(
                key="before",
                quantity="test accuracy with cut images, before tuning",
                unit="1",
                paper=0.9386,
                where="main text",
                estimate=mean_rate_of("before", "n_test"),
                accept=NotWorseThan(margin=0.01),
                needs=NEEDS,
            ),
            plan.recovery_claim(gain=0.0197, error_left=0.0417),
        ),
        assumptions=(
            *plan.ASSUMPTIONS,
            Assumption(text="Borders: neighbouring shares overlap by two input rows in each layer.", source="ours"),
            Assumption(text=f"Tuning: {N_STEPS} batches of cut images.", source="ours; the paper prints none"),
        ),
        tasks=lambda options: plan.tasks(NAME, options),
        run=run,
        devices=("cpu", "cuda"),
    )
)

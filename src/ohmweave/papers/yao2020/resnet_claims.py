"""The claims of `yao2020/resnet56`: what each stage loses against float, by the literal reading of its scale."""

from collections.abc import Sequence

from ohmweave.experiments import AtLeast, Claim, Equal, Estimate, Needs, Row, Within, rate_of, value_of
from ohmweave.papers.yao2020.resnet_results import PAPER_ACCURACY, chosen_drop, drop

NEEDS = Needs(data="cifar10", scale="full")
DECLARED = "2026-11-26, after a drop of 14.5 points as written was seen with the largest weight at 20 uS"

PAPER_CLAIMS = (
    ("levels", "largest.levels", "levels", 0.02, "with 15 levels", ""),
    ("mapped", "largest.mapped", "mapped", 0.05, "as written", "one chip in the paper; our chips scatter by points"),
    ("tuned", "largest.tuned", "tuned", 0.01, "after tuning the last layer alone", "the literal reading"),
    (
        "norm-tuned",
        "largest.norm_tuned",
        "tuned",
        0.01,
        "after tuning the last layer and batch norm",
        "batch norm is digital, and the paper does not say that it is frozen",
    ),
    (
        "norm-tuned-few",
        "largest.norm_tuned_few",
        "tuned_few",
        0.016,
        "after tuning both with 1,500 images",
        "+- 0.8 % printed, over ten trials",
    ),
)
"""Of each claim: key, stage of the rows, the paper's stage, tolerance (ours: the float networks differ by two points),
words, and note."""


def _lost(key: str, stage: str, printed: str, tolerance: float, words: str, note: str) -> Claim:
    return Claim(
        key=key,
        quantity=f"test accuracy {words}, less float",
        unit="1",
        paper=PAPER_ACCURACY[printed] - PAPER_ACCURACY["float"],
        where="main text; one scale a layer by its largest weight",
        estimate=drop(stage),
        accept=Within(absolute=tolerance),
        better="higher",
        needs=NEEDS,
        note=note,
        declared=DECLARED,
    )


def _of_the_network(rows: Sequence[Row]) -> Estimate | None:
    """The accuracy of the checkpoint, which is in every row: chips do not make it more certain."""
    return rate_of("n_correct.float", "n_test")(rows[:1])


CLAIMS = (
    *(_lost(*facts) for facts in PAPER_CLAIMS),
    Claim(
        key="best",
        quantity="test accuracy on the chip by the way that validation images prefer, less float",
        unit="1",
        paper=None,
        where="ours: the paper knows one way",
        estimate=chosen_drop,
        accept=AtLeast(-0.025),
        needs=NEEDS,
    ),
    Claim(
        key="float",
        quantity="test accuracy, float",
        unit="1",
        paper=PAPER_ACCURACY["float"],
        where="main text",
        estimate=_of_the_network,
        accept=None,
        needs=NEEDS,
        note="of the checkpoint that was found; the losses are judged",
    ),
    Claim(
        key="arrays",
        quantity="arrays of 144 x 16 with four copies of the first layer",
        unit="arrays",
        paper=782,
        where="Methods",
        estimate=value_of("n_arrays"),
        accept=Equal(),
        needs=NEEDS,
        explained="144 inputs are nine pixels of 16 channels, so inner layers fill arrays, and each copy of the first "
        "layer takes two; 1 x 1 shortcuts would add 12; with 16 inputs and 144 outputs to an array it "
        "would be 831",
        explained_value=741,
    ),
)

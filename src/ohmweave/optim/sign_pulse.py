"""One pulse for each non-zero entry of the gradient, against its sign, without verify."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from ohmweave.nn import ArrayWeight
from ohmweave.optim.counted import CountedRule, CountLaw
from ohmweave.optim.hyperparameters import Checks
from ohmweave.optim.pulses import check_cycle
from ohmweave.optim.step_counts import SIGN


class SignPulse(CountedRule):
    """The update of sign backpropagation: single pulses where the outer product of inputs and errors is not 0.

    With batches of one, `nn.BinaryStep` and a two-bit error, the gradient is the outer product of binary inputs and
    ternary errors, with entries -1, 0 and +1.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`.
        cycle: "alternate" sends RESET pulses and SET pulses in turn, to one cell of each selected pair (g_neg or g_pos
            to raise the weight), so that all pulses of a `step()` can be driven in parallel. "both" sends one pulse to
            each cell of the pair.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Zhang et al., Neural Networks 108, 217 (2018), reconstructed: the signals are given in the abstract, the
    single pulse without verify is taken from a later paper, Zhang et al., Science 381, 1205 (2023).
    """

    checks: ClassVar[Checks] = {"cycle": check_cycle}

    def __init__(self, params: Iterable[Any], *, cycle: Literal["alternate", "both"] = "alternate") -> None:
        super().__init__(params, {"cycle": cycle})

    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """As in `CountedRule`."""
        return CountLaw(kind=SIGN, per_grad=-1.0)

"""STELLAR: single pulses where both the input and the error exceed a threshold."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from ohmweave.base import check_fraction
from ohmweave.nn import ArrayWeight
from ohmweave.optim.counted import CountedRule, CountLaw
from ohmweave.optim.hyperparameters import Checks
from ohmweave.optim.pulses import check_cycle
from ohmweave.optim.step_counts import SIGN


class Stellar(CountedRule):
    """Sends one pulse to each weight whose input and error both reach their thresholds.

    For batches of one with `nn.ThresholdError`, the gradient of a weight is -se * y, with the error se = -1, 0 or +1.
    The input y counts if it is at least `gate` times the largest input of the sample. RESET and SET pulses alternate
    with each sample.

    After a step `weight` is stale; it is read out again, at the cost of a readout, when it is next used.

    Args:
        params: weights on a chip, `net.chip_parameters()`; of the last layer in the source.
        gate: C1 of the source as a fraction of the largest input, 0 to 1.
        cycle: as in `SignPulse`; "both" is the double pulse of the source.

    Raises:
        OutOfRangeError: as in `ArrayRule`.

    Source: Zhang et al., Science 381, 1205 (2023), supplement and public code: C1 is 0.4 of the maximum, with an output
    ReLU. Inputs of exactly 0 carry no voltage and never count here; with `gate` 0 the source counts them.
    """

    checks: ClassVar[Checks] = {"gate": check_fraction, "cycle": check_cycle}

    def __init__(
        self, params: Iterable[Any], *, gate: float = 0.4, cycle: Literal["alternate", "both"] = "alternate"
    ) -> None:
        super().__init__(params, {"gate": gate, "cycle": cycle})

    def law(self, weight: ArrayWeight, group: Mapping[str, Any]) -> CountLaw:
        """As in `CountedRule`."""
        del weight
        # |grad| = |se| y, so the largest entry of a chip belongs to its largest input.
        return CountLaw(kind=SIGN, per_grad=-1.0, least=group["gate"])

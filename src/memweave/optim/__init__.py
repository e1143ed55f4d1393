"""Learning rules: torch optimizers whose `step()` sends pulses."""

from memweave.optim.gate_controlled import GateControlled
from memweave.optim.manhattan import Manhattan
from memweave.optim.pulsed_sgd import MixedPrecision, PulsedSGD
from memweave.optim.sign_pulse import SignPulse
from memweave.optim.stellar import Stellar
from memweave.optim.thresholded import ThresholdedWriteVerify
from memweave.optim.tiki_taka import TikiTakaV2

__all__ = [
    "GateControlled",
    "Manhattan",
    "MixedPrecision",
    "PulsedSGD",
    "SignPulse",
    "Stellar",
    "ThresholdedWriteVerify",
    "TikiTakaV2",
]

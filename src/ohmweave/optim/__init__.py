"""Learning rules: torch optimizers whose `step()` sends pulses."""

from ohmweave.optim.gate_controlled import GateControlled
from ohmweave.optim.manhattan import Manhattan
from ohmweave.optim.pulsed_sgd import MixedPrecision, PulsedSGD
from ohmweave.optim.sign_pulse import SignPulse
from ohmweave.optim.stellar import Stellar
from ohmweave.optim.thresholded import ThresholdedWriteVerify
from ohmweave.optim.tiki_taka import TikiTakaV2

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

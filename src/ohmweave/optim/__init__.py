"""Learning rules: torch optimizers whose `step()` sends pulses."""

from ohmweave.optim.adaptive import AdaptiveWriteVerify
from ohmweave.optim.epoch import train_epoch
from ohmweave.optim.gate_voltage import GateControlled
from ohmweave.optim.manhattan import Manhattan
from ohmweave.optim.mixed_precision import MixedPrecision
from ohmweave.optim.pulsed_sgd import PulsedSGD
from ohmweave.optim.rule import ArrayRule, DropsSteps, ExtraState, Move
from ohmweave.optim.sign_pulse import SignPulse
from ohmweave.optim.stellar import Stellar
from ohmweave.optim.thresholded import ThresholdedWriteVerify
from ohmweave.optim.tiki_taka import TikiTakaV2

__all__ = [
    "AdaptiveWriteVerify",
    "ArrayRule",
    "DropsSteps",
    "ExtraState",
    "GateControlled",
    "Manhattan",
    "MixedPrecision",
    "Move",
    "PulsedSGD",
    "SignPulse",
    "Stellar",
    "ThresholdedWriteVerify",
    "TikiTakaV2",
    "train_epoch",
]

"""Learning rules: torch optimizers whose `step()` sends pulses."""

from memweave.optim.thresholded import ThresholdedWriteVerify

__all__ = ["ThresholdedWriteVerify"]

"""Sequences of pulses and reads that bring cells to their targets, with the bill."""

from memweave.programming.blind import BlindWrite
from memweave.programming.compensation import CompensatedWrite, compensate
from memweave.programming.protocol import Write
from memweave.programming.report import WriteReport
from memweave.programming.write_verify import WriteVerify

__all__ = ["BlindWrite", "CompensatedWrite", "Write", "WriteReport", "WriteVerify", "compensate"]

"""Sequences of pulses and reads that bring cells to their targets, with the bill."""

from ohmweave.programming.blind import BlindWrite
from ohmweave.programming.compensation import CompensatedWrite, compensate
from ohmweave.programming.protocol import Write
from ohmweave.programming.report import WriteReport
from ohmweave.programming.write_verify import WriteVerify

__all__ = ["BlindWrite", "CompensatedWrite", "Write", "WriteReport", "WriteVerify", "compensate"]

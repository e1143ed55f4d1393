"""Write schemes: sequences of pulses and reads that bring cells to target conductances, with a report."""

from ohmweave.programming.blind import BlindWrite
from ohmweave.programming.compensation import CompensatedWrite, compensate
from ohmweave.programming.gated import GateLevel, GateWrite
from ohmweave.programming.incremental import IncrementalWrite, StagedWrite
from ohmweave.programming.outcomes import WriteCheck, WriteOutcomes, check_write
from ohmweave.programming.report import WriteReport, warn_if_many_failed
from ohmweave.programming.stopped import WriteInterrupted, WriteStoppedError, reported
from ohmweave.programming.write import CheckedWrite, Settling, Write, defer_settling
from ohmweave.programming.write_verify import WriteVerify

__all__ = [
    "BlindWrite",
    "CheckedWrite",
    "CompensatedWrite",
    "GateLevel",
    "GateWrite",
    "IncrementalWrite",
    "Settling",
    "StagedWrite",
    "Write",
    "WriteCheck",
    "WriteInterrupted",
    "WriteOutcomes",
    "WriteReport",
    "WriteStoppedError",
    "WriteVerify",
    "check_write",
    "compensate",
    "defer_settling",
    "reported",
    "warn_if_many_failed",
]

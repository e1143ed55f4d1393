"""Laws of one cell. A law is a frozen dataclass of pure functions; variants are made by wrapping (`With...`)."""

from memweave.devices.linear import ConductanceState, LinearCell
from memweave.devices.protocol import RESET, SET, Device, Pulse, pulse_count
from memweave.devices.pulse_table import PulseTable
from memweave.devices.read_noise import WithReadNoise
from memweave.devices.relaxation import WithRelaxation
from memweave.devices.stuck import WithStuckCells
from memweave.devices.yao2020 import yao2020

__all__ = [
    "RESET",
    "SET",
    "ConductanceState",
    "Device",
    "LinearCell",
    "Pulse",
    "PulseTable",
    "WithReadNoise",
    "WithRelaxation",
    "WithStuckCells",
    "pulse_count",
    "yao2020",
]

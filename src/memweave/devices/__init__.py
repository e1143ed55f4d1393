"""Laws of one cell. A law is a frozen dataclass of pure functions; variants are made by wrapping (`With...`)."""

from memweave.devices import stellar2023
from memweave.devices.affine import AffineCell, exponential_steps, linear_steps, merged, soft_bounds
from memweave.devices.d2d import WithD2D
from memweave.devices.files import load, save
from memweave.devices.gate_controlled import GateControlledCell
from memweave.devices.gate_curve import GateCurve, LinearGate, TabulatedGate
from memweave.devices.linear import ConductanceState, LinearCell
from memweave.devices.protocol import RESET, SET, Device, Pulse, pulse_count
from memweave.devices.pulse_table import PulseTable
from memweave.devices.read_noise import WithReadNoise
from memweave.devices.relaxation import WithRelaxation
from memweave.devices.sinh_current import WithSinhCurrent, is_nonlinear
from memweave.devices.stuck import WithStuckCells
from memweave.devices.voltage import WithVoltageDependence, feels_voltage
from memweave.devices.wang2019 import wang2019
from memweave.devices.yao2020 import yao2020

__all__ = [
    "RESET",
    "SET",
    "AffineCell",
    "ConductanceState",
    "Device",
    "GateControlledCell",
    "GateCurve",
    "LinearCell",
    "LinearGate",
    "Pulse",
    "PulseTable",
    "TabulatedGate",
    "WithD2D",
    "WithReadNoise",
    "WithRelaxation",
    "WithSinhCurrent",
    "WithStuckCells",
    "WithVoltageDependence",
    "exponential_steps",
    "feels_voltage",
    "is_nonlinear",
    "linear_steps",
    "load",
    "merged",
    "pulse_count",
    "save",
    "soft_bounds",
    "stellar2023",
    "wang2019",
    "yao2020",
]

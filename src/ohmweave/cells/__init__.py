"""Laws of one cell. A law is a frozen dataclass of pure functions; variants are made by wrapping (`With...`)."""

from ohmweave.cells import stellar2023
from ohmweave.cells.affine import AffineCell, aggregate, exponential_steps, linear_steps, soft_bounds
from ohmweave.cells.d2d import WithD2D
from ohmweave.cells.files import load, save
from ohmweave.cells.gate_controlled import GateControlledCell
from ohmweave.cells.gate_curve import GateCurve, LinearGate, TabulatedGate
from ohmweave.cells.linear import ConductanceState, LinearCell
from ohmweave.cells.protocol import RESET, SET, Device, Pulse, pulse_count
from ohmweave.cells.pulse_table import PulseTable
from ohmweave.cells.read_noise import WithReadNoise
from ohmweave.cells.relaxation import WithRelaxation
from ohmweave.cells.sinh_current import WithSinhCurrent, is_nonlinear
from ohmweave.cells.stuck import WithStuckCells
from ohmweave.cells.voltage import WithVoltageDependence, feels_voltage
from ohmweave.cells.wang2019 import wang2019
from ohmweave.cells.yao2020 import yao2020

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
    "aggregate",
    "exponential_steps",
    "feels_voltage",
    "is_nonlinear",
    "linear_steps",
    "load",
    "pulse_count",
    "save",
    "soft_bounds",
    "stellar2023",
    "wang2019",
    "yao2020",
]

"""Memristor cells: a switching law and optional parts for spread, voltage, retention, faults, conduction and noise."""

from ohmweave.cells.affine_step import AffineStep, aggregate, exponential_steps, linear_steps, soft_bounds
from ohmweave.cells.by_name import find, published
from ohmweave.cells.cell import Cell, CellState
from ohmweave.cells.cell_file import load, save
from ohmweave.cells.conduction import PolynomialConduction, SinhConduction
from ohmweave.cells.falcone2025 import falcone2025
from ohmweave.cells.flicker_noise import FlickerNoise
from ohmweave.cells.gate_compliance import GateCompliance
from ohmweave.cells.gate_curve import GateCurve, LinearGate, TabulatedGate
from ohmweave.cells.gated_states import GatedStates
from ohmweave.cells.laws import (
    ConductanceState,
    ConductionLaw,
    DirectPulses,
    FaultLaw,
    ReadNoiseLaw,
    RetentionLaw,
    SpreadLaw,
    SummedTrains,
    SwitchingLaw,
    VoltageLaw,
)
from ohmweave.cells.level_relaxation import LevelRelaxation
from ohmweave.cells.linear_step import LinearStep
from ohmweave.cells.pulse import RESET, SET, Pulse, pulse_count
from ohmweave.cells.pulse_table import PulseTable
from ohmweave.cells.read_noise import ReadNoise
from ohmweave.cells.relaxation import Relaxation
from ohmweave.cells.spread import Spread
from ohmweave.cells.stellar2023 import stellar2023
from ohmweave.cells.stretched_step import StretchedStep
from ohmweave.cells.stuck_cells import StuckCells
from ohmweave.cells.two_state import TwoState
from ohmweave.cells.voltage import VoltageDependence
from ohmweave.cells.wan2022 import wan2022
from ohmweave.cells.wang2019 import wang2019
from ohmweave.cells.yao2020 import yao2020

__all__ = [
    "RESET",
    "SET",
    "AffineStep",
    "Cell",
    "CellState",
    "ConductanceState",
    "ConductionLaw",
    "DirectPulses",
    "FaultLaw",
    "FlickerNoise",
    "GateCompliance",
    "GateCurve",
    "GatedStates",
    "LevelRelaxation",
    "LinearGate",
    "LinearStep",
    "PolynomialConduction",
    "Pulse",
    "PulseTable",
    "ReadNoise",
    "ReadNoiseLaw",
    "Relaxation",
    "RetentionLaw",
    "SinhConduction",
    "Spread",
    "SpreadLaw",
    "StretchedStep",
    "StuckCells",
    "SummedTrains",
    "SwitchingLaw",
    "TabulatedGate",
    "TwoState",
    "VoltageDependence",
    "VoltageLaw",
    "aggregate",
    "exponential_steps",
    "falcone2025",
    "find",
    "linear_steps",
    "load",
    "published",
    "pulse_count",
    "save",
    "soft_bounds",
    "stellar2023",
    "wan2022",
    "wang2019",
    "yao2020",
]

"""The bill: counted activity x cited costs, macros at their peak, and schedules of replicated layers."""

from ohmweave.cost.components import Component, ComponentCosts, Each, Per
from ohmweave.cost.ledger import Bill, Line, ledger
from ohmweave.cost.macro import Macro, Part
from ohmweave.cost.published import (
    ADC_ENERGY_YAO,
    COMPARATOR_ENERGY,
    GOPS_PER_W_V100,
    RESET_ENERGY_YAO,
    SET_ENERGY_YAO,
    comparators,
    isaac2016,
    sram_energy,
    wang2019_estimate,
    yao2020_periphery,
)
from ohmweave.cost.schedule import Job, Schedule, Stage, balance, pipeline, schedule

__all__ = [
    "ADC_ENERGY_YAO",
    "COMPARATOR_ENERGY",
    "GOPS_PER_W_V100",
    "RESET_ENERGY_YAO",
    "SET_ENERGY_YAO",
    "Bill",
    "Component",
    "ComponentCosts",
    "Each",
    "Job",
    "Line",
    "Macro",
    "Part",
    "Per",
    "Schedule",
    "Stage",
    "balance",
    "comparators",
    "isaac2016",
    "ledger",
    "pipeline",
    "schedule",
    "sram_energy",
    "wang2019_estimate",
    "yao2020_periphery",
]

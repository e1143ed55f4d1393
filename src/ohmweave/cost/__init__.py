"""Energy, time and area: counted activity times cited costs, macros at their peak, schedules of replicated layers."""

from ohmweave.cost.bill_items import BillItem
from ohmweave.cost.chip_costs import chip_costs
from ohmweave.cost.components import AreaBasis, Component, ComponentCosts, EnergyBasis
from ohmweave.cost.converter_prices import ADCDesign, ConverterPrice, adc_price, dac_price
from ohmweave.cost.ledger import Bill, ledger
from ohmweave.cost.macro import Macro, Part
from ohmweave.cost.network_schedule import LayerStage, network_schedule, network_stages, schedule_of, stages_of_bill
from ohmweave.cost.process import Process
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
from ohmweave.cost.shares import per_chip

__all__ = [
    "ADC_ENERGY_YAO",
    "COMPARATOR_ENERGY",
    "GOPS_PER_W_V100",
    "RESET_ENERGY_YAO",
    "SET_ENERGY_YAO",
    "ADCDesign",
    "AreaBasis",
    "Bill",
    "BillItem",
    "Component",
    "ComponentCosts",
    "ConverterPrice",
    "EnergyBasis",
    "Job",
    "LayerStage",
    "Macro",
    "Part",
    "Process",
    "Schedule",
    "Stage",
    "adc_price",
    "balance",
    "chip_costs",
    "comparators",
    "dac_price",
    "isaac2016",
    "ledger",
    "network_schedule",
    "network_stages",
    "per_chip",
    "pipeline",
    "schedule",
    "schedule_of",
    "sram_energy",
    "stages_of_bill",
    "wang2019_estimate",
    "yao2020_periphery",
]

"""Valid calls of everything public, by name: "package.name", or "package.name:variant", or "package.Class.method"."""

from tests.fuzz.cases.array_calls import ARRAY_CALLS
from tests.fuzz.cases.arrays import ARRAYS
from tests.fuzz.cases.bench import BENCH, NOT_FUZZED
from tests.fuzz.cases.cells import CELLS
from tests.fuzz.cases.chip_costs import CHIP_COSTS
from tests.fuzz.cases.circuit import CIRCUIT
from tests.fuzz.cases.cost import COST
from tests.fuzz.cases.evaluation import EVALUATION
from tests.fuzz.cases.explore import EXPLORE
from tests.fuzz.cases.fitting import FITTING
from tests.fuzz.cases.layers import LAYERS
from tests.fuzz.cases.mapping import MAPPING
from tests.fuzz.cases.networks import NETWORKS
from tests.fuzz.cases.rules import RULES
from tests.fuzz.runner import Case

CASES: dict[str, Case] = {
    **CELLS,
    **ARRAYS,
    **ARRAY_CALLS,
    **CIRCUIT,
    **MAPPING,
    **NETWORKS,
    **LAYERS,
    **RULES,
    **COST,
    **EVALUATION,
    **CHIP_COSTS,
    **EXPLORE,
    **FITTING,
    **BENCH,
}

PACKAGES = (
    "cells",
    "arrays",
    "circuit",
    "programming",
    "bench",
    "mapping",
    "nn",
    "optim",
    "cost",
    "fitting",
    "evaluation",
    "explore",
)

NOT_CALLED = {
    **NOT_FUZZED,
    # Bases of layers, which users' classes extend.
    **dict.fromkeys(["CompositeLayer", "SequenceLayer"], "a base class"),
    # Newer than the fuzzer.
    **dict.fromkeys(["CalibratedLayer", "CalibrationTable"], "not fuzzed yet"),
    **dict.fromkeys(["evaluate", "read_subject"], "files and whole runs: their own tests check what they refuse"),
    **dict.fromkeys(
        ["checked", "find_study", "read_study", "study", "write_parquet"],
        "files and whole runs: `tests.fuzz.studies` mutates study files",
    ),
    **dict.fromkeys(["cheapest", "front", "main_effects", "points_of"], "takes what `declare` and `study` return"),
    **dict.fromkeys(
        ["network_stages", "network_schedule", "per_chip", "stages_of_bill", "schedule_of"],
        "takes a network: its own tests check what it refuses",
    ),
    # Interfaces, which other code implements.
    **dict.fromkeys(
        [
            "ConductionLaw",
            "DirectPulses",
            "FaultLaw",
            "GateCurve",
            "ReadNoiseLaw",
            "RetentionLaw",
            "SpreadLaw",
            "SummedTrains",
            "SwitchingLaw",
            "VoltageLaw",
            "Access",
            "Array",
            "CompiledCells",
            "ConverterRanges",
            "StagedMapping",
            "corner_of",
            "CoupledCells",
            "PatchReads",
            "RangedConverters",
            "SavedState",
            "ScaledReads",
            "Law",
            "Settling",
            "Write",
            "Corner",
            "Clip",
            "InputScaling",
            "ProportionalScaling",
            "UniformScaling",
            "WeightMapping",
            "ArrayRule",
            "DropsSteps",
            "ExtraState",
            "WriteInterrupted",
            "WriteStoppedError",
            "DeployInterrupted",
        ],
        "an interface, a type or an error",
    ),
    # Results, which are returned and not made by users.
    **dict.fromkeys(
        [
            "CellState",
            "ConductanceState",
            "Activity",
            "Usage",
            "CellSolution",
            "CircuitPower",
            "CircuitSolution",
            "NonlinearSolution",
            "WriteReport",
            "Deployed",
            "Move",
            "Bill",
            "BillItem",
            "Schedule",
            "Agreement",
            "ConductionFit",
            "Thresholds",
            "PartFit",
            "CyclingState",
            "CyclingFit",
            "CellFit",
            "Fit",
            "LeftOut",
            "Measurement",
            "FittedLaw",
            "Interval",
            "NoiseFit",
            "RetentionFit",
            "ArrayWeight",
            "Pulse",
            "Accuracy",
            "Evaluation",
            "PropertyCost",
            "Subject",
            "Effect",
            "Exploration",
            "Figures",
            "Key",
            "LayerStage",
            "Stage",
            "Wear",
        ],
        "a result, or a plain record that is checked where it is used",
    ),
    # Constants and functions without arguments.
    **dict.fromkeys(
        [
            "RESET",
            "SET",
            "FLOATING",
            "UNASSIGNED",
            "ADC_ENERGY_YAO",
            "COMPARATOR_ENERGY",
            "GOPS_PER_W_V100",
            "RESET_ENERGY_YAO",
            "SET_ENERGY_YAO",
            "LAWS",
            "EFFORTS",
            "EVALUATION",
            "PERFECT",
            "PROPERTIES",
            "AreaBasis",
            "ADCDesign",
            "ConverterPrice",
            "EnergyBasis",
            "AlwaysOn",
            "PerSampleScaling",
            "published",
            "keys",
            "shipped",
            "yao2020_macro",
            "comparators",
            "isaac2016",
            "wang2019_estimate",
            "yao2020_periphery",
        ],
        "a constant, or takes no arguments",
    ),
    # Functions whose arguments are objects of these packages and nothing else.
    **dict.fromkeys(
        [
            "reported",
            "warn_if_many_failed",
            "defer_settling",
            "ToChip",
            "register_layer",
            "to_chip",
            "matrix_of",
            "ErrorLoss",
            "ConvLSTM",
            "batch_norm_pairs",
            "array_convolution",
            "array_product",
            "NoiseAware",
            "ChipLayer",
            "fold_batch_norm",
            "measured",
            "per_channel_scale",
            "recalibrate_batch_norm",
            "aggregate",
        ],
        "takes objects only, which have cases of their own",
    ),
    # Files have fuzzers of their own.
    **dict.fromkeys(["load", "save", "read_trains"], "see `test_files`"),
}
"""Public names without a case, and why."""

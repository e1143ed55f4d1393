"""Public names without a case, and why, by package."""

_INTERFACE = "an interface, which other code implements, or a name of a type"
_ERROR = "an error or a warning, which is raised and not made by users"
_RESULT = "a result, which is returned and not made by users"
_CONSTANT = "a constant or an enumeration"
_NO_ARGUMENTS = "takes no arguments"
_BASE = "a base class, which users extend"

_BY_REASON: dict[str, dict[str, str]] = {
    "cells": {
        _INTERFACE: "ConductionLaw DirectPulses FaultLaw GateCurve ReadNoiseLaw RetentionLaw SpreadLaw SummedTrains "
        "SwitchingLaw VoltageLaw",
        _RESULT: "CellState ConductanceState",
        _CONSTANT: "RESET SET",
        _NO_ARGUMENTS: "falcone2025 published",
    },
    "arrays": {
        _INTERFACE: "Access Array ClosedLoopWrites CompiledCells ConverterRanges Corner CoupledCells PatchReads "
        "RangedConverters SavedState ScaledReads",
        _RESULT: "Activity Usage",
        _CONSTANT: "CellCondition UNASSIGNED",
        "takes a placement, which `Placement` has checked": "corner_of",
        "made by write schemes, which check their arguments": "ClosedLoop",
    },
    "circuit": {
        _INTERFACE: "Law",
        _RESULT: "CellSolution CircuitPower CircuitSolution NonlinearSolution SettledColumns",
        _CONSTANT: "FLOATING",
    },
    "programming": {
        _INTERFACE: "CheckedWrite Settling Write",
        _ERROR: "WriteInterrupted WriteStoppedError",
        _RESULT: "WriteCheck WriteReport",
        "takes reports, which writes return": "warn_if_many_failed",
    },
    "bench": {
        _INTERFACE: "BatchSense Compliance DrivenColumns Driver Gated OnBench Thermometer",
        _ERROR: "AbortedError DriverError FormingInterrupted FormingStoppedError HungError LimitError "
        "PulsesInterrupted PulsesStoppedError RemoteError RemoteFailure ReplayError ReplayedFailure UnmeasuredWarning",
        _RESULT: "Conformance Event Failure Finding FormingReport LogHeader Station",
        _CONSTANT: "Kind",
        "the same as in `arrays`": "CellCondition CellMap",
        _BASE: "Wrapper",
    },
    "mapping": {_INTERFACE: "Clip Corner InputScaling ProportionalScaling StagedMapping UniformScaling WeightMapping"},
    "nn": {
        _BASE: "CompositeLayer SequenceLayer",
        _ERROR: "DeployInterrupted",
        "made by layers, whose constructors have cases": "ArrayWeight",
        "made by `deploy` with `replicas`": "ConvReplicas LinearReplicas Replicas",
        "takes functions and types of a program's own layers": "ToChip register_layer",
    },
    "optim": {_INTERFACE: "ArrayRule DropsSteps ExtraState", "made by rules, in each step": "Move"},
    "cost": {
        _CONSTANT: "ADCDesign ADC_ENERGY_YAO AreaBasis COMPARATOR_ENERGY EnergyBasis GOPS_PER_W_V100 RESET_ENERGY_YAO "
        "SET_ENERGY_YAO",
        _RESULT: "Bill",
        _NO_ARGUMENTS: "comparators isaac2016 wang2019_estimate yao2020_periphery",
        "takes a network or its stages; its own tests have what it refuses": "network_stages schedule_of "
        "stages_of_bill",
    },
    "explore": {
        _RESULT: "Effect Exploration Figures",
        _CONSTANT: "Key Stage",
        _NO_ARGUMENTS: "keys shipped",
        "files and whole runs: `tests.fuzz.studies` mutates study files": "checked find_study read_study study "
        "write_parquet",
        "takes what `declare` and `study` return": "cheapest front main_effects points_of",
    },
    "fitting": {
        _RESULT: "Agreement AmplitudeFit CellFit ConductionFit CyclingFit CyclingState Fit FittedLaw Measurement "
        "NoiseFit PartFit RetentionFit Thresholds",
        _CONSTANT: "LAWS",
    },
    "evaluation": {
        _RESULT: "Accuracy Comparison Evaluation PropertyCost Start Subject",
        "runs for a minute; `tests/evaluation/test_compare.py` has what it refuses": "compare compared_cells "
        "contenders",
        _CONSTANT: "COMPARISON EFFORTS EVALUATION PERFECT PROPERTIES",
        "runs for minutes; `tests/evaluation/test_evaluate.py` has what it refuses": "evaluate",
    },
    "data": {
        _CONSTANT: "DATASETS MEASURED_SETS",
        _RESULT: "FoundFile MeasuredFile MeasuredSet MissingFile",
        "files of fixed checksums; `tests/data/test_measured.py` has damaged ones": "measured measured_files",
    },
    "experiments": {
        _INTERFACE: "Acceptance Estimator JSON Progress",
        _ERROR: "ExperimentError RowWarning",
        _RESULT: "Finding LeftOut",
        _CONSTANT: "BETTER EXPLAINED HIGHER LOWER MET NOT_COMPARABLE NOT_JUDGED NOT_MET NOT_RUN REPRODUCED "
        "VERDICTS WORSE",
        _NO_ARGUMENTS: "experiments load_installed",
        "takes an experiment, which `Experiment` has checked": "register",
        "starts processes; its arguments are those of `run_experiment`": "local_scheduler n_workers run_distributed",
    },
    "plot": {
        _CONSTANT: "COLOURS MARKS STYLE",
        "writes what the other functions draw; `tests/plot/test_figures.py` has what it refuses": "save_figure",
    },
    "report": {
        _CONSTANT: "DETAILS OHMWEAVE REFERENCES",
        _ERROR: "NotMadeWarning",
        "a work that can be cited, made in this package alone": "Reference",
        "takes rows and experiments, which are checked when they are made": "bibtex cited other_sources",
    },
    "testing": {"classes of tests": "ArrayContract CellContract LayerContract RuleContract"},
}

NOT_CALLED: dict[str, str] = {
    f"{package}.{name}": reason
    for package, reasons in _BY_REASON.items()
    for reason, names in reasons.items()
    for name in names.split()
}
"""Reasons by "package.name"."""

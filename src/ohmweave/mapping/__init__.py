"""Signed weight matrices on chips: placement, pairs of conductances, input scaling, and the `Matrix` itself."""

from ohmweave.arrays import Corner
from ohmweave.mapping.centred import CentredPair
from ohmweave.mapping.chip import Chip
from ohmweave.mapping.clip import Clip, DeviationClip, QuantileClip
from ohmweave.mapping.differential import DifferentialPair
from ohmweave.mapping.fault_aware import FaultAware
from ohmweave.mapping.matrix import Matrix
from ohmweave.mapping.residual import ResidualPairs, split_error
from ohmweave.mapping.scaling import FixedScaling, InputScaling, PerSampleScaling, ProportionalScaling, UniformScaling
from ohmweave.mapping.weight_mapping import StagedMapping, WeightMapping

__all__ = [
    "CentredPair",
    "Chip",
    "Clip",
    "Corner",
    "DeviationClip",
    "DifferentialPair",
    "FaultAware",
    "FixedScaling",
    "InputScaling",
    "Matrix",
    "PerSampleScaling",
    "ProportionalScaling",
    "QuantileClip",
    "ResidualPairs",
    "StagedMapping",
    "UniformScaling",
    "WeightMapping",
    "split_error",
]

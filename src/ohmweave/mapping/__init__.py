"""Weights on chips: room, differential pairs, scales, and the matrix that is written and read."""

from ohmweave.mapping.centred import CentredPair
from ohmweave.mapping.chip import Chip, Corner
from ohmweave.mapping.differential import DifferentialPair
from ohmweave.mapping.matrix import Matrix
from ohmweave.mapping.scaling import FixedScaling, InputScaling, PerSampleScaling, ProportionalScaling, UniformScaling
from ohmweave.mapping.weight_mapping import WeightMapping

__all__ = [
    "CentredPair",
    "Chip",
    "Corner",
    "DifferentialPair",
    "FixedScaling",
    "InputScaling",
    "Matrix",
    "PerSampleScaling",
    "ProportionalScaling",
    "UniformScaling",
    "WeightMapping",
]

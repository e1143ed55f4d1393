"""Weights on chips: room, differential pairs, scales, and the matrix that is written and read."""

from memweave.mapping.centred import CentredPair
from memweave.mapping.chip import Chip, Corner
from memweave.mapping.differential import DifferentialPair
from memweave.mapping.matrix import Matrix
from memweave.mapping.protocol import WeightMapping
from memweave.mapping.scaling import FixedScaling, InputScaling, PerSampleScaling

__all__ = [
    "CentredPair",
    "Chip",
    "Corner",
    "DifferentialPair",
    "FixedScaling",
    "InputScaling",
    "Matrix",
    "PerSampleScaling",
    "WeightMapping",
]

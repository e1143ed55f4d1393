"""Weights on chips: room, differential pairs, scales, and the matrix that is written and read."""

from ohmweave.mapping.centred import CentredPair
from ohmweave.mapping.chip import Chip, Corner
from ohmweave.mapping.differential import DifferentialPair
from ohmweave.mapping.matrix import Matrix
from ohmweave.mapping.protocol import WeightMapping
from ohmweave.mapping.scaling import FixedScaling, InputScaling, PerSampleScaling

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

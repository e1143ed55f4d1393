"""Layers on a chip, with torch's own signatures, and `deploy` for whole models."""

from memweave.nn.batch_norm import batch_norm_pairs, fold_batch_norm, per_channel_scale, recalibrate_batch_norm
from memweave.nn.binary import AlwaysOn, BinaryStep, ErrorLoss, MarginError, ThresholdError
from memweave.nn.calibrate import calibrate
from memweave.nn.conv import Conv2d, patches
from memweave.nn.conv_lstm import ConvLSTM, ConvLSTMCell
from memweave.nn.converters import calibrate_converters
from memweave.nn.deploy import Deployed, OnChip, deploy
from memweave.nn.linear import Linear
from memweave.nn.lstm import LSTMCell
from memweave.nn.measured import measured
from memweave.nn.noise_aware import NoiseAware
from memweave.nn.product import array_product, fold_chips, unfold_chips
from memweave.nn.weight import ArrayWeight, matrix_of

__all__ = [
    "AlwaysOn",
    "ArrayWeight",
    "BinaryStep",
    "Conv2d",
    "ConvLSTM",
    "ConvLSTMCell",
    "Deployed",
    "ErrorLoss",
    "LSTMCell",
    "Linear",
    "MarginError",
    "NoiseAware",
    "OnChip",
    "ThresholdError",
    "array_product",
    "batch_norm_pairs",
    "calibrate",
    "calibrate_converters",
    "deploy",
    "fold_batch_norm",
    "fold_chips",
    "matrix_of",
    "measured",
    "patches",
    "per_channel_scale",
    "recalibrate_batch_norm",
    "unfold_chips",
]

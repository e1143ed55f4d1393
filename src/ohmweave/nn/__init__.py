"""Layers on a chip, with torch's own signatures, and `deploy` for whole models."""

from ohmweave.nn.batch_norm import batch_norm_pairs, fold_batch_norm, per_channel_scale, recalibrate_batch_norm
from ohmweave.nn.binary import AlwaysOn, BinaryStep, ErrorLoss, MarginError, ThresholdError
from ohmweave.nn.calibrate import calibrate
from ohmweave.nn.checkpoint import load, save
from ohmweave.nn.conv import Conv2d, patches
from ohmweave.nn.conv_lstm import ConvLSTM, ConvLSTMCell
from ohmweave.nn.converters import calibrate_converters
from ohmweave.nn.deploy import Deployed, OnChip, deploy
from ohmweave.nn.linear import Linear
from ohmweave.nn.lstm import LSTMCell
from ohmweave.nn.measured import measured
from ohmweave.nn.noise_aware import NoiseAware
from ohmweave.nn.product import array_product, fold_chips, unfold_chips
from ohmweave.nn.weight import ArrayWeight, matrix_of

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
    "load",
    "matrix_of",
    "measured",
    "patches",
    "per_channel_scale",
    "recalibrate_batch_norm",
    "save",
    "unfold_chips",
]

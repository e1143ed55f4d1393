"""Layers on a chip, with torch's own signatures, and `deploy` for whole models."""

from ohmweave.base import DeployInterrupted
from ohmweave.nn.array_convolution import array_convolution
from ohmweave.nn.array_product import array_product
from ohmweave.nn.attention import MultiheadAttention
from ohmweave.nn.balanced import Balanced
from ohmweave.nn.batch_norm import batch_norm_pairs, fold_batch_norm, per_channel_scale, recalibrate_batch_norm
from ohmweave.nn.bilinear import Bilinear
from ohmweave.nn.binary import AlwaysOn, BinaryStep, ErrorLoss, MarginError, ThresholdError
from ohmweave.nn.calibrate import calibrate
from ohmweave.nn.calibrate_parts import calibrate_converters, calibrate_inputs
from ohmweave.nn.calibration_table import CalibratedLayer, CalibrationTable
from ohmweave.nn.checkpoint import load, save
from ohmweave.nn.chip_batch import merge_chips, split_chips
from ohmweave.nn.chip_layer import ChipLayer
from ohmweave.nn.composite import CompositeLayer, SequenceLayer, ToLayers, register_composite
from ohmweave.nn.conv1d import Conv1d
from ohmweave.nn.conv2d import Conv2d, patches
from ohmweave.nn.conv3d import Conv3d
from ohmweave.nn.conv_lstm import ConvLSTM, ConvLSTMCell
from ohmweave.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ohmweave.nn.deploy import deploy
from ohmweave.nn.deployed import Deployed
from ohmweave.nn.embedding import Embedding
from ohmweave.nn.layer_registry import ToChip, register_layer, to_chip
from ohmweave.nn.layer_table import LayerRow
from ohmweave.nn.linear import Linear
from ohmweave.nn.lstm import LSTMCell, RNNCell
from ohmweave.nn.measured import measured
from ohmweave.nn.nests import Shared
from ohmweave.nn.noise_aware import NoiseAware
from ohmweave.nn.on_chip import OnChip
from ohmweave.nn.plan import Plan, plan
from ohmweave.nn.quantised_relu import QuantisedReLU
from ohmweave.nn.recurrent import GRU, LSTM, RNN, GRUCell
from ohmweave.nn.replicas import ConvReplicas, LinearReplicas, Replicas, sum_replica_gradients
from ohmweave.nn.weight import ArrayWeight, matrix_of

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AlwaysOn",
    "ArrayWeight",
    "Balanced",
    "Bilinear",
    "BinaryStep",
    "CalibratedLayer",
    "CalibrationTable",
    "ChipLayer",
    "CompositeLayer",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvLSTM",
    "ConvLSTMCell",
    "ConvReplicas",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DeployInterrupted",
    "Deployed",
    "Embedding",
    "ErrorLoss",
    "GRUCell",
    "LSTMCell",
    "LayerRow",
    "Linear",
    "LinearReplicas",
    "MarginError",
    "MultiheadAttention",
    "NoiseAware",
    "OnChip",
    "Plan",
    "QuantisedReLU",
    "RNNCell",
    "Replicas",
    "SequenceLayer",
    "Shared",
    "ThresholdError",
    "ToChip",
    "ToLayers",
    "array_convolution",
    "array_product",
    "batch_norm_pairs",
    "calibrate",
    "calibrate_converters",
    "calibrate_inputs",
    "deploy",
    "fold_batch_norm",
    "load",
    "matrix_of",
    "measured",
    "merge_chips",
    "patches",
    "per_channel_scale",
    "plan",
    "recalibrate_batch_norm",
    "register_composite",
    "register_layer",
    "save",
    "split_chips",
    "sum_replica_gradients",
    "to_chip",
]

"""Whole epochs of single-sample training in one call, for simulated chips on the CPU.

With Numba (`ohmweave[fast]`) their loops are compiled (`compiled_loops`), without it they run in NumPy (`plain_loops`):
the bits are the same. The reference is the torch version (the layers of `ohmweave.nn`, `SignPulse`, `Stellar`). Without
noise the two agree pulse for pulse; with noise they draw different numbers from the same distribution.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.arrays.compiled_cells import LoopCells, compiled_cells, pair_cells, pair_matrix
from ohmweave.base import (
    OutOfRangeError,
    ShapeError,
    check_integer,
    check_non_negative,
    check_positive,
    check_shape,
    has_numba,
)
from ohmweave.mapping import Matrix
from ohmweave.nn import BinaryStep, Linear, MarginError, ThresholdError
from ohmweave.optim.sign_pulse import SignPulse
from ohmweave.optim.stellar import Stellar


def sign_epoch(
    first: Linear,
    step: BinaryStep,
    second: Linear,
    error: MarginError,
    rule: SignPulse,
    x: torch.Tensor,
    labels: torch.Tensor,
) -> int:
    """One epoch of sign backpropagation, sample by sample, with a bias row (`AlwaysOn`) before each layer.

    Args:
        first: layer on the chip, with in + 1 inputs.
        step: the comparators between the layers.
        second: layer on the same chip, with hidden + 1 inputs.
        error: error signal of the outputs.
        rule: the rule of both layers. Its alternating cycle is continued, and `n_steps` grows by the number of samples.
        x: `(n, in)`, 0 or 1, in the order of training.
        labels: `(n,)` int64, from 0 to the number of outputs - 1.

    Returns:
        Number of errors that were not 0, summed over outputs, samples and chips.

    Raises:
        ShapeError: `x` or `labels` has another shape.
        OutOfRangeError: `x` is not binary, a label is out of range, a tensor is not on the CPU, the layers are on
            different chips, the rule has other weights, or as in `compiled_cells`. Nothing is changed then.
    """
    _check_samples(x, labels, first.in_features - 1, second.out_features)
    on = x > 0
    if not torch.equal(on.to(x.dtype), x):
        raise OutOfRangeError("`x` must be binary, 0 or 1, but has other values: compare it with a threshold first")
    if second.in_features != first.out_features + 1:
        raise ShapeError(f"`second` must have {first.out_features + 1} inputs, but has {second.in_features}")
    if first.matrix.chip.array is not second.matrix.chip.array:
        raise OutOfRangeError("`first` and `second` must be on the same chip, but are not")
    group = _group_of(rule, first, second)
    array = first.matrix.chip.array
    matrices = first.matrix, second.matrix
    with compiled_cells(array) as cells:  # first, since it refuses arrays that are not on the CPU
        pairs = [pair_cells(array, matrix.placement) for matrix in matrices]
        signed = [pair_matrix(cells, pair) for pair in pairs]
        cells.n_set, cells.n_reset, n_errors = _loops().sign_loop(
            np.ascontiguousarray(torch.nn.functional.pad(on, (0, 1), value=True).numpy()),
            labels.numpy(),
            *(signed[0], pairs[0], matrices[0].g_per_w),
            *(signed[1], pairs[1], matrices[1].g_per_w),
            cells.g,
            cells.law,
            (error.margin, step.threshold, step.half_width),
            rule.n_steps,
            group["cycle"] == "both",
            cells.key,
        )
        # Each sample on each chip reads every tile once forward, and those of the second layer once transposed.
        n_tiles = len(matrices[0].placement.tiles) + 2 * len(matrices[1].placement.tiles)
        cells.n_reads = len(x) * n_tiles * len(signed[0])
    rule.n_steps += len(x)
    return int(n_errors)


def stellar_epoch(layer: Linear, error: ThresholdError, rule: Stellar, x: torch.Tensor, labels: torch.Tensor) -> None:
    """One epoch of STELLAR, sample by sample.

    Args:
        layer: layer on the chip.
        error: error signal of its outputs.
        rule: the rule of the layer, which gives `gate` and `cycle`. `n_steps` grows by the number of samples.
        x: `(n, in)`, inputs >= 0 of the layer, in the order of training.
        labels: `(n,)` int64, from 0 to the number of outputs - 1.

    Raises:
        ShapeError: `x` or `labels` has another shape.
        OutOfRangeError: an input is negative or not finite, a label is out of range, a tensor is not on the CPU, the
            rule has other weights, or as in `compiled_cells`. Nothing is changed then.
    """
    _check_inputs(layer, x, labels)
    matrix, group = layer.matrix, _group_of(rule, layer)
    with _cells_of(matrix) as (cells, pairs, signed):
        cells.n_set, cells.n_reset = _loops().stellar_loop(
            x.numpy(),
            labels.numpy(),
            signed,
            pairs,
            matrix.g_per_w,
            cells.g,
            cells.law,
            (error.threshold, error.target, group["gate"]),
            rule.n_steps,
            group["cycle"] == "both",
            cells.key,
        )
        cells.n_reads = len(x) * len(matrix.placement.tiles) * len(signed)
    rule.n_steps += len(x)


def gradient_epoch(
    layer: Linear,
    x: torch.Tensor,
    labels: torch.Tensor,
    *,
    target: float,
    lr: float,
    tolerance: float | None,
    max_pulses: int,
    g_step: float,
) -> int:
    """One epoch of backpropagation in the last layer, sample by sample: the baseline for STELLAR.

    With the error e = t - relu(z) and the input y, the target of each pair changes by dG = lr * e * y * g_per_w, half
    of it in each cell, and is written after each sample.

    Args:
        layer: layer on the chip.
        x: `(n, in)`, inputs >= 0 of the layer, in the order of training.
        labels: `(n,)` int64, from 0 to the number of outputs - 1.
        target: t of the label, > 0, in units of the output; t is 0 for the other classes.
        lr: > 0, per unit weight.
        tolerance: S, >= 0. Each cell is pulsed and read until its conductance is this near to its new target. None:
            no verify, a single pulse to each cell whose step is at least half of `g_step`.
        max_pulses: greatest number of pulses to a cell in one write, >= 1.
        g_step: S, > 0, the step of a pulse as the controller assumes it.

    Returns:
        Number of verify reads of single cells.

    Raises:
        ShapeError: `x` or `labels` has another shape.
        OutOfRangeError: an argument is out of range, an input is negative or not finite, a label is out of range, a
            tensor is not on the CPU, or as in `compiled_cells`. Nothing is changed then.
    """
    check_positive("target", target)
    check_positive("lr", lr)
    check_positive("g_step", g_step, "S")
    check_integer("max_pulses", max_pulses, at_least=1)
    if tolerance is not None:
        check_non_negative("tolerance", tolerance, "S")
    _check_inputs(layer, x, labels)
    matrix = layer.matrix
    with _cells_of(matrix) as (cells, pairs, signed):
        cells.n_set, cells.n_reset, n_verify = _loops().gradient_loop(
            x.numpy(),
            labels.numpy(),
            signed,
            pairs,
            matrix.g_per_w,
            cells.g,
            cells.law,
            (target, lr, -1.0 if tolerance is None else tolerance, max_pulses, g_step),
            cells.key,
        )
        cells.n_reads = len(x) * len(matrix.placement.tiles) * len(signed)
    return int(n_verify)


def _loops() -> Any:
    """The module of the loops: compiled, or in NumPy where there is no Numba."""
    if has_numba():
        from ohmweave.optim import compiled_loops

        return compiled_loops
    from ohmweave.optim import plain_loops

    return plain_loops


@contextmanager
def _cells_of(matrix: Matrix) -> Iterator[tuple[LoopCells, NDArray[np.int32], Any]]:
    """Cells, indices of the pairs and signed matrix of a last layer that learns alone; see `compiled_cells`."""
    array = matrix.chip.array
    with compiled_cells(array) as cells:
        pairs = pair_cells(array, matrix.placement)
        yield cells, pairs, pair_matrix(cells, pairs)


def _check_inputs(layer: Linear, x: torch.Tensor, labels: torch.Tensor) -> None:
    """As `_check_samples`, and raise `OutOfRangeError` if an input of a last layer is negative."""
    _check_samples(x, labels, layer.in_features, layer.out_features)
    if bool((x < 0).any()):
        raise OutOfRangeError(f"`x` must be >= 0, but its smallest value is {float(x.min())!r}")


def _check_samples(x: torch.Tensor, labels: torch.Tensor, n_in: int, n_out: int) -> None:
    """Raise an error that names the argument unless `x` is `(n, n_in)` and finite, and `labels` are n classes."""
    check_shape("x", x, (n_in,))
    if x.dim() != 2:
        raise ShapeError(f"`x` must have the shape (n, {n_in}), but has {tuple(x.shape)}")
    if tuple(labels.shape) != (len(x),):
        raise ShapeError(
            f"`labels` must have the shape ({len(x)},), one for each row of `x`, but has {tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64:
        raise OutOfRangeError(f"`labels` must be int64, but are {labels.dtype}")
    for name, part in (("x", x), ("labels", labels)):
        if part.device.type != "cpu":
            raise OutOfRangeError(f"`{name}` must be on the CPU, but is on {part.device}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < n_out:
        raise OutOfRangeError(
            f"`labels` must be from 0 to {n_out - 1}, but are from {int(labels.min())} to {int(labels.max())}"
        )
    # The sum is the cheapest test. It may overflow although all numbers are finite, so check each of them then.
    if not bool(x.sum().isfinite()) and not bool(x.isfinite().all()):
        raise OutOfRangeError("`x` must be finite, but has values that are NaN or infinite")


def _group_of(rule: SignPulse | Stellar, *layers: Linear) -> dict[str, object]:
    """The parameter group of `rule`. Raises `OutOfRangeError` unless it has the weights of `layers` and no others."""
    wanted = {id(layer.weight) for layer in layers}
    if len(rule.param_groups) != 1 or {id(weight) for weight in rule.weights} != wanted:
        names = ", ".join(layer.matrix.name for layer in layers)
        raise OutOfRangeError(f"`rule` must have the weights of {names} in one group, and no others, but is {rule!r}")
    return rule.param_groups[0]

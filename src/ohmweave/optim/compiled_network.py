"""One step of a feed-forward network of linear layers, compiled. Needs Numba (`ohmweave[fast]`); see `epoch`.

`learn` runs a batch forward and backward and counts the pulses of each weight; `send` gives them to the cells and keeps
the signed matrices up to date. Between them the caller draws the noise of the pulses, with torch's generator.

In both, `sizes` is `(layers, 7)` int64: inputs, outputs, the first of the layer's weights in arrays of all layers'
weights, the activation (see `ACTIVATIONS`), 1 if the last input is always on, 1 for a transposed read in the backward
pass, and the number of tiles. Weights are in the order (out, in); `signed` alone is in the order (in, out), S.
"""

from typing import Any

import numpy as np

from ohmweave.arrays.compiled_pulses import after_train, signed_of
from ohmweave.base.extras import compiled
from ohmweave.optim.compiled_counts import number
from ohmweave.optim.step_counts import WHOLE

HUGE = 1e30
"""Of gradients and pulses: beyond it a step is left to torch, which tells what is not finite."""
ACTIVATIONS = ("none", "relu", "sigmoid", "tanh")


def _activate(y: Any, kind: int) -> None:
    """Replace `y`, flat, by its activation."""
    one = y.dtype.type(1)
    for i in range(len(y)):
        if kind == 1:
            y[i] = max(y[i], y.dtype.type(0))
        elif kind == 2:
            y[i] = one / (one + np.exp(-y[i]))
        elif kind == 3:
            y[i] = np.tanh(y[i])


def _times_slope(d: Any, y: Any, kind: int) -> None:
    """Multiply `d`, flat, by the derivative of the activation whose result is `y`."""
    one = y.dtype.type(1)
    for i in range(len(y)):
        if kind == 1 and y[i] <= 0:
            d[i] = 0
        elif kind == 2:
            d[i] *= (one - y[i]) * y[i]
        elif kind == 3:
            d[i] *= one - y[i] * y[i]


def _product(x: Any, f: Any) -> Any:
    """`x @ f`; a single row is a sum over the inputs that are not 0."""
    if x.shape[0] > 1:
        return np.dot(x, f)
    y = np.zeros((1, f.shape[1]), f.dtype)
    for i in range(x.shape[1]):
        if x[0, i] != 0:
            y[0] += x[0, i] * f[i]
    return y


def _cross_entropy(y: Any, labels: Any, mean: bool) -> tuple[float, Any]:
    """The loss of outputs `(batch, n)` and its gradient; its mean over the batch, or the sum."""
    d, loss = np.empty_like(y), 0.0
    share = y.dtype.type(len(y) if mean else 1)
    for b in range(len(y)):
        top = y[b].max()
        total = y.dtype.type(0)
        for j in range(y.shape[1]):
            d[b, j] = np.exp(y[b, j] - top)
            total += d[b, j]
        loss += np.log(np.float64(total)) + np.float64(top) - np.float64(y[b, labels[b]])
        for j in range(y.shape[1]):
            d[b, j] /= total
            if j == labels[b]:
                d[b, j] -= y.dtype.type(1)
            d[b, j] /= share
    return loss / np.float64(share), d


activate: Any = compiled(_activate)
times_slope: Any = compiled(_times_slope)
product: Any = compiled(_product)
cross_entropy: Any = compiled(_cross_entropy)


def _count_layer(
    d: Any,
    x: Any,
    at: int,
    kind: int,
    per_grad: Any,
    limit: int,
    key: np.uint64,
    memory: Any,
    index: Any,
    count: Any,
    clipped: bool,
) -> tuple[int, bool]:
    """The pulses of one layer, whose weights begin `at`, into `index` and `count` from there on.

    Args:
        d: `(batch, out)`, gradient of the outputs.
        x: `(batch, in)`.
        at: see above.
        kind: of the law; see `step_counts`.
        per_grad: pulses per unit of the gradient.
        limit: greatest number of pulses.
        key: of the random numbers.
        memory: of all weights, if the law has one.
        index: numbers of weights within the layer.
        count: numbers of pulses.
        clipped: True if `memory` may hold whole pulses that the last step left.

    Returns:
        The number of weights with pulses, and the new `clipped`.
    """
    n_out, n_in, found, left = d.shape[1], x.shape[1], 0, False
    single = d.shape[0] == 1
    # Of one sample the gradient is a product of inputs and errors: only rows and columns that are not 0 are visited.
    used = np.nonzero(x[0])[0] if single and not clipped else np.arange(n_in)
    grad = np.empty((1, 1), d.dtype) if single else np.dot(np.ascontiguousarray(d.T), x)
    for o in range(n_out):
        if single and not clipped and d[0, o] == 0:
            continue
        for i in used:
            wanted, n, place = (d[0, o] * x[0, i] if single else grad[o, i]) * per_grad, 0, o * n_in + i
            if kind == WHOLE:
                wanted = memory[at + place] + wanted
                if abs(wanted) >= 1:
                    n = number(kind, wanted, limit, key, place)
                    wanted -= d.dtype.type(n)
                    left |= abs(wanted) >= 1
                memory[at + place] = wanted
            elif wanted != 0:
                n = number(kind, wanted, limit, key, place)
            if n != 0:
                index[at + found], count[at + found] = place, n
                found += 1
    return found, left


count_layer: Any = compiled(_count_layer)


def _learn(
    x: Any,
    labels: Any,
    mean: bool,
    sizes: Any,
    signed: Any,
    g_per_w: Any,
    kinds: Any,
    per_grad: Any,
    limits: Any,
    keys: Any,
    memory: Any,
    clipped: Any,
    index: Any,
    count: Any,
    n_found: Any,
    stale: Any,
    books: Any,
) -> float:
    """Forward, loss, backward, and the numbers of pulses of one batch.

    Args:
        x: `(batch, in)`.
        labels: `(batch,)`.
        mean: True for the mean of the loss over the batch, False for its sum.
        sizes: see the module.
        signed: `(weights,)` S, of all layers.
        g_per_w: `(layers,)` S.
        kinds: `(layers,)`; this and the next ones as in `_count_layer`.
        per_grad: `(layers,)`.
        limits: `(layers,)`.
        keys: `(layers,)`.
        memory: `(weights,)`, or `(0,)`.
        clipped: `(layers,)` bool, changed.
        index: `(weights,)`, changed.
        count: `(weights,)`, changed.
        n_found: `(layers,)`, weights with pulses, changed; -1 in the first entry if a gradient is `HUGE` or not finite,
            and then nothing was counted.
        stale: `(layers,)` bool, True if pulses were sent since the last readout; changed.
        books: `(4,)`: reads, weights read out, SET and RESET pulses, to which is added.

    Returns:
        The loss.
    """
    n_layers, batch = len(sizes), len(x)
    inputs = [x]
    for at in range(n_layers):
        n_in, n_out, first = sizes[at, 0], sizes[at, 1], sizes[at, 2]
        if sizes[at, 4]:
            wide = np.ones((batch, n_in), x.dtype)
            wide[:, : n_in - 1] = inputs[at]
            inputs[at] = wide
        f = signed[first : first + n_in * n_out].reshape((n_in, n_out))
        y = product(inputs[at], f) * (x.dtype.type(1) / g_per_w[at])
        books[0] += batch * sizes[at, 6]
        # As the layers do: the backward pass needs the weight, which is read out again if it is stale.
        if at > 0 and not sizes[at, 5] and stale[at]:
            books[1] += n_in * n_out
            stale[at] = False
        activate(y.reshape(-1), sizes[at, 3])
        inputs.append(y)
    loss, d = cross_entropy(inputs[n_layers], labels, mean)
    errors = [d]
    for at in range(n_layers - 1, 0, -1):
        n_in, n_out, first = sizes[at, 0], sizes[at, 1], sizes[at, 2]
        f = signed[first : first + n_in * n_out].reshape((n_in, n_out))
        below = np.dot(errors[-1], f.T) * (x.dtype.type(1) / g_per_w[at])
        d = np.ascontiguousarray(below[:, : n_in - sizes[at, 4]])
        outputs = np.ascontiguousarray(inputs[at][:, : n_in - sizes[at, 4]])
        times_slope(d.reshape(-1), outputs.reshape(-1), sizes[at - 1, 3])
        books[0] += batch * sizes[at, 6] * sizes[at, 5]
        errors.append(d)
    for at in range(n_layers):
        # A bound of all gradients of the layer, and of all wanted pulses.
        bound = np.float64(np.abs(errors[n_layers - 1 - at]).max()) * np.float64(np.abs(inputs[at]).max()) * batch
        if not bound * max(1.0, abs(np.float64(per_grad[at]))) < HUGE:
            n_found[0] = -1
            return loss
    for at in range(n_layers):
        d, first = errors[n_layers - 1 - at], sizes[at, 2]
        n_found[at], clipped[at] = count_layer(
            d, inputs[at], first, kinds[at], per_grad[at], limits[at], keys[at], memory, index, count, clipped[at]
        )
    return loss


learn: Any = compiled(_learn)


def _numbers(sizes: Any, width: int, summed: bool, count: Any, n_found: Any, n_numbers: Any) -> None:
    """Normal numbers that the pulses of each layer take, into `n_numbers`, `(layers,)`; see `_send`."""
    for at in range(len(sizes)):
        total, first = 0, sizes[at, 2]
        for k in range(first, first + n_found[at]):
            total += width * (1 if summed else abs(count[k]))
        n_numbers[at] = total


numbers: Any = compiled(_numbers)


def _send(
    sizes: Any,
    only: int,
    index: Any,
    count: Any,
    n_found: Any,
    raising: Any,
    lowering: Any,
    by_weight: Any,
    row_gain: Any,
    col_gain: Any,
    g: Any,
    factor: Any,
    z: Any,
    signed: Any,
    stale: Any,
    books: Any,
    offset: Any,
    slope: Any,
    spread: Any,
    g_min: Any,
    bins_per_s: Any,
    g_max: Any,
    z_max: Any,
    summed: bool,
) -> None:
    """Send the pulses that `learn` counted, in the order of `pulses.send_steps` and `table_pulses.send_trains`.

    Args:
        sizes: see the module.
        only: SET, RESET, or 0 for both.
        index: as `learn` left it; likewise `count` and `n_found`.
        count: see `index`.
        n_found: see `index`.
        raising: `(weights, half)`, cells that raise a weight by a SET.
        lowering: `(weights, half)`, cells that lower it.
        by_weight: `(weights, H * C)`, cells of a weight.
        row_gain: H factors.
        col_gain: C factors.
        g: S, of all cells; changed.
        factor: of the steps of all cells, or `(0,)`.
        z: normal numbers of the pulses of all layers; `(0,)` without noise.
        signed: as in `learn`; changed.
        stale: likewise.
        books: likewise.
        offset: this and the others as in `table_pulses.StepTables`.
        slope: likewise.
        spread: likewise.
        g_min: likewise.
        bins_per_s: likewise.
        g_max: likewise.
        z_max: likewise.
        summed: likewise.
    """
    used = 0
    for layer in range(len(sizes)):
        n_in, n_out, first = sizes[layer, 0], sizes[layer, 1], sizes[layer, 2]
        stale[layer] |= n_found[layer] > 0
        for k in range(first, first + n_found[layer]):
            weight, up, n = first + index[k], count[k] > 0, abs(count[k])
            for side in range(2):
                sign = 1 if up == (side == 0) else -1
                if only != 0 and sign != only:
                    continue
                for copy in range(raising.shape[1]):
                    at = raising[weight, copy] if side == 0 else lowering[weight, copy]
                    own = factor[at] if len(factor) else g.dtype.type(1)
                    row = 0 if sign > 0 else 1
                    g[at] = after_train(
                        g[at], own, row, n, z, used, offset, slope, spread, g_min, bins_per_s, g_max, z_max, summed
                    )
                    used += 1 if summed else n
                    books[2 + row] += n
            i = index[k] % n_in
            signed[first + i * n_out + index[k] // n_in] = signed_of(by_weight, weight, g, row_gain, col_gain)


send: Any = compiled(_send)

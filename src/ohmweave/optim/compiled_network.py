"""One step of a feed-forward network of linear layers, compiled. Needs Numba (`ohmweave[fast]`); see `epoch`.

`learn` runs a batch forward and backward and counts the pulses of each weight; `compiled_send.send` gives them to the
cells. Between them the caller draws the noise of the pulses, with torch's generator.

`sizes` is `(layers, 10)` int64: inputs, outputs, the first of the layer's weights among those of all matrices, the
activation (see `ACTIVATIONS`), 1 if the last input is always on, 1 for a transposed read in the backward pass, the
number of tiles, the number of the layer's matrix, the number of the matrix that gets the pulses, and the first weight
of that one. Weights are in the order (out, in); `signed` alone is in the order (in, out), S.
"""

from typing import Any

import numpy as np

from ohmweave.base.extras import compiled
from ohmweave.optim.compiled_counts import HUGE, count_trains, draw_row, largest
from ohmweave.optim.step_counts import TRAINS, WHOLE

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


def _add_row(out: Any, factor: Any, row: Any) -> None:
    """`out += factor * row`, without memory for the product."""
    for j in range(len(out)):
        out[j] += factor * row[j]


add_row: Any = compiled(_add_row)


def _product(x: Any, f: Any) -> Any:
    """`x @ f`; a single row is a sum over the inputs that are not 0."""
    if x.shape[0] > 1:
        return np.dot(x, f)
    y = np.zeros((1, f.shape[1]), f.dtype)
    out = y[0]
    for i in range(x.shape[1]):
        if x[0, i] != 0:
            add_row(out, x[0, i], f[i])
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
    least: Any,
    key: np.uint64,
    memory: Any,
    index: Any,
    count: Any,
    clipped: bool,
) -> tuple[int, bool]:
    """The pulses of one layer, into `index` and `count` from `at` on.

    Args:
        d: `(batch, out)`, gradient of the outputs.
        x: `(batch, in)`.
        at: see above.
        kind: of the law; see `step_counts`.
        per_grad: pulses per unit of the gradient.
        limit: greatest number of pulses.
        least: smallest gradient that gets a pulse, as a fraction of the largest; for SIGN.
        key: of the random numbers.
        memory: of the weights of the matrices from `at` on, if the law has one.
        index: numbers of weights within the layer.
        count: numbers of pulses.
        clipped: True if `memory` may hold whole pulses that the last step left.

    Returns:
        The number of weights with pulses, and the new `clipped`.
    """
    n_out, n_in, found, left = d.shape[1], x.shape[1], 0, False
    if kind == TRAINS:
        return count_trains(d[0], x[0], per_grad, limit, key, index[at:], count[at:]), False
    single, dense = d.shape[0] == 1, kind != WHOLE or not clipped
    # Of one sample the gradient is a product of inputs and errors: only rows and columns that are not 0 are visited.
    used = np.nonzero(x[0])[0] if single and dense else np.arange(n_in)
    inputs = x[0][used]
    grad = np.empty((1, 1), d.dtype) if single else np.dot(np.ascontiguousarray(d.T), x)
    row, drawn = np.empty(len(used), d.dtype), np.empty(len(used), np.int64)
    if least > 0:  # the largest product is that of the largest factors, rounding included
        top = largest(d.reshape(-1)) * largest(inputs) if single else largest(grad.reshape(-1))
        least *= d.dtype.type(top)
    for o in range(n_out):
        if single and dense and d[0, o] == 0:
            continue
        first = o * n_in
        for j in range(len(used)):
            row[j] = (d[0, o] * inputs[j] if single else grad[o, j]) * per_grad
        left |= draw_row(kind, row, used, first, limit, least, key, memory[at + first : at + first + n_in], drawn)
        for j in range(len(used)):
            if drawn[j] != 0:
                index[at + found], count[at + found] = first + used[j], drawn[j]
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
    least: Any,
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
        least: `(layers,)`.
        keys: `(layers,)`.
        memory: `(weights,)`, or `(0,)`.
        clipped: `(layers,)` bool, changed.
        index: `(weights,)`, changed.
        count: `(weights,)`, changed.
        n_found: `(matrices,)`, weights with pulses, changed; -1 in the first entry if a gradient is `HUGE` or not
            finite, and then nothing was counted.
        stale: `(matrices,)` bool, True if pulses were sent since the last readout; changed.
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
        if at > 0 and not sizes[at, 5] and stale[sizes[at, 7]]:
            books[1] += n_in * n_out
            stale[sizes[at, 7]] = False
        activate(y.reshape(-1), sizes[at, 3])
        inputs.append(y)
    loss: float
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
        target, first = sizes[at, 8], sizes[at, 9]
        n_found[target], clipped[at] = count_layer(
            errors[n_layers - 1 - at],
            inputs[at],
            first,
            kinds[at],
            per_grad[at],
            limits[at],
            least[at],
            keys[at],
            memory,
            index,
            count,
            clipped[at],
        )
    return loss


learn: Any = compiled(_learn)

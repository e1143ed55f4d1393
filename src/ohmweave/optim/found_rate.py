"""A learning rate that a rule with a threshold finds from its own gradients, for each layer and chip."""

import torch

from ohmweave.nn import ArrayWeight

N_MEASURED = 3
"""Number of differences of successive gradients that are averaged before the first weight is written."""
_MEMORY = 0.9  # weight of the past in the running means
_STEP = 8.0  # steps in units of the inverse variance of the gradient
_CLEAR = 2.0  # ratio of signal to noise from which the gradient is trusted
_GROWTH, _SHRINKAGE = 0.05, 0.9  # of the step, after a batch without and with a write
_ROUNDING = 1 + 1e-6

State = dict[str, torch.Tensor]


def first_state(weight: ArrayWeight) -> State:
    """The state before the first gradient.

    `previous`: the last gradient, `(*chips, out, in)`. One number a chip, `(*chips,)`: `noise`, `signal` and `largest`
    are running means (see `found_rate`), `boost` the factor by which the step has grown, `n_seen` the number of
    gradients.
    """
    chips = weight.matrix.chip.chip_shape
    zero = torch.zeros((*chips, *weight.matrix.shape), dtype=weight.dtype, device=weight.device)
    state = {name: zero.new_zeros(chips) for name in ("noise", "signal", "largest", "n_seen")}
    return state | {"boost": zero.new_ones(chips), "previous": zero}


def found_rate(state: State, grad: torch.Tensor, *, g_per_w: float, threshold: float, share: float) -> torch.Tensor:
    """The learning rate for this gradient; `state` is changed.

    With g the gradient and g' the one of the batch before, `noise` is the mean of |g - g'|^2 / 2, the variance of the
    gradient from batch to batch, and `signal` the mean of g.g', which is 0 where batches do not agree and negative
    where the weights overshoot. Two rates are made of them:

    * The careful one is 8 `g_per_w` / `noise`, times `boost`. For losses that are negative log-likelihoods (cross
      entropy), the variance of the gradient is near to the curvature of the loss, and its inverse is the scale of a
      stable step. `boost` grows by up to 5 % with each batch that writes nothing, in proportion to `signal` / `noise`,
      and falls by a tenth with each batch that writes, but not below 1.
    * The large one writes the `share` of the weights with the largest gradients: `threshold` / `largest`, where
      `largest` is the mean of the smallest gradient of that share.

    The rate is the large one where `signal` is more than twice the `noise`, as after heavy damage, and the smaller of
    the two otherwise.

    Args:
        state: of this weight, from `first_state`.
        grad: `(*chips, out, in)`, of a loss that is summed over the batch.
        g_per_w: S per unit weight.
        threshold: S, of the change that is written.
        share: (0, 1], of the weights whose gradient is not 0; at least one weight.

    Returns:
        `(*chips, 1, 1)` S per unit of the gradient, >= 0; 0 for the first gradients, which are only measured, and where
        all entries are 0.

    Source: ours. Step sizes from the variance and the signal of gradients: Schaul et al., "No more pesky learning
    rates", ICML 2013. The constants were chosen on validation images of MNIST, of the embedded digits and of
    CIFAR-10 in grey.
    """
    sizes = grad.abs().flatten(-2).sort(dim=-1, descending=True).values
    n_large = (share * (sizes > 0).sum(-1)).floor().long().clamp_min(1)
    smallest = sizes.gather(-1, n_large[..., None] - 1).squeeze(-1)
    _average(state, grad, smallest)
    state["previous"].copy_(grad)
    noise, signal, largest = state["noise"], state["signal"], state["largest"]
    ready = (state["n_seen"] > N_MEASURED) & (largest > 0)
    large = _ROUNDING * threshold / torch.where(largest > 0, largest, 1.0)
    small = state["boost"] * _STEP * g_per_w / torch.where(noise > 0, noise, 1.0)
    trusted = (signal > _CLEAR * noise) | (noise <= 0)
    rate = torch.where(ready, torch.where(trusted, large, torch.minimum(small, large)), 0.0)
    _boost(state, ready, writes=rate * sizes[..., 0] >= threshold)
    return rate[..., None, None]


def _average(state: State, grad: torch.Tensor, smallest: torch.Tensor) -> None:
    """Take one gradient into the running means."""
    previous, n_seen = state["previous"], state["n_seen"]
    found = {
        "noise": (grad - previous).square().sum((-2, -1)) / 2,
        "signal": (grad * previous).sum((-2, -1)),
        "largest": smallest,
    }
    # The plain mean at first, so that the first values do not count more than others.
    new = torch.maximum(1 / n_seen.clamp_min(1), torch.full_like(n_seen, 1 - _MEMORY))
    for name, value in found.items():
        state[name].add_(torch.where(n_seen > 0, new * (value - state[name]), 0.0))
    n_seen.add_(1)


def _boost(state: State, ready: torch.Tensor, *, writes: torch.Tensor) -> None:
    """Let the step grow after a batch that writes nothing, and fall after one that writes."""
    noise = state["noise"]
    clear = (state["signal"] / torch.where(noise > 0, noise, 1.0)).clamp(0, 1)
    grown, shrunk = state["boost"] * (1 + _GROWTH * clear), (_SHRINKAGE * state["boost"]).clamp_min(1)
    state["boost"].copy_(torch.where(ready, torch.where(writes, shrunk, grown), state["boost"]))

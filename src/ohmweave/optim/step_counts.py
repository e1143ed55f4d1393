"""The numbers of pulses of a step, by weight: what a rule computes from a gradient.

A rule uses the law of one weight: `rounded`, `coincidences` or `accumulated`. Each exists twice, with the same bits:
here with NumPy for all weights at once, and compiled for one weight after the other in `compiled_counts`, which is used
on a CPU with Numba. Weights of the gradient 0 cost next to nothing there. On other devices torch draws the numbers.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ohmweave.base.counters import new_key, uniform
from ohmweave.base.extras import Worthwhile

_COMPILED = Worthwhile()

ROUNDED, COINCIDENCES, WHOLE, SIGN, TRAINS = range(5)
"""The kinds of laws: two kinds of random numbers of pulses, the whole pulses of a memory, one pulse by the sign, and
coincidences of trains that the cells of a line share."""


class Steps(NamedTuple):
    """Numbers of pulses of the weights that get any.

    Attributes:
        at: `(k,)` int64, rising, in the flattened `(*chips, out, in)`.
        n: `(k,)` int64, not 0; positive where the weight must rise.
    """

    at: torch.Tensor
    n: torch.Tensor

    @classmethod
    def of(cls, steps: torch.Tensor) -> "Steps":
        """Of whole numbers `(*chips, out, in)`, on any device."""
        flat = steps.reshape(-1)
        index = flat.nonzero().squeeze(1)
        return cls(index, flat.index_select(0, index).long())


def rounded(grad: torch.Tensor, per_grad: float, limit: int, generator: torch.Generator) -> Steps:
    """Pulses with the mean `per_grad * grad`, rounded up with the probability of the fraction; at most `limit`.

    Args:
        grad: `(*chips, out, in)`.
        per_grad: pulses per unit of the gradient.
        limit: greatest number of pulses of either sign.
        generator: of the key of the random numbers, on the device of `grad`.
    """
    if grad.device.type != "cpu":
        wanted = grad * per_grad
        u = torch.rand(wanted.shape, generator=generator, dtype=wanted.dtype, device=wanted.device)
        return Steps.of(torch.floor(wanted + u).clamp_(-limit, limit))
    x, key = _flat(grad), new_key(generator)
    if _COMPILED.after(x.size // 8):
        from ohmweave.optim.compiled_counts import counts

        return _steps(*counts(ROUNDED, x, _factor(per_grad, x), limit, np.uint64(key)))
    with np.errstate(over="ignore"):  # more than any limit
        wanted_numbers = x * _factor(per_grad, x)
    n = np.floor(wanted_numbers.astype(np.float64) + uniform(key, np.arange(x.size)))
    return _nonzero(np.clip(n, -limit, limit))


def coincidences(grad: torch.Tensor, per_grad: float, length: int, generator: torch.Generator) -> Steps:
    """Coincidences of random trains of `length` bits with the mean `per_grad * grad`: binomial, by inversion.

    One uniform number for each weight, so that the numbers of one chip do not depend on those of the others.

    Args:
        grad: `(*chips, out, in)`.
        per_grad: pulses per unit of the gradient; the mean is cut at `length`.
        length: bits in a train, from 1 to 1,000.
        generator: of the key of the random numbers, on the device of `grad`.
    """
    if grad.device.type != "cpu":
        return Steps.of(_inverted(grad * per_grad, length, generator))
    x, key = _flat(grad), new_key(generator)
    if _COMPILED.after(x.size // 8):
        from ohmweave.optim.compiled_counts import counts

        return _steps(*counts(COINCIDENCES, x, _factor(per_grad, x), length, np.uint64(key)))
    with np.errstate(over="ignore"):
        mean = x * _factor(per_grad, x)
    (index,) = np.nonzero(mean)
    n = _binomial(np.abs(mean[index]).astype(np.float64), length, uniform(key, index))
    return _nonzero(n * np.sign(mean[index]), index)


def trains(grad: torch.Tensor, per_grad: float, length: int, generator: torch.Generator) -> Steps | None:
    r"""Coincidences of random trains on row and column lines; all cells of a line see the same bits of it.

    For a gradient d x of one sample, the bits of input i and output o are 1 with the probabilities

        p_i = \sqrt{q} |x_i| / max|x|,    p_o = \sqrt{q} |d_o| / max|d|,    q = per_grad max|d x| / length,

    cut at 1, so that a weight gets length * p_i * p_o = per_grad * |d_o x_i| pulses in the mean.

    Args:
        grad: `(*chips, out, in)`, on each chip a product of a column and a row.
        per_grad: pulses per unit of the gradient.
        length: bits in a train, from 1 to 1,000.
        generator: of the key of the random numbers, on the device of `grad`.

    Returns:
        The pulses; None, with nothing drawn, if the gradient is no such product: it is not that of one sample.

    Source: Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016). That the largest probabilities of rows and columns are
    equal is ours; the source divides the scale equally.
    """
    g = grad.reshape(-1, *grad.shape[-2:])
    size = g.abs()
    top, at = size.flatten(1).max(dim=1)
    chip = torch.arange(len(g), device=g.device)
    row, column = g[chip, at // g.shape[2]], g[chip, :, at % g.shape[2]]
    largest = torch.where(top > 0, g.flatten(1)[chip, at], 1)[:, None]
    off = (column[:, :, None] * (row / largest)[:, None, :] - g).abs().flatten(1).amax(1)
    if bool((off > 16 * torch.finfo(g.dtype).eps * top).any()):
        return None
    lines = torch.cat([row, column], dim=1).abs().double() / largest.abs()
    p = lines * (top.double() * abs(per_grad) / length).sqrt()[:, None]
    if g.device.type == "cpu":
        u = torch.from_numpy(uniform(new_key(generator), np.arange(p.numel() * length))).view(*p.shape, length)
    else:
        u = torch.rand((*p.shape, length), generator=generator, dtype=torch.float64, device=g.device)
    bits = (u < p[..., None]).to(torch.float32)  # sums of at most 1,000 ones are exact
    n_in = g.shape[2]
    n = bits[:, n_in:] @ bits[:, :n_in].mT
    return Steps.of(n * (g.sign() * (1 if per_grad > 0 else -1)).to(n.dtype))


def accumulated(memory: torch.Tensor, grad: torch.Tensor, per_grad: float, limit: int) -> Steps | None:
    """Add `per_grad * grad` to `memory`, and take the whole pulses out of it, at most `limit` a weight.

    Args:
        memory: `(*chips, out, in)`, pulses; changed in place.
        grad: the same shape.
        per_grad: pulses per unit of the gradient.
        limit: greatest number of pulses of either sign.

    Returns:
        The pulses; None if a sum is not finite, and then `memory` is as it was.
    """
    if memory.device.type == "cpu" and memory.is_contiguous() and _COMPILED.after(memory.numel() // 8):
        from ohmweave.optim.compiled_counts import accumulated_counts

        whole, kept = _flat(grad), memory.view(-1).numpy()
        finite, index, count = accumulated_counts(kept, whole, _factor(per_grad, whole), limit)
        return _steps(index, count) if finite else None
    # Two operations, each rounded: torch's `add` with a factor may round once.
    added = memory + grad * per_grad
    if not bool(added.isfinite().all()):
        return None
    n = added.trunc().clamp_(-limit, limit)
    memory.copy_(added - n)
    return Steps.of(n)


def _flat(x: torch.Tensor) -> NDArray[Any]:
    numbers: NDArray[Any] = x.detach().reshape(-1).numpy()
    return numbers


def _factor(per_grad: float, like: NDArray[Any]) -> Any:
    """`per_grad` in the dtype of `like`; the largest number in place of a larger one, because 0 times it must be 0."""
    most = float(np.finfo(like.dtype).max)
    return like.dtype.type(min(max(per_grad, -most), most))


def _steps(index: NDArray[np.int64], count: NDArray[np.int64]) -> Steps:
    return Steps(torch.from_numpy(index), torch.from_numpy(count))


def _nonzero(n: NDArray[Any], index: NDArray[np.int64] | None = None) -> Steps:
    (at,) = np.nonzero(n)
    return _steps(at if index is None else index[at], n[at].astype(np.int64))


def _binomial(mean: NDArray[np.float64], length: int, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """The number of successes at the quantile `u`, of `length` trials with this mean; all float64 `(k,)`."""
    p = np.minimum(mean / length, 1.0)
    rarer = np.minimum(p, 1 - p)  # count ones or zeros, whichever is rarer, so that the ratio below is at most 1
    ratio, pmf = rarer / (1 - rarer), np.ones_like(p)
    for _ in range(length):
        pmf *= 1 - rarer
    cdf, n = pmf.copy(), np.zeros_like(p)
    for k in range(length):
        # Inverse of the distribution function: n is the number of k with u >= P(N <= k).
        beyond = u >= cdf
        if not beyond.any():
            break
        n += beyond
        pmf *= ratio * ((length - k) / (k + 1))  # P(N = k + 1) from P(N = k)
        cdf += pmf
    return np.where(p > 0.5, length - n, n)


def _inverted(x: torch.Tensor, length: int, generator: torch.Generator) -> torch.Tensor:
    """As `_binomial` with the sign of `x`, by torch, for other devices than the CPU."""
    p = (x.abs().double() / length).clamp_(max=1)
    rarer = torch.minimum(p, 1 - p)
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    ratio, pmf = rarer / (1 - rarer), (1 - rarer) ** length
    cdf, n = pmf.clone(), torch.zeros_like(p)
    for k in range(length):
        beyond = u >= cdf
        if not bool(beyond.any()):
            break
        n += beyond
        pmf = pmf * ratio * ((length - k) / (k + 1))
        cdf += pmf
    return torch.where(p > 0.5, length - n, n).to(x.dtype) * x.sign()

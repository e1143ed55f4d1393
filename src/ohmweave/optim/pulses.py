"""From signed steps of weights to pulses on their cells."""

from weakref import WeakKeyDictionary

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.mapping import Matrix
from ohmweave.optim.rule import one_of

check_cycle = one_of("alternate", "both")
"""Check of the hyperparameter `cycle`."""


def polarity_of(n_steps: int, cycle: str) -> int | None:
    """Which polarity step number `n_steps` sends: RESET if even, SET if odd; None is both, for the cycle "both"."""
    if cycle == "both":
        return None
    return SET if n_steps % 2 else RESET


def send_pulses(matrix: Matrix, steps: torch.Tensor, *, only: int | None = None) -> bool:
    """|steps| pulses to the cells of each weight, in the direction that moves the weight by sgn(steps).

    A step up is a SET of g_pos and a RESET of g_neg, a step down the reverse.

    Args:
        matrix: whose cells they are; as many of a weight's count positively as negatively.
        steps: `(*chips, out, in)`, whole numbers; no cell of a weight with 0 is touched.
        only: SET or RESET sends that polarity alone, so one cell of each pair is pulsed: a cycle in which all
            selected cells are driven in parallel. None sends both.

    Returns:
        Whether any pulse was sent.

    Raises:
        OutOfRangeError: the weights are not made of pairs.
    """
    flat = steps.reshape(-1)
    index = flat.nonzero().squeeze(1)
    if not index.numel():
        return False
    count = flat.index_select(0, index)
    with_step, against = (cells.index_select(0, index) for cells in _cells_of(matrix))
    n = count.abs().long()
    if only is None:
        cells, polarity = torch.cat([with_step, against], dim=1), count.sign()[:, None]
        polarity = torch.cat([polarity.expand_as(with_step), -polarity.expand_as(against)], dim=1)
    else:
        # A SET raises the weight through g_pos and lowers it through g_neg; a RESET the reverse.
        cells = torch.where((count * only > 0)[:, None], with_step, against)
        polarity = count.new_full(cells.shape, float(only))
    train = None if bool((n == 1).all()) else n[:, None].expand(cells.shape).flatten()
    matrix.pulse(cells.flatten(), Pulse(polarity.flatten(), n=train))
    return True


# The cells of a matrix never change, so this needs no version.
_CELLS: WeakKeyDictionary[Matrix, tuple[torch.Tensor, torch.Tensor]] = WeakKeyDictionary()


def _cells_of(matrix: Matrix) -> tuple[torch.Tensor, torch.Tensor]:
    """The cells of each weight, `(*chips * out * in, half)`: those that count positively, and those negatively."""
    if matrix not in _CELLS:
        by_weight = matrix.placement.by_weight(matrix.cells).movedim(-2, -4)  # (*chips, out, in, H, C)
        gain = matrix.placement.gain(torch.empty(0, device=matrix.cells.device)).squeeze(1)
        positive, negative = (gain > 0).expand(by_weight.shape), (gain < 0).expand(by_weight.shape)
        n_weights = by_weight[..., 0, 0].numel()
        halves = by_weight[positive].view(n_weights, -1), by_weight[negative].view(n_weights, -1)
        if halves[0].shape != halves[1].shape:
            raise OutOfRangeError(
                "`mapping` must give a weight as many positive as negative cells for a rule of pulses, but gives "
                f"{halves[0].shape[1]} and {halves[1].shape[1]}"
            )
        _CELLS[matrix] = halves
    return _CELLS[matrix]


def round_stochastically(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Whole numbers whose expectation is `x`, the same shape: rounded up with the probability of the fraction."""
    return torch.floor(x + torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device))


def draw_coincidences(x: torch.Tensor, length: int, generator: torch.Generator) -> torch.Tensor:
    """Whole numbers with the sign and expectation of `x`, as random trains of `length` bits would coincide.

    Binomial: each bit with the probability |x| / length, at most 1; `length` at most 1,000. The same shape as `x`.
    One uniform number an entry, so that what one chip draws does not shift what others draw.
    """
    p = (x.abs().double() / length).clamp_(max=1)
    rarer = torch.minimum(p, 1 - p)  # of a bit and its absence, so that the ratio below is at most 1
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    ratio, pmf = rarer / (1 - rarer), (1 - rarer) ** length
    cdf, n = pmf.clone(), torch.zeros_like(p)
    for k in range(length):
        # Inverse of the distribution function: n is the number of k with u >= P(N <= k).
        beyond = u >= cdf
        if not bool(beyond.any()):
            break
        n += beyond
        pmf = pmf * ratio * ((length - k) / (k + 1))  # P(N = k + 1) from P(N = k)
        cdf += pmf
    return torch.where(p > 0.5, length - n, n).to(x.dtype) * x.sign()


def step_in_weight(matrix: Matrix, g_step: float) -> float:
    """The change of a weight when one of its cells moves by `g_step` S, in units of the weight."""
    row_gain, col_gain = matrix.placement.row_gain, matrix.placement.col_gain
    return g_step * max(map(abs, row_gain)) * max(map(abs, col_gain)) / matrix.g_per_w


def largest_train(pulses: torch.Tensor) -> str:
    """The largest of the wanted numbers of pulses, in words: what a rule that rounds to whole pulses was short of."""
    return f"{float(pulses.abs().max()):.2g} pulses, of which whole ones are sent"

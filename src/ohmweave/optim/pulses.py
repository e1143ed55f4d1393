"""What the rules share: from signed steps of weights to pulses on their cells, and the walk over parameters."""

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import Pulse
from ohmweave.mapping import Matrix
from ohmweave.nn import ArrayWeight


def send_pulses(matrix: Matrix, steps: torch.Tensor, *, only: int | None = None) -> None:
    """|steps| pulses to the cells of each weight, in the direction that moves the weight by sgn(steps).

    A step up is a SET of g_pos and a RESET of g_neg, a step down the reverse.

    Args:
        matrix: whose cells they are; as many of a weight's count positively as negatively.
        steps: `(*chips, out, in)`, whole numbers; no cell of a weight with 0 is touched.
        only: SET or RESET sends that polarity alone, so one cell of each pair is pulsed: a cycle in which all
            selected cells are driven in parallel. None sends both.
    """
    flat = steps.reshape(-1)
    index = flat.nonzero().squeeze(1)
    if not index.numel():
        return
    count = flat.index_select(0, index)
    with_step, against = (cells.index_select(0, index) for cells in _cells_of(matrix))
    n = count.abs().long()
    if only is None:
        cells, polarity = torch.cat([with_step, against], dim=1), count.sign()[:, None]
        polarity = torch.cat([polarity.expand_as(with_step), -polarity.expand_as(against)], dim=1)
    else:
        cells = torch.where((count * only > 0)[:, None], with_step, against)
        polarity = count.new_full(cells.shape, float(only))
    train = None if bool((n == 1).all()) else n[:, None].expand(cells.shape).flatten()
    matrix.chip.array.pulse(cells.flatten(), Pulse(polarity.flatten(), n=train))


_CELLS: WeakKeyDictionary[Matrix, tuple[torch.Tensor, torch.Tensor]] = WeakKeyDictionary()


def _cells_of(matrix: Matrix) -> tuple[torch.Tensor, torch.Tensor]:
    """The cells of each weight, `(*chips * out * in, half)`: those that count positively, and those negatively."""
    if matrix not in _CELLS:
        by_weight = matrix.placement.by_weight(matrix.cells).movedim(-2, -4)  # (*chips, out, in, H, C)
        gain = matrix.placement.gain(torch.empty(0)).squeeze(1).expand(by_weight.shape)
        n_weights = by_weight[..., 0, 0].numel()
        _CELLS[matrix] = by_weight[gain > 0].view(n_weights, -1), by_weight[gain < 0].view(n_weights, -1)
    return _CELLS[matrix]


def round_stochastically(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Whole numbers whose expectation is `x`: rounded up with the probability of the fraction."""
    return torch.floor(x + torch.rand(x.shape, generator=generator, dtype=x.dtype))


def draw_coincidences(x: torch.Tensor, length: int, generator: torch.Generator) -> torch.Tensor:
    """Whole numbers with the sign and expectation of `x`, as random trains of `length` bits would coincide.

    Binomial: each bit with the probability |x| / length, at most 1.
    """
    p = (x.abs() / length).clamp_(max=1)
    return torch.binomial(torch.full_like(p, length), p, generator=generator) * x.sign()


def step_in_weight(matrix: Matrix, g_step: float) -> float:
    """The change of a weight when one of its two cells moves by `g_step` S, in units of the weight."""
    return g_step * float(matrix.placement.gain(torch.empty(0)).abs().max()) / matrix.g_per_w


def moves(optimizer: torch.optim.Optimizer) -> Iterator[tuple[ArrayWeight, torch.Tensor, dict[str, Any]]]:
    """Each weight on a chip that has a gradient, that gradient as `(*chips, out, in)`, and the weight's group."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None:
                yield weight, weight.grad.reshape(*weight.matrix.chip.chip_shape, *weight.matrix.shape), group


def check_on_chip(optimizer: torch.optim.Optimizer) -> None:
    """Raise `OutOfRangeError` if a parameter is digital: a rule of pulses has no step for it."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not isinstance(parameter, ArrayWeight):
                raise OutOfRangeError(
                    "`params` must be weights on a chip, but one is digital, of shape "
                    f"{tuple(parameter.shape)}: give it an optimizer of its own"
                )


def loss_of(closure: Callable[[], float] | None) -> float | None:
    """What torch's optimizers do with a closure."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()

"""What the rules share: from signed steps of weights to pulses on their cells, and the walk over parameters."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from memweave.base import OutOfRangeError
from memweave.devices import Pulse
from memweave.mapping import Matrix
from memweave.nn import ArrayWeight


def send_pulses(matrix: Matrix, steps: torch.Tensor, *, only: int | None = None) -> None:
    """|steps| pulses to the cells of each weight, in the direction that moves the weight by sgn(steps).

    A step up is a SET of g_pos and a RESET of g_neg, a step down the reverse.

    Args:
        matrix: whose cells they are.
        steps: `(*chips, out, in)`, whole numbers; no cell of a weight with 0 is touched.
        only: SET or RESET sends that polarity alone, so one cell of each pair is pulsed: a cycle in which all
            selected cells are driven in parallel. None sends both.
    """
    flat = steps.reshape(-1)
    index = flat.nonzero().squeeze(1)
    count = flat.index_select(0, index)
    signs = matrix.placement.gain(steps).sign().squeeze(1)  # (H, C)
    n_rows, n_cols = matrix.cells.shape[-2:]
    n_out, n_in = matrix.shape
    chip, weight = index // (n_out * n_in), index % (n_out * n_in)
    # Flat indices of lines: where the cells of a weight start, and how far from there the others stand.
    start = (chip * n_rows + weight % n_in * signs.shape[0]) * n_cols + weight // n_in * signs.shape[1]
    offset = torch.arange(signs.shape[0])[:, None] * n_cols + torch.arange(signs.shape[1])
    lines = start[:, None] + offset.flatten()
    polarity = count.sign()[:, None] * signs.flatten()
    n = count.abs().long()[:, None].expand(lines.shape)
    if only is not None:
        chosen = polarity == only
        lines, polarity, n = lines[chosen], polarity[chosen], n[chosen]
    if lines.numel():
        cells = matrix.cells.view(-1).index_select(0, lines.flatten())
        single = bool((n == 1).all())
        matrix.chip.array.pulse(cells, Pulse(polarity.flatten(), n=None if single else n.flatten()))


def round_stochastically(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Whole numbers whose expectation is `x`: rounded up with the probability of the fraction."""
    return torch.floor(x + torch.rand(x.shape, generator=generator, dtype=x.dtype))


def step_in_weight(matrix: Matrix, g_step: float) -> float:
    """The change of a weight when one of its two cells moves by `g_step` S, in units of the weight."""
    return g_step * float(matrix.placement.gain(torch.empty(0)).abs().max()) / matrix.g_per_w


def moves(optimizer: torch.optim.Optimizer) -> Iterator[tuple[ArrayWeight, torch.Tensor, dict[str, Any]]]:
    """Each weight on a chip that has a gradient, that gradient as `(*chips, out, in)`, and the weight's group."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None:
                yield weight, weight.grad.reshape(*weight.matrix.chip.chips, *weight.matrix.shape), group


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

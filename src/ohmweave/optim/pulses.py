"""From signed steps of weights to pulses on their cells."""

from weakref import WeakKeyDictionary

import torch

from ohmweave.base import OutOfRangeError
from ohmweave.base.extras import Worthwhile
from ohmweave.cells import RESET, SET, Pulse
from ohmweave.mapping import Matrix
from ohmweave.optim.hyperparameters import one_of
from ohmweave.optim.step_counts import Steps

check_cycle = one_of("alternate", "both")
"""The check of the hyperparameter `cycle`."""


def polarity_of(n_steps: int, cycle: str) -> int | None:
    """Polarity of the pulses after `n_steps` steps: RESET if even, SET if odd; None (both) for the cycle "both"."""
    if cycle == "both":
        return None
    return SET if n_steps % 2 else RESET


def send_pulses(matrix: Matrix, steps: torch.Tensor, *, only: int | None = None) -> bool:
    """Send |steps| pulses to the cells of each weight, in the direction that moves the weight by sgn(steps).

    A weight rises by a SET of g_pos and a RESET of g_neg, and falls by the reverse.

    Args:
        matrix: the cells. Each weight must have as many cells that count positively as negatively.
        steps: `(*chips, out, in)`, whole numbers; cells of a weight with 0 get no pulse.
        only: SET or RESET sends only this polarity, so one cell of each pair gets pulses and all of these can be driven
            in parallel. None sends both.

    Returns:
        True if any pulse was sent.

    Raises:
        OutOfRangeError: the weights are not made of pairs.
    """
    return send_steps(matrix, Steps.of(steps), only=only)


def send_steps(matrix: Matrix, steps: Steps, *, only: int | None = None) -> bool:
    """As `send_pulses`, for the weights that have a step."""
    index, count = steps
    if not index.numel():
        return False
    # `raising` are the cells that raise the weight by a SET, `lowering` those that lower it.
    raising, lowering = _cells_of(matrix)
    if index.device.type == "cpu" and _COMPILED.after(index.numel()):
        from ohmweave.optim.compiled_counts import pulses

        found = pulses(index.numpy(), count.numpy(), raising.numpy(), lowering.numpy(), only or 0)
        cells, polarity, n = (torch.from_numpy(part) for part in found[:3])
        matrix.pulse(cells, Pulse(polarity, n=n if found[3] else None))
        return True
    with_step, against = raising.index_select(0, index), lowering.index_select(0, index)
    n = count.abs()
    if only is None:
        cells, polarity = torch.cat([with_step, against], dim=1), count.sign()[:, None]
        polarity = torch.cat([polarity.expand_as(with_step), -polarity.expand_as(against)], dim=1)
    else:
        # A SET raises the weight through g_pos and lowers it through g_neg; a RESET the reverse.
        cells = torch.where((count * only > 0)[:, None], with_step, against)
        polarity = torch.full_like(cells, only)
    train = None if bool((n == 1).all()) else n[:, None].expand(cells.shape).flatten()
    matrix.pulse(cells.flatten(), Pulse(polarity.flatten(), n=train))
    return True


_COMPILED = Worthwhile()

# A cache without a version: the placement of a matrix never changes.
_CELLS: WeakKeyDictionary[Matrix, tuple[torch.Tensor, torch.Tensor]] = WeakKeyDictionary()


def _cells_of(matrix: Matrix) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells of each weight that count positively and those that count negatively, each `(chips * out * in, half)`."""
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


def step_in_weight(matrix: Matrix, g_step: float) -> float:
    """Change of a weight, in its units, by one pulse on each of its cells of one sign, as `send_pulses` sends them.

    Args:
        matrix: the cells. Each weight must have as many cells that count positively as negatively.
        g_step: S, change of the conductance of each of these cells.
    """
    # w = sum over cells of row_gain * col_gain * g, divided by g_per_w. All copies of g_pos (or of g_neg) receive the
    # pulse, so their gains add up; half of the sum over both signs, which are equal.
    row_gain, col_gain = matrix.placement.row_gain, matrix.placement.col_gain
    return g_step * sum(map(abs, row_gain)) * sum(map(abs, col_gain)) / 2 / matrix.g_per_w


def largest_train(pulses: torch.Tensor) -> str:
    """The largest wanted number of pulses in words, for the warning of a rule that rounds it to 0."""
    return f"{float(pulses.abs().max()):.2g} pulses, of which whole ones are sent"

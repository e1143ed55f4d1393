"""The rule of Yao et al. 2020 (hybrid training): large steps only, written closed-loop."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ohmweave.base import check_non_negative, check_positive
from ohmweave.nn import ArrayWeight
from ohmweave.programming import Write


class ThresholdedWriteVerify(torch.optim.Optimizer):
    """Gradient descent whose steps are dropped below a threshold and written with write-verify above it.

    For each weight dG = -lr * grad; where it is not 0 and |dG| >= threshold, half of it goes to each cell of the pair,
    the new analogue targets are kept in the window and written. Dropped steps are forgotten, not accumulated. The
    gradient should be a sum over the batch (`reduction="sum"`). Parameters that are not on a chip (a digital bias)
    take the plain step.

    Args:
        params: parameters or groups of them, as in torch.
        lr: S, conductance step of a pair's difference per unit of summed gradient; digital parameters are numbers, so
            they take `lr_digital`.
        threshold: S; the paper's is 1.5 uS.
        write: closed-loop write of the selected cells.
        lr_digital: plain learning rate of parameters that are not on a chip.

    Source: Yao et al., Nature 577, 641 (2020), Methods. The paper gives the threshold, the batch of 100 and the
    closed-loop write to an analogue target; that a step is split in halves and starts from the measured
    conductance is ours.
    """

    def __init__(
        self, params: Iterable[Any], *, lr: float, threshold: float, write: Write, lr_digital: float = 1e-3
    ) -> None:
        check_positive("lr", lr, "S")
        check_positive("lr_digital", lr_digital)
        check_non_negative("threshold", threshold, "S")
        super().__init__(params, {"lr": lr, "threshold": threshold, "write": write, "lr_digital": lr_digital})
        self.n_selected = 0
        """Weights written by the last step, summed over chips."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Send the pulses that the gradients ask for, and read the weights back."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.n_selected = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if isinstance(parameter, ArrayWeight):
                    self._write(parameter, group)
                else:
                    parameter.add_(parameter.grad, alpha=-group["lr_digital"])
        return loss

    def _write(self, weight: ArrayWeight, group: dict[str, Any]) -> None:
        matrix = weight.matrix
        assert weight.grad is not None
        dg = -group["lr"] * weight.grad.reshape(*matrix.chip.chip_shape, *matrix.shape)
        selected = (dg.abs() >= group["threshold"]) & (dg != 0)
        self.n_selected += int(selected.sum())
        matrix.shift(dg, selected, group["write"])
        weight.refresh()

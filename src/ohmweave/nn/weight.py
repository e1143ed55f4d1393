"""The weight of a layer on a chip: a torch parameter that knows which cells it is the readout of."""

from typing import Any

import torch

from ohmweave.mapping import Matrix


class ArrayWeight(torch.nn.Parameter):
    """Parameter `(*chips, *shape)` that holds the last readout of a `Matrix`.

    Gradients, parameter groups, freezing and hooks work as with any parameter. Changing its data changes no cell:
    cells change by pulses, which the optimizers of `ohmweave.optim` send.

    Args:
        matrix: the cells.
        shape: of one chip's weight as the layer sees it, (out, in) or (out, in, kernel height, kernel width).
    """

    matrix: Matrix

    def __new__(cls, matrix: Matrix, shape: tuple[int, ...]) -> "ArrayWeight":
        """Read the cells out once."""
        data = matrix.readout().reshape(*matrix.chip.chip_shape, *shape)
        weight = torch.Tensor._make_subclass(cls, data, True)
        weight.matrix = matrix
        return weight

    def __init__(self, matrix: Matrix, shape: tuple[int, ...]) -> None:
        """All is done in `__new__`, as torch's own parameters do."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "ArrayWeight":
        """Refuse: a second network on the same cells is a mistake, and a copy of a chip is a new chip."""
        raise TypeError("a layer on a chip cannot be copied: deploy the model again on another chip")

    def refresh(self) -> None:
        """Read the cells out again."""
        self.hold(self.matrix.conductance())

    def hold(self, g: torch.Tensor) -> None:
        """Hold the weight that a readout `g` `(*chips, row lines, column lines)`, S, of all its cells amounts to."""
        with torch.no_grad():
            self.copy_(self.matrix.logical(g).reshape(self.shape))


def matrix_of(parameter: torch.Tensor) -> Matrix | None:
    """The cells behind a parameter, or None for a digital parameter."""
    return parameter.matrix if isinstance(parameter, ArrayWeight) else None

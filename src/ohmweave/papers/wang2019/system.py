"""The array of the paper, the placement of weights on it, and the three networks trained on it."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from ohmweave.cells import wang2019
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import Conv2d, ConvLSTM, ConvLSTMCell, Linear, OnChip

PAPER = "Wang et al., Nature Machine Intelligence 1, 434-442 (2019)"

ROWS, COLS = 128, 64  # Paper. Inputs are on the 128 bit lines, outputs on the 64 top-electrode lines.
G_PER_W = 1e-4  # S. Paper, Table 1.
CHUNK = 86  # rows of a chunk of the CNN's dense layer, of which three are side by side. Public code.

PUBLISHED_PLAN: dict[str, dict[str, Any]] = {
    "conv1": {"corners": [(0, 87, 36)]},
    "conv2": {"corners": [(0, 3, 51)]},
    "dense": {"tile_rows": CHUNK, "corners": [(0, 37, 0), (0, 37, 10), (0, 37, 20)]},
}
"""Placement of the layers of the CNN. Public code."""


def chip(n_chips: int, *, seed: int, device: torch.device | str = "cpu", **cell: Any) -> Chip:
    """`n_chips` arrays of the paper.

    Args:
        n_chips: side by side.
        seed: of all randomness.
        device: torch's device.
        cell: arguments of `ohmweave.cells.wang2019`.
    """
    return Chip(wang2019(**cell), rows=ROWS, cols=COLS, n_chips=n_chips, seed=seed, device=device)


def pairs(row_copies: int, col_copies: int) -> DifferentialPair:
    """Pairs on neighbouring rows that are driven with +v and -v, 100 uS a unit weight.

    Each weight is repeated `row_copies` times along the rows and `col_copies` times along the columns.
    """
    return DifferentialPair(lines="rows", copies=(row_copies, col_copies), g_unit=G_PER_W)


class ConvolutionalNetwork(torch.nn.Module):
    """`(n, 1, 8, 8)` V to `(n, 10)`: 15 kernels of 3 x 3, 4 of 2 x 2, a dense layer; 1,015 weights, 4,060 cells.

    Args:
        chip: with one array of the paper's size, or any other where `published_plan` is false.
        published_plan: corners of the blocks are those of the public code, counted from the first good row and
            column; otherwise the blocks are packed densely, however large the arrays are.
    """

    def __init__(self, chip: Chip, *, published_plan: bool = True) -> None:
        super().__init__()
        plan: dict[str, dict[str, Any]] = PUBLISHED_PLAN if published_plan else {name: {} for name in PUBLISHED_PLAN}
        self.conv1 = Conv2d(
            1,
            15,
            3,
            padding="same",
            bias=False,
            chip=chip,
            name="conv1",
            on_chip=OnChip(mapping=pairs(2, 1), **plan["conv1"]),
        )
        self.conv2 = Conv2d(
            15,
            4,
            2,
            padding="same",
            bias=False,
            chip=chip,
            name="conv2",
            on_chip=OnChip(mapping=pairs(1, 2), **plan["conv2"]),
        )
        self.dense = Linear(
            64, 10, bias=False, chip=chip, name="dense", on_chip=OnChip(mapping=pairs(2, 1), **plan["dense"])
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        features = F.max_pool2d(self.conv2(F.relu(self.conv1(x))), 2)
        logits: torch.Tensor = self.dense(features.flatten(1))
        return logits


class SequenceNetwork(torch.nn.Module):
    """`(n, 3, 1, 8, 8)` V to `(n, 6)`: a ConvLSTM of 5 kernels, a dense layer on its last state; 850 weights."""

    def __init__(self, chip: Chip) -> None:
        super().__init__()
        cell = ConvLSTMCell(
            1,
            5,
            kernel_size=3,
            hidden_kernel_size=2,
            padding="valid",
            bias=False,
            chip=chip,
            name="convlstm",
            on_chip=OnChip(mapping=pairs(1, 2), corners=[(0, 66, 0)]),
        )
        self.recurrent = ConvLSTM(cell)
        self.dense = Linear(
            45, 6, bias=False, chip=chip, name="dense", on_chip=OnChip(mapping=pairs(1, 2), corners=[(0, 30, 44)])
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        _, (h, _) = self.recurrent(x)
        logits: torch.Tensor = self.dense(F.max_pool2d(h, 2).flatten(1))
        return logits


class Perceptron(torch.nn.Module):
    """`(n, 1, 8, 8)` V to `(n, 10)`: 64-54-10 of Li et al., Nat. Commun. 9, 2385 (2018), one pair a weight."""

    def __init__(self, chip: Chip) -> None:
        super().__init__()
        self.hidden = Linear(64, 54, bias=False, chip=chip, name="hidden", on_chip=OnChip(mapping=pairs(1, 1)))
        self.dense = Linear(54, 10, bias=False, chip=chip, name="dense", on_chip=OnChip(mapping=pairs(1, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.dense(F.relu(self.hidden(x.flatten(1))))
        return logits


NETWORKS: dict[str, Callable[[Chip], torch.nn.Module]] = {
    "cnn": ConvolutionalNetwork,
    "convlstm": SequenceNetwork,
    "mlp": Perceptron,
}

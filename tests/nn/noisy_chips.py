"""Chips with spread and read noise, and one chip with the cells of another."""

from typing import Any

import torch
from torch import nn

import ohmweave as ow
from ohmweave.cells import Cell, LinearStep, ReadNoise, Spread
from ohmweave.nn import Deployed
from tests.helpers import assert_close

STEP = LinearStep(g_min=2e-6, g_max=20e-6, levels=64)
CELL = Cell(STEP, spread=Spread(d2d=0.1, trains="aggregate"), read_noise=ReadNoise(fraction=0.03))


def noisy(model: nn.Module, n_chips: int | None, how: dict[str, Any], dtype: torch.dtype = torch.float64) -> Deployed:
    chip = ow.Chip(CELL, n_arrays=40, rows=64, cols=128, n_chips=n_chips, seed=3, dtype=dtype)
    return ow.deploy(model, chip, write=ow.BlindWrite(g_step=STEP.g_step), **how)


def with_cells_of(net: Deployed, alone: Deployed, k: int) -> Deployed:
    """`alone`, with the cells of the chip k of `net`."""
    n = net.chip.chip_shape[0]
    state, cells = alone.chip.array.state_dict(), net.chip.array.state_dict()
    state |= {name: leaf.view(n, -1)[k] for name, leaf in cells.items() if name.startswith("cells.")}
    alone.chip.load_state_dict(state)
    return alone


def assert_same_chip(y: torch.Tensor, alone: torch.Tensor, n_alone: int | None) -> None:
    """The outputs of a chip among several and of that chip alone: equal bits if it is alone with `n_chips` = 1.

    Without a chip dimension (`n_chips` = None) torch computes the product of a linear layer by `mm` and not by `bmm`,
    which adds the same numbers in another order for some shapes. Then they are equal up to rounding.
    """
    if n_alone is None:
        assert_close(y, alone, rtol=1e-12, scale=float(alone.abs().max()))
    else:
        assert torch.equal(y, alone[0])

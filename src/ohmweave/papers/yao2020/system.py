"""The eight arrays, the placement of the network on them, and counting of right answers."""

from typing import Any

import torch

from ohmweave.arrays import DAC
from ohmweave.cells import Cell, LinearStep, yao2020
from ohmweave.cells.yao2020 import G_MAX, G_MIN
from ohmweave.data import Split
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling
from ohmweave.nn import Deployed, OnChip, calibrate_inputs, deploy
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.programming import BlindWrite, Write, WriteVerify

MAPPING = DifferentialPair(levels=15, g_low=2.5e-6, g_high=20e-6, clip="mse")
"""15 signed levels from the conductances 2.5, 5, ... 20 uS (paper). The cell of a pair that the sign does not need is
written to 2.5 uS, and the weights of a layer are clipped where the rounding error is smallest (both ours: the paper
prints neither)."""

WRITE = WriteVerify(tolerance=0.5e-6, max_pulses=500, t_settle=1.0)
"""+-100 nA at 0.2 V, at most 500 pulses (paper). Cells are first used 1 s after their last pulse (ours), when the fast
relaxation is over."""

KERNEL_SLICE = 9
"""Cells of one 3 x 3 kernel slice. They are on one column, of whose 16 cells they take 9 (paper)."""


EIGHT_BITS = DAC(bits=8, v_max=0.2)
"""8-bit inputs, each as one voltage. Where reads are exact, the results equal those of inputs sent bit by bit."""


def chips(
    n_chips: int,
    *,
    seed: int,
    cell: Cell | None = None,
    dac: DAC = EIGHT_BITS,
    device: torch.device | str = "cpu",
) -> Chip:
    """`n_chips` systems of eight arrays with 16 input and 128 output lines and 8-bit inputs.

    Args:
        n_chips: systems side by side.
        seed: of cells and noise.
        cell: None is the published cell, `ohmweave.cells.yao2020()`.
        dac: of the row drivers. An experiment with a bill takes `papers.energy.BIT_SERIAL`, drivers that send the 8
            bits one after another, like the paper's. Without read noise and with ideal column converters, the results
            are the same bit for bit.
        device: torch's device of the cells.
    """
    return Chip(
        cell or yao2020(),
        n_arrays=8,
        rows=16,
        cols=128,
        n_chips=n_chips,
        seed=seed,
        dac=dac,
        device=device,
    )


def transfer(net: FiveLayerCNN, chip: Chip, training_images: torch.Tensor, write: Write = WRITE) -> Deployed:
    """Quantise, write and calibrate: convolvers on arrays 0-1, 2-3, 4-5, the last layer on arrays 6-7.

    The paper numbers the same arrays from 1 to 8.

    Args:
        net: the software network, on the device of `chip`.
        chip: eight arrays, see `chips`.
        training_images: `(n, 1, 28, 28)`; their largest activations set the full scale of each layer's inputs.
        write: how cells are written.
    """
    deployed = written(net, chip, write)
    for group in range(len(net.groups)):
        calibrate_inputs(deployed, training_images, group=group)
    return deployed


def written(net: FiveLayerCNN, chip: Chip, write: Write = WRITE) -> Deployed:
    """Quantise and write as `transfer` does, without setting the full scales of the inputs."""
    layers = {"fc": OnChip(arrays=(6, 7))}
    for group in range(len(net.groups)):
        pair = OnChip(arrays=(2 * group, 2 * group + 1), tile_rows=KERNEL_SLICE)
        layers |= {f"groups.{group}.c1": pair, f"groups.{group}.c3": pair}
    return deploy(net, chip, write=write, mapping=MAPPING, scaling=FixedScaling, layers=layers)


def placed(n_groups: int) -> Chip:
    """A chip with an untrained network of `n_groups` convolvers on ideal cells, for a floor plan."""
    law = LinearStep(g_min=G_MIN, g_max=G_MAX)
    chip = chips(1, seed=0, cell=Cell(law))
    transfer(FiveLayerCNN(n_groups), chip, torch.zeros(1, 1, 28, 28), BlindWrite(g_step=law.g_step))
    return chip


def quantised(net: FiveLayerCNN, chip: Chip) -> FiveLayerCNN:
    """A copy of `net` with its weights rounded to 15 levels, in software. `chip` gives the window of the cells."""
    twin = net.replicate(len(net.groups))
    with torch.no_grad():
        for parameter in twin.parameters():
            matrix = parameter.flatten(1)
            parameter.copy_(MAPPING.quantise(matrix, chip.array).view_as(parameter))
    return twin


@torch.no_grad()
def count_correct(net: torch.nn.Module, split: Split, *, batch: int = 500, **forward: Any) -> list[int]:
    """Images of `split` that each chip classifies right: one number a chip, or one for a network in software.

    `forward` is passed on to `net`, such as `group=1`.
    """
    n_correct: torch.Tensor | None = None
    for x, y in split.batches(batch):
        hits = (net(x, **forward).argmax(-1) == y).sum(-1)
        n_correct = hits if n_correct is None else n_correct + hits
    assert n_correct is not None
    return [int(n) for n in n_correct.reshape(-1)]

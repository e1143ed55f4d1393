"""Images behind a DAC: codes are convolved in place of volts, with the same currents and the same noise."""

import torch

from ohmweave.arrays import DAC, ConvGeometry
from ohmweave.base import generator
from ohmweave.cells import LinearStep, ReadNoise
from ohmweave.cells.cell import Cell
from ohmweave.mapping import Chip
from tests.helpers import assert_close


def test_patches_behind_a_dac_have_the_mean_and_the_noise_of_vectors() -> None:
    cell = Cell(LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ReadNoise(fraction=0.1))
    chip = Chip(cell, n_arrays=1, rows=16, cols=4, seed=1, dac=DAC(bits=6, v_max=0.2))
    place = chip.place("w", (8, 3))
    geometry = ConvGeometry(kernel_size=(2, 2), stride=(1, 1), dilation=(1, 1), padding=(0, 0, 0, 0))
    image = 0.2 * torch.rand(1, 2, 2, 2, generator=generator(2))  # (batch, H, W, C), one patch
    many = image.expand(6_000, -1, -1, -1)
    by_patch = chip.array.read_patches(many, geometry, place).flatten(0, 2)
    vectors = many.movedim(-1, 1).flatten(1)  # channel by channel
    by_vector = chip.array.read(vectors, place)
    assert_close(by_patch.mean(0), by_vector.mean(0), rtol=0.01)
    assert_close(by_patch.std(0), by_vector.std(0), rtol=0.06)

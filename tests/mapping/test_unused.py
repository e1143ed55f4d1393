"""RESET of the cells that hold no weight."""

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OutOfRangeError
from ohmweave.mapping import reset_unused
from tests.helpers import assert_close

LAW = ow.cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=31)
WRITE = ow.WriteVerify(tolerance=0.4e-6)


def conductances(chip: ow.Chip) -> torch.Tensor:
    array = chip.array
    n = chip.n_cells * (chip.chip_shape[0] if chip.chip_shape else 1)
    return array.readout(torch.arange(n, dtype=torch.int64, device=array.device))


def test_a_new_chip_is_at_the_bottom_of_its_window() -> None:
    chip = ow.Chip(LAW, rows=6, cols=5, n_arrays=2, n_chips=3, seed=1)
    everything = torch.arange(180, dtype=torch.int64, device=chip.device)
    chip.array.pulse(
        everything, ow.cells.Pulse(torch.full_like(everything, ow.cells.SET), n=torch.full_like(everything, 15))
    )
    sent = reset_unused(chip)
    assert_close(conductances(chip), torch.full((180,), 2e-6), rtol=1e-6)
    # 15 steps down in bursts of ten, and a burst that finds the bottom.
    assert sent == 30
    assert chip.array.books.activity.n_reset == 180 * 30


def test_cells_that_hold_weights_are_left_alone() -> None:
    chip = ow.Chip(LAW, rows=8, cols=8, n_chips=2, seed=1)
    everything = torch.arange(128, dtype=torch.int64, device=chip.device)
    chip.array.pulse(
        everything, ow.cells.Pulse(torch.full_like(everything, ow.cells.SET), n=torch.full_like(everything, 30))
    )
    net = ow.deploy(torch.nn.Linear(3, 2, bias=False), chip, write=WRITE)
    before, weights = conductances(chip), next(iter(net.weights.values())).detach().clone()
    reset_unused(chip)
    after = conductances(chip)
    held = torch.zeros(64, dtype=torch.bool)
    for placement in chip.placed.values():
        held[placement.cells.flatten()] = True
    held = held.repeat(2)
    assert int(held.sum()) == 2 * 12
    assert torch.equal(after[held], before[held])
    assert_close(after[~held], torch.full((104,), 2e-6), rtol=1e-6)
    assert torch.equal(next(iter(net.weights.values())).detach(), weights)


def test_unused_cells_load_wires_less_after_a_reset() -> None:
    """The current of a row that crosses unused cells at the top of their window sags more."""
    outputs = []
    for reset in (False, True):
        chip = ow.Chip(LAW, rows=64, cols=64, seed=1, wires=ow.arrays.Wires(r_row=5.0, r_col=5.0), dtype=torch.float64)
        everything = torch.arange(64 * 64, dtype=torch.int64, device=chip.device)
        top = ow.cells.Pulse(torch.full_like(everything, ow.cells.SET), n=torch.full_like(everything, 30))
        chip.array.pulse(everything, top)
        if reset:
            reset_unused(chip)
        placement = chip.place("m", (4, 4))
        chip.array.pulse(
            placement.cells.flatten(),
            ow.cells.Pulse(torch.full((16,), ow.cells.SET), n=torch.full((16,), 30)),
        )
        outputs.append(float(chip.array.read(torch.full((1, 4), 0.2, dtype=torch.float64), placement).sum()))
    ideal = 16 * 0.2 * 20e-6
    assert outputs[0] < outputs[1] < ideal


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="max_pulses"):
        reset_unused(ow.Chip(LAW, rows=2, cols=2), max_pulses=5)
    with pytest.raises(TypeError, match="chip"):
        reset_unused(LAW)  # type: ignore[arg-type]
    coupled = ow.Chip(
        LAW,
        rows=4,
        cols=4,
        wires=ow.arrays.Wires(r_row=1.0, r_col=1.0),
        readout="read",
    )
    ow.deploy(torch.nn.Linear(2, 1, bias=False), coupled, write=WRITE)
    with pytest.raises(OutOfRangeError, match="before networks are deployed"):
        reset_unused(coupled)

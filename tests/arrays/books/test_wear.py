"""Pulses of each cell."""

import torch

import ohmweave as ow
from ohmweave.arrays import Wear


def test_every_pulse_is_counted_on_its_cell() -> None:
    chip = ow.Chip(ow.cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=31), rows=2, cols=3, n_chips=2)
    wear = Wear(12)
    with chip.array.books.attached(wear):
        chip.array.pulse(torch.tensor([0, 7]), ow.cells.Pulse(torch.tensor([1, -1]), n=torch.tensor([3, 2])))
        chip.array.pulse(torch.tensor([7, 11]), ow.cells.Pulse(torch.tensor([1, 0])))
        chip.array.readout(torch.arange(12))
        chip.wait(1.0)
    chip.array.pulse(torch.tensor([5]), ow.cells.Pulse(torch.tensor([1])))
    assert wear.n_pulses.tolist() == [3, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]


def test_wear_agrees_with_the_reports_and_totals_of_a_write() -> None:
    chip = ow.Chip(ow.cells.yao2020(), rows=16, cols=16, n_chips=2, seed=2)
    wear = Wear(512)
    with chip.array.books.attached(wear):
        net = ow.deploy(torch.nn.Linear(8, 5, bias=False), chip, write=ow.WriteVerify(tolerance=0.5e-6))
    (report,) = net.reports.values()
    activity = chip.array.books.activity
    assert int(wear.n_pulses.sum()) == activity.n_set + activity.n_reset
    assert int(wear.n_pulses.max()) == int(report.n_pulses.max())

"""From pulse measurements to a chip: a CSV file as a lab would write it, a fitted law, a network's layer on its cells.

Run it with `python examples/fit_pulses.py`: a few seconds on one core, no download. It writes pulses.csv,
pulses.json and pulses.png into the current folder. The measurements are simulated, so that the truth is known.
"""

from dataclasses import replace

import torch

import ohmweave as ow
from ohmweave.base import generator
from ohmweave.cells import Pulse

# The truth: steps that shrink towards the bounds, noise of a third of a step, cells that differ by 15 %, some stuck.
law = ow.cells.exponential_steps(
    g_min=2e-6, g_max=20e-6, n_set=60, n_reset=60, shape_set=0.6, shape_reset=0.4, c2c=0.01
)
truth = ow.cells.Cell(
    replace(law, g_fresh=4e-6),
    spread=ow.cells.Spread(d2d=0.15),
    faults=ow.cells.StuckCells(fraction=0.06, g_stuck=(2e-6, 20e-6)),
)

# The measurement: six cycles of 35 SET and 35 RESET pulses on 32 cells, each read after every pulse.
chance = generator(2, "lab")
state = truth.init_state((32,), generator=chance, dtype=torch.float64)
with open("pulses.csv", "w", encoding="utf-8") as file:  # noqa: PTH123
    file.write("cell, pulse, polarity, g (uS), v (V), width (ns)\n")
    for pulse, polarity in enumerate([0] + ([1] * 35 + [-1] * 35) * 6):
        state = truth.pulse(state, Pulse(torch.full((32,), polarity)), generator=chance)
        v = {1: 1.2, -1: 1.4, 0: 0}[polarity]
        for number, g in enumerate(truth.conductance(state).tolist(), start=1):
            file.write(f"C{number:02d}, {pulse}, {polarity}, {1e6 * g:.5f}, {v}, 50\n")

# The fit; `ohmweave fit pulses.csv` does the same.
fit = ow.fitting.fit_trains(ow.fitting.read_trains("pulses.csv"))
ow.cells.save(fit.cell, "pulses.json", about={"origin": "simulated"})
ow.plot.pulse_fit(fit).savefig("pulses.png")
print(f"chosen: {fit.chosen.name}; {fit.stuck.value:.0%} of the cells are stuck; d2d {fit.chosen.d2d.value:.3f}")
for name, (value, low, high) in fit.chosen.parameters.items():
    print(f"{name}: {1e6 * value:.3f} uS, {1e6 * low:.3f} to {1e6 * high:.3f} uS")
print(f"truth: {truth}")

# The cell at work: ten chips of such cells hold a layer.
chip = ow.Chip(ow.cells.load("pulses.json"), rows=64, cols=32, n_chips=10, seed=0)
layer = torch.nn.Sequential(torch.nn.Linear(32, 16, bias=False))
x = torch.randn(200, 32)
net = ow.deploy(layer, chip, write=ow.WriteVerify(tolerance=0.5e-6))
error = (net(x) - layer(x)).square().mean((-2, -1)).sqrt() / layer(x).std()
print(f"error of ten chips: {100 * error.mean():.1f} % of the output's spread")

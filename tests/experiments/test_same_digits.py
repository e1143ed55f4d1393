"""Threads and Numba: rows are equal, or what they record of the computation differs."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import json, sys
if "no-numba" in sys.argv:
    sys.modules["numba"] = None
import torch
torch.set_num_threads(int(sys.argv[1]))
import ohmweave as ow
from ohmweave.base import generator
from ohmweave.cells import Cell, ReadNoise, linear_steps
from ohmweave.experiments.computing import computing
law = linear_steps(g_min=2e-6, g_max=20e-6, levels=100, c2c=0.5)
chip = ow.Chip(Cell(law, read_noise=ReadNoise(floor=1e-7)), rows=64, cols=64, n_chips=2, seed=1)
layer = ow.nn.Linear(24, 16, chip=chip, name="w")
rule = ow.optim.PulsedSGD([layer.weight], lr=0.05, g_step=1e-7, generator=generator(1, "rule"))
total = 0.0
for n in range(4):
    rule.zero_grad()
    loss = layer(torch.rand(6, 24, generator=generator(n, "x"))).square().mean()
    loss.backward()
    rule.step()
    total += float(loss.detach())
g = chip.array.readout(chip.array.cells(layer.matrix.placement)).double().sum()
print(json.dumps({"result": [total, float(g)], "computing": computing()}))
"""


def row(*arguments: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"PYTHONHASHSEED": str(len(arguments))},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_rows_are_equal_or_say_what_differs() -> None:
    first = row("1")
    assert row("1") == first
    for arguments, key in ((("2",), "threads"), (("1", "no-numba"), "numba")):
        other = row(*arguments)
        if other["computing"]["cpu"] != first["computing"]["cpu"]:
            pytest.skip("the processor changed between the runs")
        differing = {name for name in first["computing"] if other["computing"][name] != first["computing"][name]}
        assert differing <= {key}
        assert other["result"] == first["result"] or differing == {key}

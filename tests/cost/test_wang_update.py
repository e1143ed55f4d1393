"""One update of Wang's network on the bill, against cells and lines counted by hand."""

import torch
import torch.nn.functional as F

import ohmweave as ow
from ohmweave.arrays import UNASSIGNED
from ohmweave.cost import ledger, wang2019_estimate
from ohmweave.papers.wang2019 import system
from tests.helpers import assert_close

BATCH = 3
CELLS = {"conv1": 9 * 4 * 15, "conv2": 60 * 2 * 8, "dense": 64 * 4 * 10}  # inputs x row lines x column lines
VECTORS = {"conv1": 64, "conv2": 64, "dense": 1}  # of an image: 8 x 8 positions with padding


def test_an_update_equals_the_hand_count() -> None:
    chip = system.chip(1, seed=0)
    network = system.ConvolutionalNetwork(chip)
    rule = ow.optim.GateControlled(network.parameters(), torch.optim.RMSprop, lr=0.01, alpha=0.9, eps=1e-8)
    images = torch.rand(BATCH, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.2
    labels = torch.tensor([1, 2, 3])
    before = {layer.matrix.name: v.clone() for layer, v in _gates(network, rule)}
    costs = wang2019_estimate()
    with ledger(chip, costs=costs, phase="forward", assumed=True) as bill:
        loss = F.cross_entropy(network(images), labels, reduction="sum")
        with bill.phase("backward"):
            loss.backward()
        with bill.phase("update"):
            rule.step()
    assert not [key for key in bill.usage if key[0] == "backward"]  # the backward pass is software
    assert not [key for key in bill.usage if key[1] == UNASSIGNED]
    for layer, v_gate in _gates(network, rule):
        name = layer.matrix.name
        assert layer.matrix.cells.numel() == CELLS[name]
        forward, update = bill.usage["forward", name], bill.usage["update", name]
        tiles = layer.matrix.placement.tiles
        assert forward.n_vectors == BATCH * VECTORS[name]
        assert forward.n_reads == BATCH * VECTORS[name] * len(tiles)
        assert forward.n_conversions == BATCH * VECTORS[name] * sum(tile.cols for tile in tiles)
        down = int((v_gate < before[name]).sum())
        moved = int((v_gate != before[name]).sum())
        # A voltage at its bound may be asked further: its cell is pulsed though the voltage stays.
        assert update.n_reset >= down
        assert update.n_set >= moved
        assert update.n_set <= CELLS[name]
        # Stale weights are read out once an update: where the backward pass, or else the rule, needs them.
        assert forward.n_readouts + update.n_readouts == CELLS[name]
        set_energy = 2.5 * 300e-6 * 100e-9
        assert_close(
            bill.total(phase="update", layer=name, component="SET pulses"), update.n_set * set_energy, rtol=1e-12
        )
        assert_close(
            bill.total("time", phase="update", layer=name),
            (update.n_set + update.n_reset + update.n_readouts) * 100e-9,
            rtol=1e-12,
        )


def _gates(
    network: torch.nn.Module, rule: ow.optim.GateControlled
) -> list[tuple[ow.nn.Linear | ow.nn.Conv2d, torch.Tensor]]:
    layers = [network.conv1, network.conv2, network.dense]
    return [(layer, rule.state[layer.weight]["v_gate"]) for layer in layers]

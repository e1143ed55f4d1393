"""Training on the chip, with checkpoints: a training that was killed goes on at its last whole epoch, bit for bit."""

import time
from pathlib import Path

import torch

from ohmweave.base import DataError, generator
from ohmweave.evaluation.bench import Bench
from ohmweave.explore.training import BATCH, learn_batches, rule_of_digital
from ohmweave.nn import Deployed, load, save

SECONDS_BETWEEN_CHECKPOINTS = 60.0
"""A checkpoint is written after an epoch if the last one, or the start, is so long ago. Ours."""


def learn(bench: Bench, net: Deployed, rule: torch.optim.Optimizer, *, epochs: int) -> None:
    """Train on the chip: weights by `rule`, digital parameters by Adam, in an order that all chips share.

    Args:
        bench: data, the seed of the order, and the folder of the checkpoints.
        net: as it is before training. What a checkpoint holds replaces it: cells, counts, streams, rule and biases.
        rule: of the weights on the chip.
        epochs: passes through the training images.
    """
    rules = [rule, *rule_of_digital(net)]
    order = generator(bench.first, "evaluation", "order on the chip")
    net.train()
    done, last = _resumed(bench, net, rules, epochs), time.monotonic()
    for _ in range(done):  # the order goes on where it was
        for _ in bench.data.train.batches(BATCH, order):
            pass
    for epoch in range(done, epochs):
        bench.progress(epoch / epochs, f"learning in situ, epoch {epoch + 1} of {epochs}")
        learn_batches(net, rules, bench.data.train.batches(BATCH, order))
        if time.monotonic() - last >= SECONDS_BETWEEN_CHECKPOINTS and epoch + 1 < epochs:
            save(net, _path(bench, epoch + 1), rule=rules)
            _drop(bench, keep=epoch + 1)
            last = time.monotonic()
    net.eval()


def drop_checkpoints(bench: Bench) -> None:
    """Remove the checkpoints of a task whose row is about to be written."""
    _drop(bench, keep=None)


def _path(bench: Bench, epoch: int) -> Path:
    return bench.artifact(f"{bench.key}-epoch-{epoch}.safetensors")


def _epochs(bench: Bench) -> dict[int, Path]:
    folder = _path(bench, 0).parent
    found = {path.stem.rpartition("-")[2]: path for path in folder.glob(f"{bench.key}-epoch-*.safetensors")}
    return {int(name): path for name, path in found.items() if name.isdecimal()}


def _drop(bench: Bench, *, keep: int | None) -> None:
    for epoch, path in _epochs(bench).items():
        if epoch != keep:
            path.unlink(missing_ok=True)


def _resumed(bench: Bench, net: Deployed, rules: list[torch.optim.Optimizer], epochs: int) -> int:
    """Epochs that the latest checkpoint holds, whose state `net` and `rules` then have; 0 without one."""
    for epoch, path in sorted(_epochs(bench).items(), reverse=True):
        if 0 < epoch < epochs:
            try:
                load(net, path, rule=rules)
            except DataError:  # of another version, or damaged: train from the start
                continue
            return epoch
    return 0

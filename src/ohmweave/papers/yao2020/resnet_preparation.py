"""Three ways of preparing ResNet-56 for 15-level weights, before anything is written to a chip."""

import copy
import itertools
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ohmweave.base import generator
from ohmweave.cells import yao2020
from ohmweave.data import Split
from ohmweave.experiments import Context, Progress, atomic_write
from ohmweave.mapping import Chip
from ohmweave.nn import NoiseAware, per_channel_scale
from ohmweave.papers.yao2020 import system
from ohmweave.papers.yao2020.resnet import ResNet, load_checkpoint
from ohmweave.papers.yao2020.resnet_data import Subject, shifted

WAYS = {
    "layer": "one scale a layer",
    "channel": "one scale a channel",
    "aware": "one scale a channel, and a short training for the chip",
}
"""Ways of preparing the network, by the name that tasks use. The first is the paper's."""

WRITE_ERROR = 0.6e-6
"""S, standard deviation of a written cell after relaxation, as `yao2020/write-verify` measures it (ours)."""

AWARE_STEPS, AWARE_BATCH, AWARE_RATE = 200, 64, 5e-4
"""Steps, images a step and learning rate (Adam) of the training for the chip. 100 steps, and a rate of 1e-4, gave lower
accuracy on the validation images (ours)."""


def prepared(way: str, what: Subject, context: Context) -> ResNet:
    """The network that is written to the chip.

    Args:
        way: a key of `WAYS`. "layer" returns the network as it is, "channel" with its channels rescaled, "aware"
            rescaled and then trained for the chip. The last is done once and kept in the results folder.
        what: network and images of the task.
        context: of the run.
    """
    if way == "layer":
        return what.net
    rescaled = per_channel_scale(what.net, what.train.images[:2])
    if way == "channel":
        return rescaled
    path = context.artifact(f"{Path(what.origin).stem}-{len(what.train)}-aware.safetensors".replace(" ", "-"))
    if not path.exists():
        trained = trained_for_the_chip(rescaled, what.train, context.progress)
        with atomic_write(path) as part:
            save_file(trained.state_dict(), part)
    return load_checkpoint(path, what.n_layers)


def trained_for_the_chip(net: ResNet, train: Split, progress: Progress = lambda fraction, text: None) -> ResNet:
    """A copy of `net` trained for `AWARE_STEPS` steps with rounded weights and write errors in the forward pass.

    Its seeds are fixed: the result is the same for all chips.
    """
    twin = copy.deepcopy(net)
    chip = Chip(yao2020(), rows=16, cols=16)  # gives the window of the levels alone; nothing is written to it
    aware = NoiseAware(
        twin, chip, mapping=system.MAPPING, sigma=WRITE_ERROR, generator=generator(0, "resnet", "aware")
    ).train()
    optimizer = torch.optim.Adam(twin.parameters(), lr=AWARE_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, AWARE_STEPS)
    order, shifts = generator(0, "resnet", "aware", "order"), generator(0, "resnet", "aware", "shifts")
    batches = (batch for _ in itertools.count() for batch in train.batches(AWARE_BATCH, generator=order))
    for n_done, (x, y) in enumerate(itertools.islice(batches, AWARE_STEPS)):
        progress(0.1 + 0.3 * n_done / AWARE_STEPS, f"training for the chip, step {n_done + 1} of {AWARE_STEPS}")
        optimizer.zero_grad()
        images = shifted(x, shifts).contiguous(memory_format=torch.channels_last)
        F.cross_entropy(aware(images), y).backward()
        optimizer.step()
        schedule.step()
    return twin.eval()

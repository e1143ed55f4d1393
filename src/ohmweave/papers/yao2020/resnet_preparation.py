"""Ways of preparing ResNet-56 for 15-level weights, before anything is written to a chip."""

import copy
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ohmweave.base import generator
from ohmweave.cells import yao2020
from ohmweave.data import Split
from ohmweave.experiments import Context, Progress, atomic_write
from ohmweave.mapping import Chip, DeviationClip, DifferentialPair, QuantileClip
from ohmweave.nn import NoiseAware, per_channel_scale
from ohmweave.papers.yao2020 import system
from ohmweave.papers.yao2020.resnet import ResNet, load_checkpoint
from ohmweave.papers.yao2020.resnet_data import Subject, shifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How weights become conductances.

    Attributes:
        title: in tables and progress.
        mapping: of every layer.
        paper: True for a reading of the paper's method, which is then tuned in all the ways that its words allow.
        literal: True for the literal reading; it alone is tuned with batch norm on all images, which takes longest.
        per_channel: True if each output channel has a scale of its own, which batch norm takes back.
        trained: True if the network is trained for the chip before it is written.
    """

    title: str
    mapping: DifferentialPair = system.MAPPING
    paper: bool = False
    literal: bool = False
    per_channel: bool = False
    trained: bool = False


WAYS = {
    "largest": Way(
        title="one scale a layer, the largest weight at 20 uS",
        mapping=replace(system.MAPPING, clip="max"),
        paper=True,
        literal=True,
    ),
    "layer": Way(title="one scale a layer, clip of least rounding error", paper=True),
    "quantile": Way(
        title="one scale a layer, the largest 0.1 % clipped",
        mapping=replace(system.MAPPING, clip=QuantileClip(0.999)),
        paper=True,
    ),
    "deviation": Way(
        title="one scale a layer, clip at four standard deviations",
        mapping=replace(system.MAPPING, clip=DeviationClip(4.0)),
        paper=True,
    ),
    "channel": Way(title="one scale a channel", per_channel=True),
    "aware": Way(title="one scale a channel, and a short training for the chip", per_channel=True, trained=True),
}
"""Ways of preparing the network, by the name that tasks use. The paper prints that weights are rescaled to the window:
"largest" is the literal reading, the three others with one scale a layer are clips that it does not exclude."""

WRITE_ERROR = 0.6e-6
"""S, standard deviation of a written cell after relaxation, as `yao2020/write-verify` measures it (ours)."""

AWARE_STEPS, AWARE_BATCH, AWARE_RATE = 200, 64, 5e-4
"""Steps, images a step and learning rate (Adam) of the training for the chip. 100 steps, and a rate of 1e-4, gave lower
accuracy on the validation images (ours)."""


def prepared(way: str, what: Subject, context: Context) -> ResNet:
    """The network that is written to the chip.

    Args:
        way: a key of `WAYS`. With one scale a layer the network is returned as it is. Training for the chip is done
            once and kept in the results folder.
        what: network and images of the task.
        context: of the run.
    """
    if not WAYS[way].per_channel:
        return what.net
    rescaled = per_channel_scale(what.net, what.train.images[:2])
    if not WAYS[way].trained:
        return rescaled
    path = context.artifact(f"{Path(what.origin).stem}-{len(what.train)}-aware.safetensors".replace(" ", "-"))
    if not path.exists():
        trained = trained_for_the_chip(rescaled, what.train, context.progress)
        with atomic_write(path) as part:
            save_file(trained.state_dict(), part)
    return load_checkpoint(path, what.n_layers).to(what.train.images.device)


def trained_for_the_chip(net: ResNet, train: Split, progress: Progress = lambda fraction, text: None) -> ResNet:
    """A copy of `net` trained for `AWARE_STEPS` steps with rounded weights and write errors in the forward pass.

    Its seeds are fixed: the result is the same for all chips.
    """
    twin = copy.deepcopy(net)
    device = train.images.device
    # It gives the window of the levels alone; nothing is written to it.
    chip = Chip(yao2020(), rows=16, cols=16, device=device)
    noise = generator(0, "resnet", "aware", device=device)
    aware = NoiseAware(twin, chip, mapping=system.MAPPING, sigma=WRITE_ERROR, generator=noise).train()
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

"""Images and software network of the ResNet experiments: a checkpoint if one is found, else a network trained here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ohmweave.base import generator
from ohmweave.data import Dataset, Split, load, normalised, search_folders
from ohmweave.experiments import Context, Task, atomic_write
from ohmweave.papers.yao2020.resnet import ResNet, load_checkpoint

SIDE = 32
N_LAYERS = {"digits": 8, "mnist": 8, "cifar10": 56}
"""Layers by data set. The paper's network is for CIFAR-10; the others are for quick trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Network and images of a task.

    Attributes:
        net: the software network, in evaluation mode.
        n_layers: its number of layers.
        train, validation, test: images, `(n, 3, 32, 32)`, normalised. The validation images are those that the data set
            keeps from its training images; nothing is trained, tuned or calibrated on them here.
        origin: file name of the checkpoint, or "trained here".
    """

    net: ResNet
    n_layers: int
    train: Split
    validation: Split
    test: Split
    origin: str

    def to(self, device: torch.device | str) -> "Subject":
        """Network and images on `device`."""
        return replace(
            self,
            net=self.net.to(device),
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )


def subject(task: Task, context: Context, *, n_layers: int | None = None) -> Subject:
    """Data and network of a task; the smoke scale takes 500 test and 2,000 training images.

    A tenth of the training images is set aside for validation.
    """
    name, full = str(task.params["data"]), task.params["scale"] == "full"
    data = load(name, data_dir=context.options.data_dir)
    # Of the smoke scale, the smaller numbers.
    sizes = (len(data.train), len(data.validation), len(data.test)) if full else (1_800, 200, 500)
    parts = zip((data.train, data.validation, data.test), sizes, strict=True)
    train, validation, test = (_prepared(data, _first(part, n)) for part, n in parts)
    layers = n_layers or N_LAYERS[name]
    checkpoint = find_checkpoint(f"resnet{layers}-{name}.safetensors", context)
    if checkpoint is not None:
        net = load_checkpoint(checkpoint, layers)
        return Subject(net=net, n_layers=layers, train=train, validation=validation, test=test, origin=checkpoint.name)
    path = context.artifact(f"resnet{layers}-{name}-{len(train)}-{task.seed}.safetensors")
    if not path.exists():
        epochs = 100 if full else 8
        trained = train_network(ResNet(layers), train, epochs=epochs, seed=task.seed, progress=context.progress)
        with atomic_write(path) as part:
            save_file(trained.state_dict(), part)
    net = load_checkpoint(path, layers)
    return Subject(net=net, n_layers=layers, train=train, validation=validation, test=test, origin="trained here")


def find_checkpoint(name: str, context: Context) -> Path | None:
    """A file `name` in the data folders, or in a folder `models` in or beside them."""
    roots = search_folders(context.options.data_dir, ["models", "../models"])
    return next((root / name for root in roots if (root / name).is_file()), None)


def _first(split: Split, n: int) -> Split:
    return split.take(min(n, len(split)))


def _prepared(data: Dataset, split: Split) -> Split:
    """Three normalised channels of 32 x 32: grey images are repeated and framed."""
    if data.name == "cifar10":
        return normalised(split)
    side = split.images.shape[-1]
    before, after = (SIDE - side) // 2, SIDE - side - (SIDE - side) // 2
    framed = F.pad(split.images, (before, after, before, after)).expand(-1, 3, -1, -1)
    return normalised(Split(images=framed, labels=split.labels))


def train_network(
    net: ResNet, train: Split, *, epochs: int, seed: int, progress: Callable[[float, str], None], lr: float = 0.05
) -> ResNet:
    """Train with momentum, weight decay, shifts and a learning rate that falls along a cosine (ours).

    Mirrored images, which the usual recipe adds, are for photographs, and left out because digits come this way too.
    """
    order, shifts = generator(seed, "resnet", "order"), generator(seed, "resnet", "shifts")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = ResNet(net.n_layers, len(net.first))
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    n_steps = epochs * -(-len(train) // 100)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    net.train()
    for epoch in range(epochs):
        progress(0.5 * epoch / epochs, f"training ResNet-{net.n_layers}, epoch {epoch + 1} of {epochs}")
        for x, y in train.batches(100, generator=order):
            optimizer.zero_grad()
            F.cross_entropy(net(shifted(x, shifts)), y).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def shifted(x: torch.Tensor, stream: torch.Generator, *, most: int = 2) -> torch.Tensor:
    """Images `(n, channels, h, w)` all shifted, circularly, by the same random 0 to `most` pixels in each direction."""
    across, down = torch.randint(-most, most + 1, (2,), generator=stream).tolist()
    return torch.roll(x, (across, down), dims=(2, 3))

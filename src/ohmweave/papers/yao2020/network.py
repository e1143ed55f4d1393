"""The five-layer CNN (section 1 of the paper's methods) and its ex-situ training."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ohmweave.base import ExperimentError, generator
from ohmweave.data import Dataset, Split
from ohmweave.experiments import atomic_write
from ohmweave.nn.replicas import cut_convolution


class Convolver(torch.nn.Module):
    """C1, S2, C3, S4: `(n, 1, 28, 28)` to `(n, 192)`. No biases.

    Pooling keeps incomplete patches at the borders, as TensorFlow's SAME does.
    """

    def __init__(self, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.c1 = torch.nn.Conv2d(1, 8, 3, bias=False, device=device)
        self.c3 = torch.nn.Conv2d(8, 12, 3, bias=False, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features `(n, 192)` of whole images `(n, 1, 28, 28)`."""
        s2 = F.max_pool2d(F.relu(self.c1(x)), 3, ceil_mode=True)
        return F.max_pool2d(F.relu(self.c3(s2)), 2, ceil_mode=True).flatten(1)


class FiveLayerCNN(torch.nn.Module):
    """`(n, 1, 28, 28)` to `(n, 10)`; 2,856 weights. `n_groups` convolvers, equal at first, share the last layer.

    Args:
        n_groups: replicas of the convolver: 1, or 3 as in the paper's parallel system.
        device: of the weights; None is torch's default.
    """

    def __init__(self, n_groups: int = 1, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.groups = torch.nn.ModuleList(Convolver(device) for _ in range(n_groups))
        self.fc = torch.nn.Linear(192, 10, bias=False, device=device)

    def forward(self, x: torch.Tensor, group: int | None = 0) -> torch.Tensor:
        """Images `(n, 1, 28, 28)` to logits `(n, 10)`: through convolver number `group`, then the shared last layer.

        `group` None cuts each image into strips of rows, one for each convolver.
        """
        features: torch.Tensor = self._cut(x) if group is None else self.groups[group](x)
        out: torch.Tensor = self.fc(features)
        return out

    def _cut(self, x: torch.Tensor) -> torch.Tensor:
        """Features `(n, 192)`; in each layer, every convolver computes a strip of the output rows."""
        c1, c3 = ([group.get_submodule(name) for group in self.groups] for name in ("c1", "c3"))
        s2 = F.max_pool2d(F.relu(cut_convolution(c1, x)), 3, ceil_mode=True)
        return F.max_pool2d(F.relu(cut_convolution(c3, s2)), 2, ceil_mode=True).flatten(1)

    def replicate(self, n_groups: int) -> "FiveLayerCNN":
        """A copy of the network, on the same device, with `n_groups` copies of its first convolver."""
        twin = FiveLayerCNN(n_groups, device=self.fc.weight.device)
        for group in twin.groups:
            group.load_state_dict(self.groups[0].state_dict())
        twin.fc.load_state_dict(self.fc.state_dict())
        return twin


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Ex-situ training by Adam. The paper prints no recipe; this one was chosen on the validation images (ours).

    Attributes:
        epochs: passes over the training images.
        batch: images a step.
        lr: learning rate at the start; it falls to zero along a cosine.
        stop_at: accuracy on the validation images at which training stops; None: never. Then the learning rate is
            constant, and the network is the running mean of the weights, which is looked at every 50 steps: its
            accuracy rises almost steadily, so that the first look above the level is not a lucky one.
    """

    epochs: int = 12
    batch: int = 100
    lr: float = 3e-3
    stop_at: float | None = None


def train(split: Split, recipe: Recipe, *, seed: int, progress: Callable[[float, str], None]) -> FiveLayerCNN:
    """Train the network in floating point on `split`, on the CPU; `seed` gives initial weights and order of images."""
    net, order = _initial(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    n_steps = recipe.epochs * -(-len(split) // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for epoch in range(recipe.epochs):
        progress(epoch / recipe.epochs, f"training the software network, epoch {epoch + 1} of {recipe.epochs}")
        for x, y in split.batches(recipe.batch, generator=order):
            _step(net, optimizer, x, y)
            schedule.step()
    return net


_LOOK = 50  # steps between two looks at the validation images
_MEMORY = 0.98  # of the running mean of the weights, a step


def train_until(data: Dataset, recipe: Recipe, *, seed: int, progress: Callable[[float, str], None]) -> FiveLayerCNN:
    """Train until the accuracy on the validation images reaches `recipe.stop_at`; see `Recipe`.

    Raises:
        ExperimentError: the level is not reached in `recipe.epochs`.
    """
    assert recipe.stop_at is not None
    net, order = _initial(seed)
    mean = net.replicate(1)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    n_done = 0
    for epoch in range(recipe.epochs):
        progress(epoch / recipe.epochs, f"training the software network to {recipe.stop_at:.2%}, epoch {epoch + 1}")
        for x, y in data.train.batches(recipe.batch, generator=order):
            _step(net, optimizer, x, y)
            n_done += 1
            with torch.no_grad():
                for ours, theirs in zip(mean.parameters(), net.parameters(), strict=True):
                    ours.lerp_(theirs, 1 - _MEMORY)
            if n_done % _LOOK == 0 and _accuracy(mean, data.validation) >= recipe.stop_at:
                return mean
    raise ExperimentError(
        f"`stop_at` must be an accuracy on the validation images of {data.name} that {recipe.epochs} epochs reach, "
        f"but is {recipe.stop_at}"
    )


def _initial(seed: int) -> tuple[FiveLayerCNN, torch.Generator]:
    """A network with random weights, and the generator of the order of images."""
    weights = generator(seed, "yao2020", "software", "weights")
    net = FiveLayerCNN(device="cpu")
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = parameter[0].numel()
            parameter.normal_(0, (2 / fan_in) ** 0.5, generator=weights)
    return net, generator(seed, "yao2020", "software", "order")


def _step(net: FiveLayerCNN, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(net(x), y).backward()
    optimizer.step()


@torch.no_grad()
def _accuracy(net: FiveLayerCNN, split: Split) -> float:
    return sum(int((net(x).argmax(-1) == y).sum()) for x, y in split.batches(1_000)) / len(split)


def trained(
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    artifact: Callable[[str], Path],
    progress: Callable[[float, str], None],
) -> FiveLayerCNN:
    """The software network, on the CPU: trained once for each results folder and kept there.

    Args:
        data: images, on the CPU. With the recipe and the seed, its name and the number of its training images name
            the file.
        recipe: of the training.
        seed: of the training.
        artifact: from a file name to its path in the results folder.
        progress: called with the fraction done and a text.
    """
    # A recipe without `stop_at` keeps the file name that it had before there was one.
    told = {name: value for name, value in asdict(recipe).items() if value is not None}
    what = json.dumps({"data": data.name, "n": len(data.train), "seed": seed, **told}, sort_keys=True)
    path = artifact(f"yao2020-cnn-{hashlib.sha256(what.encode()).hexdigest()[:12]}.safetensors")
    if path.exists():
        net = FiveLayerCNN(device="cpu")
        net.load_state_dict(load_file(path))
        return net
    if recipe.stop_at is None:
        net = train(data.train, recipe, seed=seed, progress=progress)
    else:
        net = train_until(data, recipe, seed=seed, progress=progress)
    with atomic_write(path) as part:
        save_file(net.state_dict(), part)
    return net

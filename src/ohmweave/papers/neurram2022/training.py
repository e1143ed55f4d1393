"""Training of ResNet-20 with 3-bit activations and noisy weights: a recipe that can be stopped and taken up again.

The authors train for 200 epochs from fresh weights; we start from a public float network and train for a few (ours).
What they print is kept: Gaussian noise, new in each forward pass, whose standard deviation is a share of the largest
weight of the layer, and learnt ranges of the activations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ohmweave.base import check_fields, generator, integer, non_negative, positive
from ohmweave.cells import Cell, LinearStep
from ohmweave.data import Split
from ohmweave.experiments import Progress, atomic_write
from ohmweave.mapping import Chip, DeviationClip, DifferentialPair
from ohmweave.nn import NoiseAware
from ohmweave.papers.neurram2022.network import QuantisedResNet

G_MIN, G_MAX = 1e-6, 40e-6
"""S, the window of a cell. Paper, Methods."""

CLIP = 2.5
"""Standard deviations of a layer's weights that its largest weight has, in training with noise (ours, not tuned). A
network that is trained with noise from fresh weights has no far larger ones; a public network trained without it has,
and noise relative to them would be larger than most weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the network is trained. Every number is ours; none was chosen with test images.

    Attributes:
        noise: standard deviation of a weight's noise, of the layer's largest weight.
        steps: batches in all.
        batch: images in a batch.
        rate: the largest learning rate (Adam), reached after a twentieth of the steps; it then falls along a cosine.
        seed: of order, mirroring, shifts and noise.
        checkpoint_every: steps between two checkpoints.
    """

    noise: Annotated[float, non_negative(at_most=1.0)] = 0.0
    steps: Annotated[int, integer(at_least=1)] = 350
    batch: Annotated[int, integer(at_least=2)] = 128
    rate: Annotated[float, positive(at_most=1.0)] = 1e-3
    seed: Annotated[int, integer(at_least=0)] = 0
    checkpoint_every: Annotated[int, integer(at_least=1)] = 50

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    @property
    def name(self) -> str:
        """For files: everything on which the network depends beside start and images."""
        return f"noise{round(self.noise * 100)}-{self.steps}x{self.batch}-{self.rate:g}-{self.seed}"


def window() -> Chip:
    """A chip that gives the window of the cells alone: nothing is written to it."""
    return Chip(Cell(LinearStep(g_min=G_MIN, g_max=G_MAX)), rows=16, cols=16)


def mapping_of(noise: float) -> DifferentialPair:
    """Weights to conductances of a network that was trained with `noise`; analogue."""
    return DifferentialPair(clip=DeviationClip(CLIP) if noise else "max")


def noisy(net: torch.nn.Module, mapping: DifferentialPair, noise: float, stream: torch.Generator) -> NoiseAware:
    """`net` with weights whose noise has the standard deviation `noise` times the layer's largest weight."""
    # The weight is a difference of two cells, of which each has the error `sigma`.
    sigma = noise * (G_MAX - G_MIN) / 2**0.5
    return NoiseAware(net, window(), mapping=mapping, sigma=sigma, renew=1, generator=stream)


def train(
    net: QuantisedResNet,
    train_images: Split,
    recipe: Recipe,
    *,
    checkpoint: Path,
    precision: torch.dtype = torch.bfloat16,
    progress: Progress = lambda fraction, text: None,
) -> QuantisedResNet:
    """Train `net` in place, from `checkpoint` on if it exists.

    Args:
        net: with the weights to start from.
        train_images: `(n, 3, 32, 32)`, as `images_of` makes them.
        recipe: of the training.
        checkpoint: file that holds the state after the last multiple of `checkpoint_every` steps. A training that was
            stopped and taken up again ends with the same bits as one that was not.
        precision: of the products of training, torch.bfloat16 or torch.float32. Weights and sums of gradients are
            float32 with both. bfloat16 rounds to 0.4 %, less than any noise here; it halves the time where the
            processor has instructions for it.
        progress: called at every checkpoint.

    Returns:
        `net`, in evaluation mode.
    """
    _start_ranges(net, train_images, recipe.batch)
    stream = generator(recipe.seed, "neurram2022", "noise")
    aware = noisy(net, mapping_of(recipe.noise), recipe.noise, stream)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.rate)
    done = _restored(checkpoint, net, optimizer, stream) if checkpoint.exists() else 0
    aware.train()
    for step, (x, y) in enumerate(_batches(train_images, recipe, done), start=done):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * _schedule(step, recipe.steps)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
            logits = aware(x.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), y)
        loss.backward()
        optimizer.step()
        if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
            _store(checkpoint, step + 1, net, optimizer, stream)
            progress(
                (step + 1) / recipe.steps, f"noise {recipe.noise:g}, step {step + 1}, loss {float(loss.detach()):.3f}"
            )
    return net.eval()


def _start_ranges(net: QuantisedResNet, images: Split, batch: int) -> None:
    """The ranges of a float network, from its own activations; batch norm stays as it is."""
    with torch.no_grad():
        net.eval()(images.images[:batch])


def _schedule(step: int, steps: int) -> float:
    """Learning rate of a step over the largest one."""
    warm = max(steps // 20, 1)
    rising = torch.tensor((step + 1) / warm, dtype=torch.float64).clamp_max(1.0)
    falling = 0.5 + 0.5 * torch.cos(torch.tensor(torch.pi * step / steps, dtype=torch.float64))
    return float(rising * falling)


def _batches(images: Split, recipe: Recipe, done: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of the steps from `done` on; those of a step do not depend on where the training began."""
    a_pass = len(images) // recipe.batch
    for step in range(done, recipe.steps):
        order = generator(recipe.seed, "neurram2022", "order", step // a_pass)
        chosen = torch.randperm(len(images), generator=order).split(recipe.batch)[step % a_pass]
        yield (
            _varied(images.images[chosen], generator(recipe.seed, "neurram2022", "varied", step)),
            images.labels[chosen],
        )


def _varied(x: torch.Tensor, stream: torch.Generator) -> torch.Tensor:
    """Half of the images mirrored, and all shifted by the same 0 to 3 pixels in each direction, over a mean border."""
    mirrored = torch.rand(len(x), generator=stream) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
    down, across = torch.randint(0, 7, (2,), generator=stream).tolist()
    return F.pad(x, (3, 3, 3, 3))[:, :, down : down + x.shape[2], across : across + x.shape[3]]


def _store(
    path: Path, step: int, net: QuantisedResNet, optimizer: torch.optim.Optimizer, stream: torch.Generator
) -> None:
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        state |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    state |= {"stream": stream.get_state(), "step": torch.tensor(step)}
    with atomic_write(path) as part:
        save_file({name: value.contiguous() for name, value in state.items()}, part)


def _restored(path: Path, net: QuantisedResNet, optimizer: torch.optim.Optimizer, stream: torch.Generator) -> int:
    """Number of steps that a checkpoint has done; its state is loaded into the arguments."""
    state = load_file(path)
    net.load_state_dict(network_state(state))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        if name.startswith("adam."):
            _, index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    stream.set_state(state["stream"])
    return int(state["step"])


def network_state(checkpoint: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The network's part of a checkpoint."""
    return {name.removeprefix("net."): value for name, value in checkpoint.items() if name.startswith("net.")}

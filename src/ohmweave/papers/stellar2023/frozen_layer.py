"""The first layer of 784-100-10, trained in software and then frozen."""

import torch

from ohmweave.base import generator
from ohmweave.data import Dataset, Split

HIDDEN = 100
TARGET = 10.0
W_MAX = 0.9975  # Public code: scale 55416.65 per S over a conductance window of 18 uS.


def frozen_layer(data: Dataset, *, seed: int, n_epochs: int = 12) -> torch.Tensor:
    """Weights `(HIDDEN, in)` of the first layer of a network trained in floating point.

    It has no biases; its outputs are trained to `TARGET` for the label and 0 for the others by square error, with the
    last layer clipped to +-`W_MAX`.

    Args:
        data: training images.
        seed: of initial weights and the order of images.
        n_epochs: passes over the images.
    """
    random = generator(seed, "stellar2023/last-layer", "frozen")
    x, labels = data.train.images.flatten(1), data.train.labels
    first: torch.Tensor = (torch.randn(HIDDEN, x.shape[1], generator=random) * (2 / x.shape[1]) ** 0.5).requires_grad_()
    last = (torch.randn(data.n_classes, HIDDEN, generator=random) * 0.1).requires_grad_()
    optimizer = torch.optim.Adam([first, last], lr=1e-3)
    target = TARGET * torch.nn.functional.one_hot(labels, data.n_classes).to(x.dtype)
    for _ in range(n_epochs):
        for chosen in torch.randperm(len(x), generator=random).split(100):
            optimizer.zero_grad()
            z = (x[chosen] @ first.T).relu() @ last.T
            (z - target[chosen]).square().sum(dim=-1).mean().backward()
            optimizer.step()
            with torch.no_grad():
                last.clamp_(-W_MAX, W_MAX)
    return first.detach()


def features_of(first: torch.Tensor, split: Split) -> torch.Tensor:
    """Inputs `(n, HIDDEN)` of the last layer: the images through the weights `first`, `(HIDDEN, in)`, and a ReLU."""
    features: torch.Tensor = (split.images.flatten(1) @ first.T).relu()
    return features

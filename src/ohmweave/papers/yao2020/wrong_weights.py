"""What "10 % of the target weights replaced by random values" may mean: which layers are hit, and by which values."""

from collections.abc import Callable, Mapping

import torch

from ohmweave.papers.yao2020.network import FiveLayerCNN

LAYERS = {"convolutions": ("groups",), "all layers": ("groups", "fc"), "last layer": ("fc",)}
"""Beginnings of the names of the layers that are hit."""

_HALF = 7  # of the 15 levels, on either side of 0

Law = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]
"""From the weights of a layer, numbers from 0 to 1 of the same shape and a generator to the new values."""


def _even(weight: torch.Tensor, chance: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    return (2 * chance - 1) * weight.abs().max()


def _levels(weight: torch.Tensor, chance: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    level: torch.Tensor = (chance * (2 * _HALF + 1)).floor().clamp_max(2 * _HALF) - _HALF
    return level / _HALF * weight.abs().max()


def _normal(weight: torch.Tensor, chance: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    value: torch.Tensor = torch.special.ndtri(chance.clamp(1e-7, 1 - 1e-7)) * weight.std()
    return value


def _own(weight: torch.Tensor, chance: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    others = torch.randperm(weight.numel(), generator=random, device=random.device).to(weight.device)
    return weight.flatten()[others].view_as(weight)


def _sign(weight: torch.Tensor, chance: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    return -weight


LAWS: Mapping[str, Law] = {
    "even over the range": _even,
    "even over the 15 levels": _levels,
    "normal": _normal,
    "another weight of the layer": _own,
    "the sign turned": _sign,
}
"""Laws of the new values: even from minus to plus the largest weight of the layer; each of its 15 levels equally
likely; normal with the standard deviation of its weights; a weight of the layer, picked at random; minus the weight."""


def scramble(
    net: FiveLayerCNN, fraction: float, layers: tuple[str, ...], random: torch.Generator, law: Law = _even
) -> FiveLayerCNN:
    """A copy of the network with `fraction` of the weights of `layers` replaced.

    Args:
        net: the software network.
        fraction: probability that a weight is replaced.
        layers: beginnings of the names of the layers that are hit.
        random: of what is replaced and by what.
        law: of the new values, one of `LAWS`.
    """
    twin = net.replicate(len(net.groups))
    with torch.no_grad():
        for name, weight in twin.named_parameters():
            if not name.startswith(layers):
                continue
            # Drawn on the generator's device, so that the same weights are replaced on any device of the network.
            hit = torch.rand(weight.shape, generator=random, device=random.device) < fraction
            chance = torch.rand(weight.shape, generator=random, device=random.device).to(weight.device)
            weight.copy_(torch.where(hit.to(weight.device), law(weight, chance, random), weight))
    return twin

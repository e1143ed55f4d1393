"""The five-layer CNN, its replicas, and one image cut over several convolvers."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ohmweave.base import ExperimentError, generator
from ohmweave.data import Dataset, Split
from ohmweave.nn.replicas import cut_convolution
from ohmweave.papers.yao2020 import network
from ohmweave.papers.yao2020.network import FiveLayerCNN, Recipe, train, train_until, trained
from ohmweave.papers.yao2020.wrong_weights import LAWS, scramble
from tests.helpers import assert_close
from tests.helpers.experiments import no_progress


def images(n: int = 4) -> torch.Tensor:
    return torch.rand(n, 1, 28, 28, generator=generator(0))


def test_sizes_are_the_papers() -> None:
    net = FiveLayerCNN()
    assert {name: tuple(weight.shape) for name, weight in net.named_parameters()} == {
        "groups.0.c1.weight": (8, 1, 3, 3),
        "groups.0.c3.weight": (12, 8, 3, 3),
        "fc.weight": (10, 192),
    }
    assert sum(weight.numel() for weight in net.parameters()) == 2_856
    convolver = net.groups[0]
    s2 = F.max_pool2d(convolver.c1(images()), 3, ceil_mode=True)
    assert s2.shape == (4, 8, 9, 9)
    assert convolver.c3(s2).shape == (4, 12, 7, 7)
    assert convolver(images()).shape == (4, 192)
    assert net(images()).shape == (4, 10)


@pytest.mark.parametrize("n_layers", [1, 2, 3, 5])
@pytest.mark.parametrize("height", [28, 9, 11])
def test_a_cut_convolution_is_the_whole_one(n_layers: int, height: int) -> None:
    convolution = torch.nn.Conv2d(2, 3, 3, dtype=torch.float64)
    x = torch.rand(4, 2, height, 9, dtype=torch.float64, generator=generator(1))
    shares: list[int] = []

    def layer(part: torch.Tensor) -> torch.Tensor:
        shares.append(part.shape[2] - 2)
        out: torch.Tensor = convolution(part)
        return out

    assert_close(cut_convolution([layer] * n_layers, x), convolution(x), rtol=1e-12, scale=1.0)
    assert sum(shares) == height - 2
    assert max(shares) - min(shares) <= 1  # equal shares


def test_each_share_goes_through_its_own_layer() -> None:
    x = torch.zeros(1, 1, 8, 5)
    layers = [lambda part, k=k: part[:, :, 2:, 2:] + k for k in range(3)]
    assert cut_convolution(layers, x)[0, 0, :, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_cut_image_gives_what_a_whole_one_gives() -> None:
    net = FiveLayerCNN().replicate(3)
    assert_close(net(images(), group=None), net(images(), group=0), rtol=1e-4, scale=1.0)


def test_replicas_are_equal_at_first_and_apart() -> None:
    net = FiveLayerCNN().replicate(3)
    outputs = [net(images(), group=group) for group in range(3)]
    assert torch.equal(outputs[0], outputs[2])
    with torch.no_grad():
        net.groups[1].c1.weight.mul_(0)
    assert torch.equal(net(images(), group=2), outputs[2])
    assert not torch.equal(net(images(), group=1), outputs[1])


def split() -> Split:
    return Split(images=images(40), labels=torch.arange(40) % 10)


def test_training_is_repeatable_and_learns() -> None:
    recipe = Recipe(epochs=3, batch=10)
    one, same, other = (train(split(), recipe, seed=seed, progress=no_progress) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.fc.weight, other.fc.weight)
    untrained = train(split(), Recipe(epochs=1, lr=1e-9), seed=1, progress=no_progress)
    losses = [float(F.cross_entropy(net(split().images), split().labels).detach()) for net in (untrained, one)]
    assert losses[1] < losses[0]


def test_a_trained_network_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(**changes: object) -> FiveLayerCNN:
        options: dict[str, object] = {"seed": 1, "artifact": tmp_path.joinpath, "progress": no_progress}
        data = Dataset(
            name=str(changes.pop("data", "d")), train=split(), validation=split(), test=split(), n_classes=10
        )
        recipe = changes.pop("recipe", Recipe(epochs=1))
        return trained(data, recipe, **(options | changes))  # type: ignore[arg-type]

    monkeypatch.setattr(network, "_LOOK", 1)
    first = get()
    get(seed=2)
    get(data="e")
    get(recipe=Recipe(epochs=1, batch=10, stop_at=0.001))
    assert len(list(tmp_path.iterdir())) == 4  # what tells two networks apart is in the name
    monkeypatch.setattr(network, "train", None)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), get().parameters(), strict=True))


def test_training_stops_at_an_accuracy_on_the_validation_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at after every step: the first network at the level is taken, and the next levels take longer."""
    monkeypatch.setattr(network, "_LOOK", 1)
    data = Dataset(name="d", train=split(), validation=split(), test=split(), n_classes=10)
    looks: list[float] = []
    plain = network._accuracy

    def watched(net: FiveLayerCNN, on: Split) -> float:
        assert on is data.validation
        looks.append(plain(net, on))
        return looks[-1]

    monkeypatch.setattr(network, "_accuracy", watched)
    net = train_until(data, Recipe(epochs=60, batch=10, stop_at=0.3), seed=1, progress=no_progress)
    assert looks[-1] == plain(net, data.validation) >= 0.3
    assert all(look < 0.3 for look in looks[:-1])
    with pytest.raises(ExperimentError, match=r"`stop_at` must be an accuracy .* of d that 1 epochs reach"):
        train_until(data, Recipe(epochs=1, batch=10, stop_at=1.0), seed=1, progress=no_progress)


@pytest.mark.parametrize("name", LAWS)
def test_laws_of_the_new_values(name: str) -> None:
    """Mean, spread and range of each law, from 20,000 draws for the weights 1, 2, ... 8, their opposites and 0."""
    weight = torch.cat([torch.arange(-8.0, 9.0)]).repeat(1_200)
    chance = torch.rand(weight.shape, generator=generator(1))
    value = LAWS[name](weight, chance, generator(2))
    variance = {
        "even over the range": 64 / 3,
        "even over the 15 levels": 64 * (15**2 - 1) / 12 / 49,
        "normal": 24.0,  # of the weights
        "another weight of the layer": 24.0,
        "the sign turned": 24.0,
    }[name]
    assert_close(value.var(), variance, rtol=0.03)
    assert abs(float(value.mean())) < 0.15
    assert (float(value.abs().max()) > 8.0) == (name == "normal")
    if name == "even over the 15 levels":
        assert len(value.unique()) == 15
    if name == "the sign turned":
        assert torch.equal(value, -weight)
    else:
        # The new value has nothing to do with the old one.
        assert abs(float(torch.corrcoef(torch.stack([weight, value]))[0, 1])) < 0.03


def test_a_scrambled_network_differs_in_the_share_asked_for() -> None:
    net = FiveLayerCNN()
    wrong = scramble(net, 0.1, ("groups", "fc"), generator(0))
    differs = torch.cat([(a != b).flatten() for a, b in zip(net.parameters(), wrong.parameters(), strict=True)])
    assert abs(float(differs.double().mean()) - 0.1) < 5 * (0.09 / 2_856) ** 0.5
    last = scramble(net, 0.1, ("fc",), generator(0))
    assert torch.equal(last.groups[0].c3.weight, net.groups[0].c3.weight)
    assert not torch.equal(last.fc.weight, net.fc.weight)
    for before, after in zip(net.parameters(), wrong.parameters(), strict=True):
        assert float(after.detach().abs().max()) <= float(before.detach().abs().max())

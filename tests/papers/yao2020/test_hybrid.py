"""Hybrid training: what is tuned, what is frozen, and with what gradient."""

import pytest
import torch
import torch.nn.functional as F

from ohmweave.base import generator
from ohmweave.data import Split
from ohmweave.nn import Deployed
from ohmweave.optim import AdaptiveWriteVerify, ThresholdedWriteVerify
from ohmweave.papers.yao2020 import hybrid, system
from ohmweave.papers.yao2020.network import FiveLayerCNN
from tests.helpers import assert_close

X = torch.rand(12, 1, 28, 28, generator=generator(0))
Y = torch.arange(12) % 10


def network() -> FiveLayerCNN:
    """Always the same weights: with those of most other seeds no gradient reaches the threshold."""
    torch.manual_seed(4)
    return FiveLayerCNN()


@pytest.fixture
def net() -> Deployed:
    return system.transfer(network(), system.chips(2, seed=0), X)


def test_the_gradient_is_summed_over_the_batch_chip_by_chip(net: Deployed) -> None:
    rule = hybrid.optimizer(net)
    features = net.groups[0](X.repeat(2, 1, 1, 1)).detach().view(2, 12, 192)
    before = net.fc.weight.detach().clone()
    hybrid.step(net, rule, X, Y)
    for chip in range(2):
        delta = torch.softmax(features[chip] @ before[chip].T, -1) - F.one_hot(Y, 10)
        assert net.fc.weight.grad is not None
        expected = delta.T @ features[chip]
        assert_close(net.fc.weight.grad[chip], expected, rtol=0.02, scale=float(expected.abs().max()))


def test_convolvers_stay_as_written(net: Deployed) -> None:
    before = {name: net.model.get_submodule(name).matrix.conductance() for name in net.on_chip}
    n_written = hybrid.tune(net, [(X, Y)] * 3, n_steps=2, lr=3e-6)
    assert len(n_written) == 2
    assert n_written[0] > 0
    for name in ("groups.0.c1", "groups.0.c3"):
        assert net.model.get_submodule(name).weight.grad is None
    # A second of rest after each update lets nothing more than the end of the relaxation pass.
    fc = net.fc.matrix.conductance()
    assert float((fc - before["fc"]).abs().max()) > 1e-6
    moved = net.model.get_submodule("groups.0.c3").matrix.conductance() - before["groups.0.c3"]
    assert float(moved.abs().max()) < 1e-7


def test_calls_in_between(net: Deployed) -> None:
    groups, done, shown = list[int](), list[int](), list[str]()

    def group(n_done: int) -> int:
        groups.append(n_done)
        return 0

    hybrid.tune(
        net,
        [(X, Y)] * 5,
        n_steps=3,
        group=group,
        after=done.append,
        progress=lambda f, text: shown.append(text),
    )
    assert groups == [0, 1, 2]
    assert done == [1, 2, 3]
    assert shown[-1] == "tuning in situ, update 3 of 3"


def test_the_layers_that_are_named_learn_with_the_rate_that_is_given(net: Deployed) -> None:
    rule = hybrid.optimizer(net, ["fc", "groups.0.c1"])
    assert isinstance(rule, AdaptiveWriteVerify)
    assert [weight.matrix.name for weight in rule.weights] == ["fc", "groups.0.c1"]
    assert not net.model.get_submodule("groups.0.c3").weight.requires_grad
    fixed = hybrid.optimizer(net, lr=8e-8)
    assert isinstance(fixed, ThresholdedWriteVerify)
    assert [group["lr"] for group in fixed.param_groups] == [8e-8]


def test_features_that_are_read_once_give_the_outputs_of_the_whole_network(net: Deployed) -> None:
    split = Split(images=X, labels=Y)
    seen = hybrid.features(net, split, batch=5)
    assert seen.shape == (2, 12, 192)
    whole = net(X).detach()
    assert torch.equal(net.fc(seen.flatten(0, 1)).detach().unflatten(0, (2, 12)), whole)
    assert hybrid.count_correct_on_features(net, seen, Y) == system.count_correct(net, split)


def test_tuning_on_features_is_tuning() -> None:
    """The same updates as from images, on equal chips."""
    software, grads, written, moved = network(), [], [], []
    for from_features in (True, False):
        net = system.transfer(software, system.chips(2, seed=0), X)
        before = net.fc.matrix.conductance()
        seen = hybrid.features(net, Split(images=X, labels=Y)) if from_features else None
        for n_updates in (1, 6):
            if seen is not None:
                found = hybrid.tune_on_features(net, seen, Y, n_epochs=n_updates, order=generator(7))
            else:
                found = hybrid.tune(net, [(X, Y)] * n_updates, n_steps=n_updates)
            if n_updates == 1:
                assert net.fc.weight.grad is not None
                grads.append(net.fc.weight.grad.clone())
        written.append(found)
        moved.append((net.fc.matrix.conductance() - before).abs() > 1e-6)
    assert_close(grads[0], grads[1], rtol=1e-4, scale=float(grads[1].abs().max()))
    # The features are summed in another order: a step that is at the threshold may then go the other way, and the
    # verify reads of those after it draw other noise.
    assert sum(written[0]) > 50
    assert sum(abs(a - b) for a, b in zip(*written, strict=True)) <= 0.05 * sum(written[0])
    either, both = moved[0] | moved[1], moved[0] & moved[1]
    assert int(both.sum()) > 0.8 * int(either.sum()) > 20

"""Hybrid training: what is tuned, what is frozen, and with what gradient."""

import pytest
import torch
import torch.nn.functional as F

from ohmweave.base import generator
from ohmweave.nn import Deployed
from ohmweave.papers.yao2020 import hybrid, system
from ohmweave.papers.yao2020.network import FiveLayerCNN
from tests.helpers import assert_close

X = torch.rand(12, 1, 28, 28, generator=generator(0))
Y = torch.arange(12) % 10


@pytest.fixture
def net() -> Deployed:
    return system.transfer(FiveLayerCNN(), system.chips(2, seed=0), X)


def test_the_gradient_is_summed_over_the_batch_chip_by_chip(net: Deployed) -> None:
    rule = hybrid.optimizer(net, hybrid.fc_alone("mnist"))
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
    n_written = hybrid.tune(net, [(X, Y)] * 3, n_steps=2, lr={"fc": 1e-5})
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
        lr=hybrid.fc_alone("digits"),
        group=group,
        after=done.append,
        progress=lambda f, text: shown.append(text),
    )
    assert groups == [0, 1, 2]
    assert done == [1, 2, 3]
    assert shown[-1] == "tuning in situ, update 3 of 3"


def test_rates_are_those_of_a_data_set() -> None:
    """8e-8 S, found on MNIST, makes one chip in four diverge on the digits."""
    assert hybrid.fc_alone("mnist") == {"fc": 8e-8}
    assert hybrid.fc_alone("digits") == {"fc": 4e-8}
    assert hybrid.learning_rate("another") == 4e-8

"""A pass of training as a loop, and the comparison of everything that two passes leave behind."""

import torch

from ohmweave.base import generator
from ohmweave.nn import Deployed
from tests.helpers import assert_close


def samples(n=25, dtype=torch.float64):
    chance = generator(2, "x")
    x = torch.rand(n, 4, 5, generator=chance, dtype=dtype) * (torch.rand(n, 4, 5, generator=chance) < 0.4)
    return x, torch.randint(5, (n,), generator=chance)


def loop(net, rule, x, labels, *, batch_size=1):
    losses = []
    for images, wanted in zip(x.split(batch_size), labels.split(batch_size), strict=True):
        rule.zero_grad()
        found = net(images)
        loss = torch.nn.functional.cross_entropy
        loss = net.loss(loss, found, wanted) if isinstance(net, Deployed) else loss(found, wanted)
        loss.backward()
        rule.step()
        losses.append(float(loss.detach()))
    return sum(losses) / len(losses)


def after(train, made, data=None, **options):
    """Everything that a pass over `data` leaves behind."""
    net, rule, chip = made
    data = samples() if data is None else data
    start = chip.array.books.activity.copy()
    loss = train(net, rule, *data, **options)
    done = chip.array.books.activity - start
    exact = {
        "g": chip.array.bank.state.switching.g.clone(),
        "noise": chip.array.bank.pulse_noise.get_state(),
        "random": torch.zeros(1, dtype=torch.uint8) if rule.stream is None else rule.stream.get_state(),
        "stale": torch.tensor([weight.is_stale for weight in rule.weights]),
        "books": torch.tensor([done.n_reads, done.n_readouts, done.n_set, done.n_reset, rule.n_steps]),
        "held": torch.cat([weight.last_readout().flatten() for weight in rule.weights]),
        "y": net(data[0]).detach(),
    }
    for at, weight in enumerate(rule.weights):
        for name, leaf in rule.state.get(weight, {}).items():
            exact[f"{at}.{name}"] = leaf.clone()
    return loss, exact


def assert_same(one, other):
    for name in one[1]:
        if one[1][name].is_floating_point():
            assert_close(other[1][name], one[1][name], rtol=1e-9, scale=float(one[1][name].abs().max()) or 1.0)
        else:
            assert torch.equal(one[1][name], other[1][name]), name
    assert_close(other[0], one[0], rtol=1e-9)

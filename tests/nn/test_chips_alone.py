"""Each chip among several computes what it computes alone: models that use the size of the batch, and states."""

import itertools
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ohmweave.base import ChipsMixedError, ShapeError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.nn import Deployed, Shared, deploy, measured
from ohmweave.nn.model_state import state_of
from ohmweave.nn.nests import tree_leaves
from ohmweave.nn.without_chance import without_chance
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

F64 = torch.float64
FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**18)
EXACT = BlindWrite(g_step=FINE.g_step)


class Model(nn.Module):
    """A linear layer, a digital table, and a function that uses both."""

    def __init__(self, compute: Any, **parts: Any) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("table", torch.rand(40, 1, 4, generator=generator(8), dtype=F64))
        for name, part in parts.items():
            setattr(self, name, part)
        self._compute = compute

    def forward(self, x: torch.Tensor, *more: Any, **options: Any) -> Any:
        return self._compute(self, x, *more, **options)


def made(compute: Any, n_chips: int | None = 3, digital: Any = (), **parts: Any) -> tuple[Deployed, nn.Module]:
    """A model on chips whose weights and biases differ from chip to chip."""
    torch.manual_seed(1)
    model = Model(compute, **parts).double()
    net = deploy(
        model, Chip(FINE, rows=32, cols=64, n_arrays=4, n_chips=n_chips, dtype=F64), write=EXACT, digital=digital
    )
    for index, weight in enumerate(net.chip_parameters()):
        own = torch.randn(n_chips or 1, *weight.matrix.shape, generator=generator(index), dtype=F64) * 0.2
        weight.matrix.program(own if n_chips else own[0], EXACT)
    for index, bias in enumerate(net.digital_parameters()):
        if n_chips and bias.shape[0] == n_chips:
            bias.data.copy_(torch.rand(bias.shape, generator=generator(index, "bias"), dtype=F64))
    return net, model


def batch(*shape: int) -> torch.Tensor:
    return torch.rand(shape or (6, 4), generator=generator(0), dtype=F64)


USES_THE_SIZE: dict[str, Any] = {
    "scaled by the size": lambda self, x: self.fc(x) / x.size(0),
    "scaled by len": lambda self, x: self.fc(x) * len(x),
    "numbered": lambda self, x: self.fc(x) + torch.arange(x.size(0))[:, None],
    "rows of a table": lambda self, x: self.fc(x) + self.table[: len(x), 0],
    "a part of a table": lambda self, x: self.fc(x) * self.table[torch.arange(len(x)) % 4, 0],
    "a switch": lambda self, x: self.fc(x) if len(x) < 10 else 2 * self.fc(x),
    "the size itself": lambda self, x: {"y": self.fc(x), "n": x.size(0)},
    "numbers of samples": lambda self, x: (self.fc(x), torch.arange(len(x))),
    "a ramp": lambda self, x: self.fc(x) * torch.linspace(0, 1, len(x), dtype=F64)[:, None],
}


@pytest.mark.parametrize("how", USES_THE_SIZE)
def test_a_model_that_uses_the_size_of_the_batch_is_refused_without_a_read(how: str) -> None:
    net, _ = made(USES_THE_SIZE[how])
    reads = net.chip.array.books.activity.n_reads
    with pytest.raises(
        ChipsMixedError, match=r"the outputs of chip \d are not those of that chip alone.*`x.size\(0\)`"
    ):
        net(batch())
    assert net.chip.array.books.activity.n_reads == reads
    one, _ = made(USES_THE_SIZE[how], None)  # the remedy
    one(batch())


def test_a_table_indexed_by_a_sequence_first_length_gives_each_chip_the_same_rows() -> None:
    """`p[:y.size(0)]`: with the chips in the time, chips after the first would get the rows behind."""
    net, model = made(lambda self, x: self.rnn(self.fc(x) + self.table[: x.size(0)])[0], rnn=nn.GRU(4, 4))
    assert_each_chip_is_alone(net, model, batch(5, 2, 4))
    right, model = made(
        lambda self, x: self.rnn(self.fc(x) + self.table[: x.size(1)].mT.mT.transpose(0, 1))[0].relu(),
        rnn=nn.GRU(4, 4, batch_first=True),
    )
    assert_each_chip_is_alone(right, model, batch(2, 5, 4))


def test_the_module_that_uses_the_size_is_named() -> None:
    class Mean(nn.Module):
        def forward(self, y: torch.Tensor) -> torch.Tensor:
            return y / len(y)

    net, _ = made(lambda self, x: self.tail(self.fc(x).relu()), tail=nn.Sequential(nn.ReLU(), Mean()))
    with pytest.raises(ChipsMixedError, match=r"'tail.1' \(Mean\) mixes the 3 chips"):
        net(batch())


def assert_each_chip_is_alone(net: Deployed, model: nn.Module, x: torch.Tensor, *more: Any) -> None:
    with torch.no_grad():
        y = tree_leaves(net(x.clone(), *more))
        for chip in range(3):
            alone = tree_leaves(measured(net, model, chip=chip)(x.clone(), *more))
            for whole, want in zip(y, alone, strict=True):
                assert_close(whole[chip], want, rtol=1e-9, scale=1.0)


def _of_others() -> float:
    return float(np.random.rand()) + random.random()  # noqa: NPY002 - what models of others use


ALONE: dict[str, Any] = {
    "view -1": lambda self, x: self.fc(x).view(-1, 2, 2).flatten(1),
    "expanded by the size": lambda self, x: torch.cat(
        [self.table[:1].expand(x.shape[0], -1, -1), self.fc(x)[:, None]], 1
    ),
    "new zeros": lambda self, x: x.new_zeros(len(x), 4).index_add(0, torch.arange(len(x)), self.fc(x)),
    "in place": lambda self, x: self.fc(x).mul_(2).add_(1),
    "its own input in place": lambda self, x: self.fc(x.mul_(2)),
    "batch behind": lambda self, x: self.fc(x).T,
    "nest": lambda self, x: {"a": [self.fc(x)], "b": (x, self.fc(x).argmax(1))},
}


@pytest.mark.parametrize("how", ALONE)
def test_right_models_compute_on_each_chip_what_they_compute_alone(how: str) -> None:
    net, model = made(ALONE[how])
    assert_each_chip_is_alone(net, model, batch())


@pytest.mark.parametrize("n_chips", [None, 1, 3])
def test_the_checks_do_not_change_an_input_that_the_model_changes(n_chips: int | None) -> None:
    x = batch()
    net, _ = made(lambda self, x: self.fc(x.mul_(2)), n_chips)
    first, again = net(x.clone()), net(x.clone())
    assert torch.equal(first, again)
    given = x.clone()
    net.check_chips_apart(given)
    assert torch.equal(given, x)


@pytest.mark.parametrize("compute", [
    lambda self, x: F.dropout(self.fc(x), 0.5, self.training),
    lambda self, x: self.fc(x) + torch.randn_like(x) * torch.rand(len(x), 1) + _of_others(),
    lambda self, x: self.fc(x)[:, torch.randperm(4)] * self.own.random(),
    lambda self, x: self.fc(x) * torch.rand(1, generator=self.torch_own),
    lambda self, x: F.gumbel_softmax(self.fc(x)),
])  # fmt: skip
def test_random_models_pass_and_draw_no_more_random_numbers(compute: Any) -> None:
    def drawn(checked: bool) -> tuple[torch.Tensor, ...]:
        net, _ = made(compute)
        net.model.own, net.model.torch_own = random.Random(3), torch.Generator().manual_seed(4)
        torch.manual_seed(5)
        np.random.seed(6)  # noqa: NPY002 - what models of others use
        random.seed(7)
        if checked:
            net.check_chips_apart(batch())
            net.check_chips_apart(batch(4, 4))
        y = net(batch())
        return y, torch.rand(1), torch.tensor(np.random.rand()), torch.tensor(random.random())  # noqa: NPY002

    for mine, theirs in zip(drawn(True), drawn(False), strict=True):
        assert torch.equal(mine, theirs)


def test_random_functions_are_constant_whatever_the_shape() -> None:
    def numbers(n: int) -> list[torch.Tensor]:
        x = torch.arange(1.0, n + 1)[:, None].expand(n, 3)
        found = [torch.rand(n, 3), torch.randn_like(x), F.dropout(x, 0.5), torch.bernoulli(x * 0.01)]
        found += [torch.randint(2, 9, (n, 3)), torch.normal(x, x), x.clone().uniform_(2, 3), torch.poisson(x)]
        return [*found, torch.multinomial(x, 2), F.rrelu(-x, training=True), torch.multinomial(x, 5, replacement=True)]

    with without_chance():
        for few, many in zip(numbers(3), numbers(20), strict=True):
            assert torch.equal(few, many[:3])
        assert torch.equal(torch.randperm(5), torch.arange(5))
    assert not torch.equal(torch.rand(3), torch.rand(3))


@dataclass
class Config:
    mode: str = "plain"


CHANGES: dict[str, Any] = {
    "text": lambda net: setattr(net.model, "mode", "mean"),
    "number": lambda net: setattr(net.model, "rank", 3),
    "none": lambda net: setattr(net.model, "gain", None),
    "function": lambda net: setattr(net.model, "activation", torch.cumsum),
    "list": lambda net: net.model.stages.append("mean"),
    "dictionary": lambda net: net.model.options.update(mean=1),
    "configuration": lambda net: setattr(net.model.config, "mode", "mean"),
    "buffer": lambda net: net.model.centred.fill_(True),
}


def test_the_checks_are_repeated_when_any_attribute_switches_the_model() -> None:
    def compute(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = self.fc(x)
        changed = self.mode == "mean" or self.rank == 3 or self.gain is None or self.activation is not torch.relu
        changed = changed or self.stages or self.options or self.config.mode == "mean" or bool(self.centred)
        return y - y.mean(0) if changed else y

    for how in CHANGES:
        net, _ = made(compute, mode="", rank=2, gain=1.0, activation=torch.relu, stages=[], options={},
                          config=Config())  # fmt: skip
        net.model.register_buffer("centred", torch.tensor(False))
        net(batch())
        CHANGES[how](net)
        with pytest.raises(ChipsMixedError):
            net(batch())


def test_a_counter_does_not_repeat_the_checks_in_every_call() -> None:
    def compute(self: Any, x: torch.Tensor) -> torch.Tensor:
        self.runs.append(len(x))  # a list, which the checks restore
        self.calls += 1
        y = self.fc(x)
        return y - y.mean(0) if self.calls > 16 else y

    net, _ = made(compute, calls=0, runs=[])
    checked = []
    run = net._checks.check
    for call in range(16):
        before = len(net._checks._known)
        net(batch())
        checked.append(len(net._checks._known) > before)
        assert (net.calls, len(net.runs)) == (call + 1, call + 1)
    assert sum(checked) <= 6  # about once for each power of two
    assert run == net._checks.check
    with pytest.raises(ChipsMixedError):
        net(batch())  # the 17th: 16 calls are a power of two


def test_a_switch_that_is_not_seen_is_found_by_a_check_by_hand() -> None:
    switch: list[int] = []
    net, _ = made(lambda self, x: self.fc(x) / len(x) if switch else self.fc(x))
    net(batch())
    switch.append(1)
    with pytest.raises(ChipsMixedError):
        net.check_chips_apart(batch())


def test_another_size_of_the_batch_is_compared_again() -> None:
    net, _ = made(lambda self, x: self.fc(x) if len(x) < 10 else self.fc(x) - self.fc(x).mean(0))
    net(batch(3, 4))
    with pytest.raises(ChipsMixedError):
        net(batch(9, 4))


def test_a_model_that_does_not_run_on_one_chip_alone_is_refused() -> None:
    def compute(self: Any, x: torch.Tensor) -> torch.Tensor:
        if len(x) < 10:
            raise ValueError("ten samples or more")
        return self.fc(x)

    net, _ = made(compute)
    with pytest.raises(ChipsMixedError, match=r"not with one chip alone \(ValueError: ten samples or more\)"):
        net(batch())


def test_rounding_at_a_threshold_is_no_difference() -> None:
    """A number next to a step may fall on either side; the same step then changes the model alone as well."""
    torch.manual_seed(0)
    steps = lambda self, x: torch.round(self.fc(x) * 2**30) * 1e3  # noqa: E731
    model = Model(steps).float()
    net = deploy(model, Chip(FINE, rows=32, cols=64, n_chips=3), write=EXACT)
    assert net(batch(64, 4).float()).shape == (3, 64, 4)


class Stateful(nn.Module):
    def __init__(self, kind: Any, batch_first: bool) -> None:
        super().__init__()
        self.rnn, self.fc = kind(4, 5, num_layers=2, batch_first=batch_first), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor, h: Any = None) -> Any:
        y, h = self.rnn(x, h)
        return self.fc(y), h


def detached(h: Any) -> Any:
    return tuple(part.detach() for part in h) if isinstance(h, tuple) else h.detach()


@pytest.mark.parametrize(("kind", "batch_first"), list(itertools.product([nn.LSTM, nn.GRU], [True, False])))
@pytest.mark.parametrize("n_chips", [None, 1, 3])
def test_a_state_goes_from_one_call_to_the_next(kind: Any, batch_first: bool, n_chips: int | None) -> None:
    """Stateful inference and truncated back-propagation; with as many samples as layers, chips, or neither."""
    torch.manual_seed(3)
    model = Stateful(kind, batch_first).double()
    net = deploy(model, Chip(FINE, rows=32, cols=64, n_arrays=4, n_chips=n_chips, dtype=F64), write=EXACT)
    alone = measured(net, model, chip=None if n_chips is None else n_chips - 1)
    for n in (1, 2, 3, 5):
        x = batch(n, 7, 4) if batch_first else batch(7, n, 4)
        given = batch(2, n, 5)
        h: Any = (given, -given) if kind is nn.LSTM else given
        y, h = net(x, h)
        want, own = alone(x, (given, -given) if kind is nn.LSTM else given)
        for _ in range(2):
            mine = y if n_chips is None else y[-1]
            assert_close(mine.detach(), want.detach(), rtol=1e-9, scale=1.0)
            y.sum().backward()  # the graph ends at the detached state
            y, h = net(x, detached(h))
            want, own = alone(x, detached(own))


def test_a_state_of_two_dimensions_and_shared_tensors_are_read_as_before() -> None:
    net, _ = made(lambda self, x, gain: self.fc(x) * gain)
    plain = made(lambda self, x: self.fc(x))[0](batch())
    apart = batch(3, 6, 4)
    assert_close(net(batch(), apart), plain * apart, rtol=1e-9, scale=1.0)
    with pytest.raises(ShapeError, match="not clear whether the chips come first"):
        net(batch(3, 4), batch(3, 3, 4))


@pytest.mark.parametrize("n_keys", [4, 5, 12])
@pytest.mark.parametrize("shared", [True, False])
def test_keys_from_outside_are_right_or_refused(n_keys: int, shared: bool) -> None:
    """Sequence first: 12 keys are as many as three chips times four queries, and would be cut into chips."""

    def compute(self: Any, x: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.attend(self.fc(x), keys, keys, need_weights=False)[0]
        return y

    net, model = made(compute, attend=nn.MultiheadAttention(4, 2))
    x, keys = batch(4, 2, 4), batch(n_keys, 2, 4) - 0.5
    if not shared:
        assert_each_chip_is_alone(net, model, x, keys)
        return
    with pytest.raises((ChipsMixedError, ShapeError)):
        net(x, Shared(keys) if shared else keys)


def test_learnt_keys_are_right() -> None:
    def compute(self: Any, x: torch.Tensor) -> torch.Tensor:
        keys = self.table[: self.n].expand(-1, x.shape[1], -1)
        y: torch.Tensor = self.attend(self.fc(x), keys, keys, need_weights=False)[0]
        return y

    for n in (4, 12):
        net, model = made(compute, attend=nn.MultiheadAttention(4, 2), n=n)
        assert_each_chip_is_alone(net, model, batch(4, 2, 4))


def test_the_state_of_a_model_tells_what_switches_it() -> None:
    model = Model(None, data=list(range(1000)), config=Config())
    before = state_of(model)
    assert before == state_of(model)
    assert hash(before) == hash(state_of(model))
    model.data[0] = 7  # a long list is data
    assert state_of(model) == before
    model.config.mode = "other"
    assert state_of(model) != before

"""Chips side by side never mix: batch norm chip by chip, everything else checked on the first call."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ohmweave.base import ChipsMixedError, OutOfRangeError, ShapeError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.nn import Deployed, deploy, recalibrate_batch_norm
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**18)
EXACT = BlindWrite(g_step=FINE.g_step)


class Model(nn.Module):
    """A linear layer and a function after it."""

    def __init__(self, after: Any = None, **parts: nn.Module) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.parts = nn.ModuleDict(parts)
        self._after = after

    def forward(self, x: torch.Tensor, **options: Any) -> Any:
        return self._after(self, self.fc(x), **options)


def on_chips(after: Any, n_chips: int | None = 3, **parts: nn.Module) -> Deployed:
    torch.manual_seed(1)
    chip = Chip(FINE, rows=16, cols=16, n_arrays=4, n_chips=n_chips)
    return deploy(Model(after, **parts), chip, write=EXACT, digital=[f"parts.{name}" for name in parts])


def batch(n: int = 6) -> torch.Tensor:
    return torch.rand(n, 4, generator=generator(0))


MIXES: dict[str, Any] = {
    "mean": lambda self, y: y - y.mean(0),
    "last": lambda self, y: y + y[-1],
    "first": lambda self, y: y + y[:1],
    "flip": lambda self, y: y.flip(0),
    "roll": lambda self, y: y.roll(1, 0),
    "cumsum": lambda self, y: y.cumsum(0),
    "softmax": lambda self, y: y.softmax(0),
    "loss": lambda self, y: y.square().mean(),
    "argmax over the batch": lambda self, y: y.argmax(0).expand(len(y), -1),
    "rank in the batch": lambda self, y: y.argsort(0),
    "pairs": lambda self, y: y.view(-1, 10, 4).sum(1, keepdim=True).expand(-1, 10, -1).reshape(-1, 4),
    "one of several": lambda self, y: {"good": y, "bad": (y, [y.sum(0, keepdim=True).expand_as(y)])},
    "nan_to_num": lambda self, y: torch.nan_to_num(y - y.mean(0)),
    "nanmean": lambda self, y: y - y.nanmean(0),
    "largest, without NaN": lambda self, y: y / y.abs().nan_to_num().amax(),
    "smallest, without NaN": lambda self, y: y - y.nan_to_num().amin(),
}


@pytest.mark.parametrize("how", MIXES)
def test_models_that_mix_chips_are_refused_by_name_without_a_read(how: str) -> None:
    net = on_chips(MIXES[how])
    x = batch(5) if how == "pairs" else batch()
    if how == "pairs":
        net = on_chips(MIXES[how], n_chips=2)
    reads = net.chip.array.books.activity.n_reads
    with pytest.raises(ChipsMixedError, match=r"the model itself \(Model\) mixes the [23] chips.*without `n_chips`"):
        net(x)
    assert net.chip.array.books.activity.n_reads == reads


RECURRENT = [nn.LSTM, nn.GRU, nn.RNN]


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("batch_first", [False, True])
def test_recurrent_layers_run_as_on_one_chip(kind: Any, batch_first: bool) -> None:
    """Sequence-first, the hidden state ran from chip to chip."""

    def after(self: Any, y: torch.Tensor) -> Any:
        outputs, state = self.parts["rnn"](y)
        return outputs, None if batch_first else state  # with batch_first the chips are behind the layers of a state

    rnn = kind(4, 3, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = torch.rand(5, 2, 4, generator=generator(3))
    net = on_chips(after, rnn=rnn)
    (y, state), (alone, state_alone) = net(x), on_chips(after, None, rnn=rnn)(x)
    assert_close(y, alone.expand(3, *alone.shape), rtol=1e-3, scale=1.0)
    if not batch_first:  # (layers, batch, hidden), with the chips before
        h, h_alone = (part[0] if kind is nn.LSTM else part for part in (state, state_alone))
        assert_close(h, h_alone.expand(3, *h_alone.shape), rtol=1e-3, scale=1.0)


def test_each_chip_runs_its_own_sequence() -> None:
    """Chips that differ, against the layer in a loop over chips, time steps in order."""
    rnn = nn.LSTM(4, 3)
    net = on_chips(lambda self, y: (y, self.parts["rnn"](y)[0]), rnn=rnn)
    weight = net.weights["fc"]
    net.model.fc.program(torch.stack([k * weight[0].detach() for k in (1.0, 0.5, -0.8)]), EXACT)
    hidden, y = net(torch.rand(5, 2, 4, generator=generator(3)))
    assert not torch.equal(hidden[0], hidden[1])
    expected = torch.stack([rnn(one)[0] for one in hidden])
    assert_close(y, expected, rtol=1e-5, scale=1.0)
    y.square().sum().backward()  # gradients flow through the parts of all chips
    assert all(part.grad is not None for part in net.parts["rnn"].parameters())
    assert "forward" not in net.parts["rnn"].__dict__


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_sequence_first_layer_whose_batch_is_behind_is_left_as_it_is(kind: Any) -> None:
    """Its first dimension is time alone, so that it must not be cut into chips."""

    def after(self: Any, y: torch.Tensor) -> torch.Tensor:
        sequence: torch.Tensor = self.parts["rnn"](y.transpose(0, 1))[0]
        return sequence.transpose(0, 1)

    rnn, x = kind(4, 3), torch.rand(2, 6, 4, generator=generator(3))  # 6 time steps, which 3 chips divide
    y, alone = on_chips(after, rnn=rnn)(x), on_chips(after, None, rnn=rnn)(x)
    assert_close(y, alone.expand(3, *alone.shape), rtol=1e-3, scale=1.0)


def test_a_state_from_one_sequence_first_layer_to_the_next_is_of_the_same_chip() -> None:
    def after(self: Any, y: torch.Tensor) -> torch.Tensor:
        decoded: torch.Tensor = self.parts["decoder"](y, self.parts["encoder"](y)[1])[0]
        return decoded

    parts = {"encoder": nn.GRU(4, 3), "decoder": nn.GRU(4, 3)}
    assert_as_alone(after, torch.rand(5, 2, 4, generator=generator(3)), **parts)


def test_a_shared_state_is_given_to_each_chip() -> None:
    given = torch.rand(1, 2, 3, generator=generator(5))
    rnn, x = nn.GRU(4, 3), torch.rand(5, 2, 4, generator=generator(3))
    y, alone = (on_chips(lambda self, y: self.parts["rnn"](y, given)[0], n, rnn=rnn)(x) for n in (3, None))
    assert_close(y, alone.expand(3, *alone.shape), rtol=1e-3, scale=1.0)


def assert_as_alone(after: Any, x: torch.Tensor, **parts: nn.Module) -> None:
    """Three chips with the same weights give what one chip gives, with the chips first."""
    y, alone = on_chips(after, **parts)(x), on_chips(after, None, **parts)(x)
    assert y.shape == (3, *alone.shape)
    assert_close(y, alone.expand(3, *alone.shape), rtol=1e-3, scale=1.0)


def test_attention_over_the_batch_is_found() -> None:
    def after(self: Any, y: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.parts["attention"](y, y, y)[0]
        return attended

    net = on_chips(after, attention=nn.MultiheadAttention(4, 2))
    with pytest.raises(ChipsMixedError, match=r"'parts.attention' \(MultiheadAttention\).*batch_first=True"):
        net(torch.rand(5, 4))  # without a time
    assert_as_alone(after, torch.rand(5, 2, 4, generator=generator(3)), attention=nn.MultiheadAttention(4, 2))


KEEPS: dict[str, Any] = {
    "dropout": lambda self, y: F.dropout(y, 0.5, self.training),
    "layer norm": lambda self, y: F.layer_norm(y, (4,)),
    "softmax": lambda self, y: y.softmax(-1),
    "mask": lambda self, y: y.masked_fill(y < 0, float("-inf")).logsumexp(-1),
    "argmax": lambda self, y: y.argmax(-1),
    "nest": lambda self, y: {"a": (y, y > 0), "b": [y.argmax(-1)]},
    "constant": lambda self, y: (y, torch.tensor(2.0)),
    "asserts": lambda self, y: y if bool(torch.isfinite(y).all()) else 1 / 0,
    "normalised by its own row": lambda self, y: y / y.norm(dim=-1, keepdim=True),
}


@pytest.mark.parametrize("how", KEEPS)
@pytest.mark.parametrize("training", [True, False])
def test_models_that_keep_chips_apart_pass_and_draw_no_more_random_numbers(how: str, training: bool) -> None:
    net, again = (on_chips(KEEPS[how]).train(training) for _ in range(2))
    again.check_chips_apart(batch())
    torch.manual_seed(5)
    y = net(batch())
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    z = again(batch())
    assert torch.equal(state, torch.random.get_rng_state())
    if how == "nest":
        assert y["a"][0].shape == (3, 6, 4)
        assert y["b"][0].shape == (3, 6)
        y, z = y["a"][0], z["a"][0]
    elif how == "constant":
        assert float(y[1]) == 2.0
        y, z = y[0], z[0]
    assert torch.equal(y, z)


def test_integers_as_input() -> None:
    class Tokens(nn.Module):
        def __init__(self, mix: bool) -> None:
            super().__init__()
            self.embedding, self.fc, self.mix = nn.Embedding(7, 4), nn.Linear(4, 2), mix

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.fc(self.embedding(x))
            return y + y.mean(0) if self.mix else y

    tokens = torch.arange(6) % 7
    for mix in (False, True):
        net = deploy(Tokens(mix), Chip(FINE, rows=8, cols=8, n_chips=2), write=EXACT, digital=["embedding"])
        if mix:
            with pytest.raises(ChipsMixedError):
                net(tokens)
        else:
            assert net(tokens).shape == (2, 6, 2)


def test_the_check_leaves_hooks_buffers_and_attributes_alone() -> None:
    calls: list[int] = []

    def after(self: Any, y: torch.Tensor) -> torch.Tensor:
        self.seen = y
        self.log.append(1)
        return y

    model = Model(after)
    model.log = []
    model.fc.register_forward_hook(lambda module, args, output: calls.append(1))
    net = deploy(model, Chip(FINE, rows=8, cols=8, n_chips=2), write=EXACT)
    net(batch())
    assert (calls, net.log) == ([1], [1])
    assert not net.seen.isnan().any()


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5)])
def test_batch_norm_in_training_takes_each_chip_alone(shape: tuple[int, ...]) -> None:
    """Against torch's batch norm on each chip; running statistics are the means of the chips' own."""
    from ohmweave.nn.chip_batch_norm import normalise_chip_by_chip

    n_chips, x = 3, torch.randn(3, *shape, dtype=torch.float64, generator=generator(2)) * 3
    x += torch.arange(3.0).view(3, *(1,) * len(shape)) * 10
    ours = nn.Sequential(nn.BatchNorm1d(4).double())
    nn.init.uniform_(ours[0].weight)
    alone = [nn.BatchNorm1d(4).double() for _ in range(n_chips)]
    for norm in alone:
        norm.load_state_dict(ours[0].state_dict())
    normalise_chip_by_chip(ours, n_chips)
    y = ours(x.flatten(0, 1))
    assert_close(
        y.unflatten(0, (3, 6)),
        torch.stack([norm(part) for norm, part in zip(alone, x, strict=True)]),
        rtol=1e-9,
        scale=1.0,
    )
    for name in ("running_mean", "running_var"):
        assert_close(getattr(ours[0], name), torch.stack([getattr(norm, name) for norm in alone]).mean(0), rtol=1e-12)
    assert int(ours[0].num_batches_tracked) == 1
    ours.eval()
    assert_close(
        ours(x[0]),
        F.batch_norm(x[0], ours[0].running_mean, ours[0].running_var, ours[0].weight, ours[0].bias),
        rtol=1e-9,
        scale=1.0,
    )


def test_a_batch_norm_on_chips_passes_the_check_and_is_recalibrated() -> None:
    net = on_chips(lambda self, y: self.parts["norm"](y), norm=nn.BatchNorm1d(4)).train()
    y = net(batch())
    assert_close(y.mean(1), torch.zeros(3, 4), rtol=1e-5, scale=1.0)
    assert int(net.parts["norm"].num_batches_tracked) == 1  # the check left no trace
    recalibrate_batch_norm(net.eval(), [batch(), batch()])
    assert int(net.parts["norm"].num_batches_tracked) == 2
    assert not net.parts["norm"].training


def test_the_loss_of_chips_is_the_sum_of_theirs() -> None:
    net, labels = on_chips(lambda self, y: y), torch.arange(6) % 4
    output = net(batch())
    for reduction in ("mean", "sum"):
        ours = net.loss(lambda y, t, how=reduction: F.cross_entropy(y, t, reduction=how), output, labels)
        theirs = sum(F.cross_entropy(part, labels, reduction=reduction) for part in output)
        assert_close(ours, theirs, rtol=1e-6)
    own = torch.stack([labels, labels.flip(0), labels])
    assert_close(net.loss(F.cross_entropy, output, own), sum(map(F.cross_entropy, output, own)), rtol=1e-6)
    single = on_chips(lambda self, y: y, None)
    assert_close(
        single.loss(F.cross_entropy, single(batch()), labels), F.cross_entropy(single(batch()), labels), rtol=1e-6
    )
    with pytest.raises(ShapeError, match=r"`target` must have the shape \(6, ...\) or \(3, 6, ...\), but has \(5,\)"):
        net.loss(F.cross_entropy, output, labels[:5])
    with pytest.raises(ShapeError, match=r"`output` must have the shape \(3 chips"):
        net.loss(F.cross_entropy, output[0], labels)
    square = net(batch(3))
    with pytest.raises(OutOfRangeError, match="`per_chip` must be given"):
        net.loss(F.mse_loss, square, torch.zeros(3, 3, 4))
    assert_close(
        net.loss(F.mse_loss, square, torch.zeros(3, 3, 4), per_chip=True),
        sum(y.square().mean() for y in square),
        rtol=1e-6,
    )


def test_each_chip_learns_as_if_it_were_alone() -> None:
    net, labels = on_chips(lambda self, y: y), torch.arange(6) % 4
    net.loss(F.cross_entropy, net(batch()), labels).backward()
    single = on_chips(lambda self, y: y, None)
    single.loss(F.cross_entropy, single(batch()), labels).backward()
    assert_close(net.fc.weight.grad, single.fc.weight.grad.expand(3, 4, 4), rtol=1e-3, scale=1.0)


def test_parameters_are_either_on_the_chip_or_digital() -> None:
    net = on_chips(lambda self, y: self.parts["norm"](y), norm=nn.BatchNorm1d(4))
    assert [weight.matrix.name for weight in net.chip_parameters()] == ["fc"]
    assert len(net.digital_parameters()) == 3
    assert len(list(net.parameters())) == 4


class MyBatchNorm(nn.BatchNorm1d):
    """A subclass, which is left as it is."""


def test_the_check_is_repeated_when_the_model_has_changed() -> None:
    def after(self: Any, y: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.parts["norm"](y)
        return z - z.mean(0) if self.centred else z

    def fresh() -> Deployed:
        torch.manual_seed(1)
        model = Model(after, norm=MyBatchNorm(4))
        model.centred = False
        net = deploy(model, Chip(FINE, rows=16, cols=16, n_chips=3), write=EXACT, digital=["parts.norm"]).eval()
        net(batch())
        return net

    changes: list[Any] = [
        lambda net: net.model.train(),
        lambda net: net.parts["norm"].train(),
        lambda net: setattr(net, "centred", True),
        lambda net: net.parts.__setitem__("norm", MyBatchNorm(4)),
    ]
    for change in changes:
        net = fresh()
        change(net)
        with pytest.raises(ChipsMixedError):
            net(batch())


def test_outputs_that_do_not_depend_on_the_input_are_returned_as_they_are() -> None:
    def after(self: Any, y: torch.Tensor) -> Any:
        zeros = torch.zeros(len(y), 2)
        return y, {"anchors": self.anchors, "state": zeros}, y.sum(-1)

    model = Model(after)
    model.register_buffer("anchors", torch.arange(12.0).view(6, 2))
    for n_chips in (1, 3):
        net = deploy(model, Chip(FINE, rows=16, cols=16, n_chips=n_chips), write=EXACT)
        for n in (6, 4):
            y, others, sums = net(batch(n))
            assert y.shape == (n_chips, n, 4)
            assert sums.shape == (n_chips, n)
            assert others["state"].shape == (n_chips, n, 2)
            assert torch.equal(others["anchors"], model.anchors)


def test_further_tensors_are_for_all_chips_or_have_the_chips_first() -> None:
    def after(self: Any, y: torch.Tensor, gain: Any = 1.0, nest: Any = None) -> torch.Tensor:
        return y * gain if nest is None else y * nest["gain"][0]

    net, x = on_chips(after), batch()
    plain, gain = net(x), torch.rand(6, 4)
    apart = torch.rand(3, 6, 4)
    assert_close(net(x, gain=gain), plain * gain, rtol=1e-6, scale=1.0)
    assert_close(net(x, gain=apart), plain * apart, rtol=1e-6, scale=1.0)
    assert_close(net(x, nest={"gain": (gain,)}), plain * gain, rtol=1e-6, scale=1.0)
    assert_close(net(x, gain=torch.tensor(2.0)), plain * 2, rtol=1e-6, scale=1.0)
    with pytest.raises(ShapeError, match=r"shape \(6, ...\) or \(3, 6, ...\).*are merged"):
        net(x, gain=torch.rand(18, 4))
    with pytest.raises(RuntimeError, match="must match the size"):  # torch's error: it has no batch, and does not fit
        net(x, gain=torch.rand(3, 4))
    with pytest.raises(ShapeError, match="not clear whether the chips come first"):
        net(batch(3), gain=torch.rand(3, 3))
    with pytest.raises(ShapeError, match="`x` must be a tensor"):
        net(gain=2.0)


@pytest.mark.parametrize("n", [2, 4, 5, 6])
def test_the_last_output_of_a_sequence_first_layer_has_the_chips_first(n: int) -> None:
    def after(self: Any, y: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.parts["rnn"](y)[0][-1]
        return last

    assert_as_alone(after, torch.rand(5, n, 4, generator=generator(3)), rnn=nn.GRU(4, 3))

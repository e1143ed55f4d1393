"""Outputs of convolutions in torch's memory layout where a model needs it, with the channels last where it does not."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.nn.convolution import Convolution, channels_last

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Conv1d": (lambda: nn.Conv1d(2, 4, 3), (2, 9)),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3, bias=False), (2, 7, 6)),
    "grouped": (lambda: nn.Conv2d(4, 4, 3, groups=2), (4, 6, 6)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), (2, 4, 4, 4)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 4, 3), (2, 5, 4)),
}


class Flattened(nn.Module):
    """A layer, then the habit `x.view(x.size(0), -1)` or `flatten`."""

    def __init__(self, layer: nn.Module, how: str = "view") -> None:
        super().__init__()
        self.layer, self.how, self.n_calls = layer, how, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.n_calls += 1
        y: torch.Tensor = self.layer(x)
        return y.view(y.size(0), -1) if self.how == "view" else y.flatten(1)


def deployed(model: nn.Module, n_chips: int | None = None, read_noise: float = 0.0) -> ow.nn.Deployed:
    chip = ow.Chip(ow.cells.yao2020(read_noise=read_noise), n_arrays=8, rows=64, cols=32, n_chips=n_chips, seed=0)
    return ow.deploy(model, chip, write=ow.WriteVerify(tolerance=0.5e-6))


@pytest.mark.parametrize("n_chips", [None, 1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_can_be_viewed_as_in_torch(name: str, n_chips: int | None) -> None:
    make, size = LAYERS[name]
    torch.manual_seed(0)
    layer, x = make(), torch.rand(5, *size)
    viewed, flat = (deployed(Flattened(layer, how).eval(), n_chips) for how in ("view", "flatten"))
    with torch.no_grad():
        assert torch.equal(viewed(x), flat(x))
    assert not viewed.layer.channels_last
    assert flat.layer.channels_last
    trained = deployed(Flattened(layer).train(), n_chips, read_noise=0.01)
    trained(x).sum().backward()
    assert trained.layer.weight.grad is not None


def test_a_layer_alone_keeps_the_layout_of_its_input_as_torch_does() -> None:
    layer = nn.Conv2d(3, 4, 3)
    net = deployed(nn.Sequential(layer))
    alone: Convolution = net.model[0]
    x = torch.rand(2, 3, 6, 6)
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        assert not alone.channels_last
        assert alone(given).stride() == layer(given).stride()
    one = torch.rand(3, 6, 6)  # without a batch
    assert alone(one).is_contiguous()


def test_the_trial_changes_nothing() -> None:
    model = Flattened(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))).train()
    net = deployed(model, read_noise=0.01)
    layer = net.model.layer[0]
    x, before = torch.rand(5, 2, 7, 7), net.chip.array.books.activity.n_reads
    given = x.clone()
    net(x)
    assert net.chip.array.books.activity.n_reads - before == 5 * 25  # of the call alone: a read for each patch
    assert net.model.n_calls == 1
    assert int(net.model.layer[1].num_batches_tracked) == 1
    assert torch.equal(x, given)
    assert isinstance(layer, Convolution)


def test_hooks_get_torch_s_layout_also_if_they_come_later() -> None:
    net = deployed(Flattened(nn.Conv2d(2, 4, 3), "flatten").eval())
    x, seen = torch.rand(5, 2, 7, 7), []
    net(x)
    assert net.layer.channels_last
    net.layer.register_forward_hook(lambda module, inputs, y: seen.append(y.view(len(y), -1)))
    net(x)
    assert len(seen) == 1


def test_channels_last_is_a_layout_not_other_numbers() -> None:
    for shape, n_dims in (((2, 3, 4, 5), 2), ((3, 4, 5), 2), ((2, 3, 7), 1), ((2, 3, 4, 5, 6), 3)):
        y = torch.rand(shape)
        last = channels_last(y, n_dims)
        assert torch.equal(last, y)
        assert last.stride(-n_dims - 1) == 1

"""Ideal chips and the comparison of a deployed network with its model, for the tests of sequence layers."""

from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from ohmweave.base import generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.nn import Deployed, deploy
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

F64 = torch.float64
IDEAL = LinearStep(g_min=1e-6, g_max=101e-6, levels=2**24)
WRITE = BlindWrite(g_step=IDEAL.g_step)
RTOL = 1e-5
"""Demanded of an ideal chip; the cells have 2^30 levels and differ by less than 1e-8."""


def ideal_chip(n_chips: int | None, n_arrays: int = 8) -> Chip:
    return Chip(IDEAL, rows=64, cols=128, n_chips=n_chips, dtype=F64, n_arrays=n_arrays)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed, "sequence"), dtype=F64)


def on_ideal_chips(model: torch.nn.Module, n_chips: int | None, **how: Any) -> Deployed:
    return deploy(model, ideal_chip(n_chips), write=WRITE, **how)


def assert_is_the_model(net: Deployed, model: torch.nn.Module, x: torch.Tensor, *more: Any, **named: Any) -> None:
    """Outputs of every chip, and gradients of the input and of the weights, are the model's."""
    mine, theirs = x.clone(), x.clone()
    if x.is_floating_point():
        mine.requires_grad_()
        theirs.requires_grad_()
    found = [y for y in tree_leaves(net(mine, *more, **named)) if isinstance(y, torch.Tensor)]
    wanted = [y for y in tree_leaves(model(theirs, *more, **named)) if isinstance(y, torch.Tensor)]
    chips = net.chip.chip_shape
    n = chips[0] if chips else 1
    losses = []
    for y, want in zip(found, wanted, strict=True):
        assert y.shape == (*chips, *want.shape)
        assert_close(y.detach(), want.detach().expand(y.shape), rtol=RTOL, scale=1.0)
        error = normal(*want.shape, seed=9)
        losses.append(((y * error).sum(), (want * error).sum()))
    net.zero_grad()
    sum(one for one, _ in losses).backward()  # type: ignore[union-attr]
    model.zero_grad()
    sum(one for _, one in losses).backward()  # type: ignore[union-attr]
    if x.is_floating_point():
        assert mine.grad is not None
        assert theirs.grad is not None
        # All chips have the same input, so its gradient is the sum over the chips.
        assert_close(mine.grad / n, theirs.grad, rtol=RTOL, scale=1.0)
    _compare_weights(net, model)


def _compare_weights(net: Deployed, model: torch.nn.Module) -> None:
    own = {name: one.grad for name, one in model.named_parameters()}
    compared = 0
    for name, weight in net.weights.items():
        layer, _, part = name.rpartition(".")
        for candidate in (f"{name}.weight", name, f"{layer}.{part}_weight".strip(".")):
            if candidate in own:
                want = own[candidate]
                assert want is not None
                assert weight.grad is not None
                assert_close(weight.grad, want.expand(weight.shape), rtol=RTOL, scale=1.0)
                compared += 1
    assert compared == len(net.weights)

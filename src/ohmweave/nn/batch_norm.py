"""Batch norm beside layers on a chip: folded away, kept with per-channel scales, or its statistics taken anew."""

import copy
from collections.abc import Iterable
from typing import TypeVar

import torch

from ohmweave.base import OhmweaveError
from ohmweave.nn.deployed import Deployed

M = TypeVar("M", bound=torch.nn.Module)
_Layer = torch.nn.Conv2d | torch.nn.Linear
_BATCH_NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)


def batch_norm_pairs(model: torch.nn.Module, x: torch.Tensor) -> list[tuple[str, str]]:
    """(layer, batch norm) names where a batch norm gets just what a convolution or linear layer gives.

    Found by watching one forward pass of `x`, because names and code do not tell which output is whose input.
    """
    made: dict[int, tuple[str, torch.Tensor]] = {}  # tensors are kept, or their ids would be used again
    pairs: list[tuple[str, str]] = []

    def watch_layer(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            made[id(output)] = (name, output)

        return model.get_submodule(name).register_forward_hook(hook)

    def watch_norm(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            if id(inputs[0]) in made:
                pairs.append((made[id(inputs[0])][0], name))

        return model.get_submodule(name).register_forward_pre_hook(hook)

    handles = [watch_layer(name) for name, part in model.named_modules() if isinstance(part, _Layer)]
    handles += [watch_norm(name) for name, part in model.named_modules() if isinstance(part, _BATCH_NORMS)]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return pairs


def fold_batch_norm(model: M, x: torch.Tensor) -> M:
    """A copy of `model`, for inference, whose batch norms are folded into the layers before them.

    w' = w gamma / sigma, b' = (b - mean) gamma / sigma + beta; the batch norm becomes an identity. One scale for the
    whole layer then serves channels of very different size: with few levels, `per_channel_scale` loses less.

    Args:
        model: in evaluation mode.
        x: a batch to find the pairs with.

    Raises:
        OhmweaveError: the model is in training mode, or a layer or a batch norm is used twice.
    """
    pairs = _checked_pairs(model, x)
    twin = copy.deepcopy(model)
    for layer_name, norm_name in pairs:
        layer, norm = twin.get_submodule(layer_name), twin.get_submodule(norm_name)
        scale, mean, beta = _affine(norm)
        with torch.no_grad():
            layer.weight.mul_(_by_channel(scale, layer.weight))  # type: ignore[operator, arg-type]
            bias = torch.zeros_like(mean) if layer.bias is None else layer.bias
            layer.bias = torch.nn.Parameter((bias - mean) * scale + beta)  # type: ignore[operator]
        parent, _, leaf = norm_name.rpartition(".")
        setattr(twin.get_submodule(parent), leaf, torch.nn.Identity())
    return twin


def per_channel_scale(model: M, x: torch.Tensor) -> M:
    """The same network, with every output channel before a batch norm stretched to the layer's largest weight.

    The batch norm takes the factor back: w' = w s, mean' = mean s, and var' so that sigma' = sigma s. On a chip each
    channel then uses the whole window, at no cost but the digital scale that batch norm is anyway.

    Args:
        model: in evaluation mode.
        x: a batch to find the pairs with.

    Raises:
        OhmweaveError: as `fold_batch_norm`.
    """
    pairs = _checked_pairs(model, x)
    twin = copy.deepcopy(model)
    for layer_name, norm_name in pairs:
        layer, norm = twin.get_submodule(layer_name), twin.get_submodule(norm_name)
        assert isinstance(norm, _BATCH_NORMS)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight = layer.weight
        with torch.no_grad():
            largest = weight.abs().flatten(1).amax(1)  # type: ignore[operator]
            scale = torch.where(largest > 0, largest.max() / largest, 1.0)
            weight.mul_(_by_channel(scale, weight))  # type: ignore[operator, arg-type]
            if layer.bias is not None:
                layer.bias.mul_(scale)  # type: ignore[operator]
            norm.running_mean.mul_(scale)
            norm.running_var.add_(norm.eps).mul_(scale.square()).sub_(norm.eps)
    return twin


@torch.no_grad()
def recalibrate_batch_norm(model: torch.nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Take the running statistics of all batch norms anew, as plain means over `batches`.

    Cells differ from their targets, so the activations that reach a batch norm have other means and variances than
    those it was trained with. This measures them, by forward passes of training images; weights and affine
    parameters stay.

    Args:
        model: a network, deployed or not. Chips side by side share their digital parts: each chip is normalised by its
            own batch, and the running statistics are the means over the chips. Deploy on one chip at a time where each
            must have its own.
        batches: of training images, never of the test set; large ones, 200 say, for steady variances.
    """
    norms = [part for part in model.modules() if isinstance(part, _BATCH_NORMS)]
    before = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: a cumulative mean
        norm.train()
    try:
        for x in batches:
            model(x)
    finally:
        for norm, (training, momentum) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.train(training)


def _checked_pairs(model: torch.nn.Module, x: torch.Tensor) -> list[tuple[str, str]]:
    if model.training:
        raise OhmweaveError("`model` must be in evaluation mode, but is in training mode: call model.eval()")
    if isinstance(model, Deployed):
        raise OhmweaveError("`model` must not be on a chip yet: its cells are written, deploy afterwards")
    pairs = batch_norm_pairs(model, x)
    for names in zip(*pairs, strict=True):
        for name in names:
            if names.count(name) > 1:
                raise OhmweaveError(f"{name} must be used once to be rescaled, but is used {names.count(name)} times")
    return pairs


def _affine(norm: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gain (gamma / sigma), mean and beta of a batch norm in evaluation mode."""
    assert isinstance(norm, _BATCH_NORMS)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gamma = torch.ones_like(norm.running_mean) if norm.weight is None else norm.weight
    beta = torch.zeros_like(norm.running_mean) if norm.bias is None else norm.bias
    return gamma / (norm.running_var + norm.eps).sqrt(), norm.running_mean, beta


def _by_channel(scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return scale.view(-1, *(1,) * (weight.dim() - 1))

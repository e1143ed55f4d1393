"""Batch norm with layers on a chip: fold it into a layer, rescale its channels, or measure its statistics again."""

import copy
from collections.abc import Iterable
from typing import TypeVar

import torch

from ohmweave.base import OhmweaveError, OutOfRangeError
from ohmweave.nn.deployed import Deployed

M = TypeVar("M", bound=torch.nn.Module)
_Layer = torch.nn.Conv2d | torch.nn.Linear
_BATCH_NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)


def batch_norm_pairs(model: torch.nn.Module, x: torch.Tensor) -> list[tuple[str, str]]:
    """Names (layer, batch norm) of each batch norm whose input is the output of a convolution or linear layer.

    The pairs are found by hooks during one forward pass, because the order of modules does not show what feeds what.

    Args:
        model: run once on `x`, without gradients.
        x: `(batch, ...)`, an input of the model.
    """
    # Outputs by id. The tensors are kept as well: Python would give the id of a freed one to the next.
    made: dict[int, tuple[str, torch.Tensor]] = {}
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

        w' = w gamma / sigma,    b' = (b - mean) gamma / sigma + beta,    sigma^2 = var + eps,

    for each output channel; the batch norm becomes an identity. The folded channels differ in size, but a matrix on a
    chip has one scale. With few conductance levels use `per_channel_scale`, which loses less accuracy.

    Args:
        model: in evaluation mode, not deployed.
        x: `(batch, ...)`, any input of the model, to find the pairs.

    Raises:
        OhmweaveError: the model is in training mode or deployed, or a layer or a batch norm is used twice.

    Source: the algebra of batch norm in evaluation mode; no other source.
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
    """A copy of `model` that computes the same, with every output channel before a batch norm scaled to full range.

    Each channel's weights are multiplied by s = (largest weight of the layer) / (largest weight of the channel), and
    the batch norm divides by it:

        w' = w s,    b' = b s,    mean' = mean s,    sigma' = sigma s.

    On a chip each channel then uses the whole conductance window. The batch norm stays digital and does no more work.

    Args:
        model: in evaluation mode, not deployed.
        x: `(batch, ...)`, any input of the model, to find the pairs.

    Raises:
        OhmweaveError: as in `fold_batch_norm`.

    Source: ours.
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
            # var' + eps = s^2 (var + eps), because sigma^2 = var + eps.
            norm.running_var.add_(norm.eps).mul_(scale.square()).sub_(norm.eps)
    return twin


@torch.no_grad()
def recalibrate_batch_norm(model: torch.nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of all batch norms by their means over `batches`.

    Conductances differ from their targets, so the inputs of a batch norm have other means and variances on a chip than
    in software. Forward passes of training images measure them. Weights and affine parameters do not change.

    Args:
        model: a network, deployed or not. With several chips the running statistics are means over the chips, because
            the chips share their digital parts. Deploy on one chip at a time to give each chip statistics of its own.
        batches: inputs `(batch, ...)` from the training set, never from the test set. Use large batches (200, say):
            each is one sample of the variance. A list or iterator of batches, such as `x.split(200)`, not one tensor.

    Raises:
        OutOfRangeError: `batches` is one tensor, holds no batch, or gives statistics that are not finite. After this or
            any other error the statistics are as they were.

    Source: no source; the usual recalibration of batch norm after a change of weights.
    """
    if isinstance(batches, torch.Tensor):
        raise OutOfRangeError("`batches` must be batches, such as `x.split(200)`, but is one tensor")
    norms = [part for part in model.modules() if isinstance(part, _BATCH_NORMS)]
    before = [(norm.training, norm.momentum) for norm in norms]
    buffers = [{name: leaf.clone() for name, leaf in norm.named_buffers()} for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # in torch: the plain mean over all batches
        norm.train()
    n_batches = 0
    try:
        for n_batches, x in enumerate(batches, start=1):  # noqa: B007  counted for the check below
            model(x)
        if not n_batches:
            raise OutOfRangeError("`batches` must hold a batch or more, but is empty")
        _check_statistics(norms)
    except BaseException:
        for norm, saved in zip(norms, buffers, strict=True):
            for name, leaf in norm.named_buffers():
                leaf.copy_(saved[name])
        raise
    finally:
        for norm, (training, momentum) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.train(training)


def _check_statistics(norms: Iterable[torch.nn.Module]) -> None:
    for norm in norms:
        for name, leaf in norm.named_buffers():
            if not bool(leaf.isfinite().all()):
                raise OutOfRangeError(f"`batches` must give finite statistics, but `{name}` of a batch norm is not")


def _checked_pairs(model: torch.nn.Module, x: torch.Tensor) -> list[tuple[str, str]]:
    if model.training:
        raise OhmweaveError("`model` must be in evaluation mode, but is in training mode: call model.eval()")
    if isinstance(model, Deployed):
        raise OhmweaveError("`model` must not be deployed yet, but is: rescale the model first, then deploy it")
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
    """`(out,)` to `(out, 1, ...)`, to be multiplied with a weight `(out, in, ...)`."""
    return scale.view(-1, *(1,) * (weight.dim() - 1))

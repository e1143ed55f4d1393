"""Copies of models for deployment, and models that torch has wrapped or compiled, which are refused by name."""

import copy

import torch

from ohmweave.base import UnplaceableLayerError


def copied(model: torch.nn.Module, memo: dict[int, object] | None = None) -> torch.nn.Module:
    """`copy.deepcopy` of a model.

    Args:
        model: the model.
        memo: objects that are not copied, by `id`.

    Raises:
        UnplaceableLayerError: it has a tensor that was computed with gradients, as pruning and weight norm leave it.
    """
    try:
        return copy.deepcopy(model, memo)
    except RuntimeError as error:
        own = [
            f"{name}.{attribute}".removeprefix(".")
            for name, module in model.named_modules()
            for attribute, value in vars(module).items()
            if isinstance(value, torch.Tensor) and value.grad_fn is not None
        ]
        where = (
            f"{', '.join(own[:5])} {'was' if len(own) == 1 else 'were'} computed with gradients" if own else str(error)
        )
        raise UnplaceableLayerError(
            f"the model cannot be copied: {where}. Make pruning and weight norm permanent first (prune.remove, "
            "remove_weight_norm, remove_spectral_norm), and `detach()` tensors that the model keeps"
        ) from error


def check_plain(model: torch.nn.Module) -> None:
    """Raise where torch has compiled or scripted the model or a part of it.

    Raises:
        UnplaceableLayerError: a module was made by `torch.compile` or `torch.jit`.
    """
    for name, module in model.named_modules():
        where = repr(name) if name else "the model"
        if isinstance(module, torch._dynamo.OptimizedModule):
            inside = f"model.{name}._orig_mod" if name else "model._orig_mod"
            raise UnplaceableLayerError(
                f"{where} was compiled by `torch.compile`: deploy it before it is compiled, or give `{inside}` in its "
                "place, and compile the deployed network"
            )
        if module._compiled_call_impl is not None:
            raise UnplaceableLayerError(
                f"{where} was compiled by `compile()`: deploy the model before it is compiled, and compile the "
                "deployed network"
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise UnplaceableLayerError(
                f"{where} was made by `torch.jit` (script, trace or load), and its layers cannot be replaced: deploy "
                "the model before it is scripted"
            )

"""State that outlives `torch.inference_mode`."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def outside_inference_mode(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator: run `function` under `no_grad` if it is called in `torch.inference_mode`.

    Tensors made in inference mode can neither be changed in place nor be saved for a backward pass afterwards. Cells,
    caches of reads and readouts are used by later training, so they must be made outside it.
    """

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        if not torch.is_inference_mode_enabled():
            return function(*args, **kwargs)
        with torch.inference_mode(False), torch.no_grad():  # leaving inference mode switches gradients on
            return function(*args, **kwargs)

    return guarded

"""Torch's modes, autocast and inference mode, around code that must not be affected by them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def outside_inference_mode() -> Iterator[None]:
    """Within this block tensors that are made can be trained later, also if the caller is in inference mode.

    Gradients stay off there: leaving inference mode alone would switch them on.
    """
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), torch.no_grad():
            yield
    else:
        yield


@contextmanager
def outside_autocast(device_type: str) -> Iterator[None]:
    """Within this block products are computed in the dtype of their arguments, also if the caller uses autocast."""
    if torch.is_autocast_enabled(device_type):
        with torch.autocast(device_type, enabled=False):
            yield
    else:
        yield

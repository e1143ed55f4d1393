"""A digest of everything that a refused call must leave as it was."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from ohmweave.arrays import SavedState
from ohmweave.mapping import Chip, Matrix
from ohmweave.nn import ArrayWeight


def digest(parts: Iterable[Any]) -> str:
    """Of chips, arrays, matrices, networks, rules, tensors, generators, and containers of these."""
    seen = hashlib.blake2b(digest_size=16)
    for part in parts:
        _add(seen, part)
    return seen.hexdigest()


def _add(seen: Any, part: Any) -> None:
    if isinstance(part, torch.Tensor):
        with torch._C.DisableTorchFunctionSubclass():
            plain = part.detach().contiguous()
            seen.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
            seen.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(part, torch.Generator):
        _add(seen, part.get_state())
    elif isinstance(part, np.ndarray):
        seen.update(part.tobytes())
    elif isinstance(part, Mapping):
        for name in sorted(part, key=str):
            seen.update(str(name).encode())
            _add(seen, part[name])
    elif isinstance(part, tuple | list):
        for one in part:
            _add(seen, one)
    else:
        _add_object(seen, part)


def _add_object(seen: Any, part: Any) -> None:
    if isinstance(part, Chip):
        _add(seen, part.array)
        _add(seen, [space._free for space in part._free])
        _add(seen, {name: placement.cells for name, placement in part.placed.items()})
        _add(seen, {name: str(matrix.g_per_w) for name, matrix in part._matrices().items()})
    elif isinstance(part, SavedState):
        _add(seen, part.state_dict())
    elif isinstance(part, Matrix):
        _add(seen, part.chip)
    elif isinstance(part, torch.optim.Optimizer):
        _add(seen, part.state_dict())
    elif isinstance(part, torch.nn.Module):
        for name, leaf in part.state_dict(keep_vars=True).items():
            seen.update(name.encode())
            _add(seen, leaf.last_readout() if isinstance(leaf, ArrayWeight) else leaf)
    else:
        seen.update(repr(part).encode())

"""A deployed network in one file: cells, counters, random streams, digital parameters, scales.

Loaded into the same model deployed on a chip of the same kind it goes on bit for bit. safetensors: no pickle.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ohmweave.base import DataError
from ohmweave.base.files import atomic_write
from ohmweave.mapping import FixedScaling
from ohmweave.nn.deployed import Deployed
from ohmweave.nn.weight import ArrayWeight


def save(net: Deployed, path: str | Path) -> None:
    """Write the whole state of a network and its simulated chip to `path`; the file is whole or not there."""
    tensors = {f"chip.{name}": tensor for name, tensor in net.chip.state_dict().items()}
    # Weights as last read out: a save reads no cell.
    own = net.model.state_dict(keep_vars=True)
    tensors |= {
        f"model.{name}": one.last_readout() if isinstance(one, ArrayWeight) else one for name, one in own.items()
    }
    tensors |= {f"stale.{name}": torch.tensor(weight.is_stale) for name, weight in net.weights.items()}
    tensors |= {f"scales.{name}": _scales(net, name) for name in net.on_chip}
    with atomic_write(Path(path)) as part:
        save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, part)


def load(net: Deployed, path: str | Path) -> None:
    """Take over what `save` wrote; `net` is the same model deployed on a chip of the same kind.

    Raises:
        DataError: the file is not there, or holds another network or chip.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"`path` must be a file that `save` wrote, but {path} is not there")
    tensors = load_file(path)

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    scales = part("scales.")
    if set(scales) != set(net.on_chip):
        raise DataError(f"{path} holds the layers {sorted(scales)}, but the network has {sorted(net.on_chip)}")
    net.chip.load_state_dict(part("chip."))
    # Weights take the readout that was saved with these cells; the rest is digital.
    own = net.model.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, value in part("model.").items():
            if not isinstance(own[name], ArrayWeight):
                own[name].copy_(value)
    for name, weight in net.weights.items():
        values = tensors[f"model.{name}.weight".replace("model..", "model.")]
        weight.restore(values, stale=bool(tensors[f"stale.{name}"]))
    for name, (g_per_w, x_max) in scales.items():
        matrix = net.matrix(name)
        matrix.g_per_w = float(g_per_w)
        if isinstance(matrix.scaling, FixedScaling):
            matrix.scaling.x_max = float(x_max)


def _scales(net: Deployed, name: str) -> torch.Tensor:
    matrix = net.matrix(name)
    x_max = matrix.scaling.x_max if isinstance(matrix.scaling, FixedScaling) else 1.0
    return torch.tensor([matrix.g_per_w, x_max], dtype=torch.float64)

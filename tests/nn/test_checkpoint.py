from pathlib import Path

import pytest
import torch

import ohmweave as ow
from ohmweave.base import DataError
from ohmweave.nn import checkpoint

WRITE = ow.WriteVerify(tolerance=0.5e-6, t_settle=1.0)


def deployed(seed: int, out: int = 5) -> ow.nn.Deployed:
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Linear(8, out))
    chip = ow.Chip(ow.cells.yao2020(read_noise=0.01), n_arrays=2, rows=16, cols=32, n_chips=3, seed=seed)
    return ow.deploy(model, chip, write=WRITE, scaling=ow.mapping.FixedScaling)


def use(net: ow.nn.Deployed, x: torch.Tensor) -> torch.Tensor:
    """Noisy reads, a learning step and time: all that has memory."""
    rule = ow.optim.ThresholdedWriteVerify(net.parameters(), lr=1e-6, threshold=0.5e-6, write=WRITE)
    rule.zero_grad()
    net(x).square().sum().backward()
    rule.step()
    net.chip.wait(60.0)
    with torch.no_grad():
        return net(x)


def test_a_loaded_network_goes_on_bit_for_bit(tmp_path: Path) -> None:
    x = torch.rand(4, 12)
    first, second = deployed(seed=1), deployed(seed=2)
    ow.nn.calibrate(first, 3 * x)
    use(first, x)
    checkpoint.save(first, tmp_path / "net.safetensors")
    checkpoint.load(second, tmp_path / "net.safetensors")
    assert torch.equal(use(first, x), use(second, x))
    assert first.chip.array.books.activity == second.chip.array.books.activity


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        checkpoint.load(deployed(seed=1), tmp_path / "none.safetensors")
    torch.manual_seed(0)
    single = ow.deploy(
        torch.nn.Sequential(torch.nn.Linear(12, 8)), ow.Chip(ow.cells.yao2020(), rows=16, cols=32), write=WRITE
    )
    checkpoint.save(single, tmp_path / "single.safetensors")
    with pytest.raises(DataError, match="holds the layers"):
        checkpoint.load(deployed(seed=1), tmp_path / "single.safetensors")

"""Training on the chip goes on at its last checkpoint, bit for bit, and not from a damaged one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ohmweave.cells import AffineStep, Cell, ReadNoise, Spread
from ohmweave.evaluation import learning
from ohmweave.evaluation.bench import Bench, Made
from ohmweave.evaluation.in_situ_rules import RULES
from ohmweave.evaluation.networks import Network, fresh, images
from ohmweave.evaluation.ways import IN_SITU, make

LAW = AffineStep(g_min=2e-6, g_max=2e-5, set_step=(4e-7, 2e-7), reset_step=(-2e-7, -4e-7), sigma=1e-7)
CELL = Cell(LAW, spread=Spread(d2d=0.1), read_noise=ReadNoise(floor=5e-8))
EPOCHS = 4


def network(shape: tuple[int, int, int], n_classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(shape[1] * shape[2], n_classes))


def learnt(folder: Path, rule: str, progress: Callable[[float, str], None] = lambda fraction, text: None) -> Made:
    one, data = Network(name="one", make=network), images("digits", data_dir=None, n_train=100)
    bench = Bench(
        cell=CELL,
        data=data,
        network=one,
        software=fresh(one, data, seed=0),
        n_chips=2,
        seed=3,
        first=0,
        epochs=1,
        wait=0.0,
        progress=progress,
        artifact=lambda name: folder / name,
        key="abc",
    )
    axis, value = RULES[rule].axis, RULES[rule].start[1]
    return make(IN_SITU, bench, {"rule": rule, axis: value, "w_max": 6.0, "epochs": EPOCHS})


def stop_at(epoch: int) -> Callable[[float, str], None]:
    def stop(fraction: float, text: str) -> None:
        if f"epoch {epoch} of" in text:
            raise KeyboardInterrupt

    return stop


def state(made: Made) -> dict[str, Any]:
    tensors = {name: leaf.detach().clone() for name, leaf in made.net.chip.array.state_dict().items()}
    return tensors | {f"digital.{k}": leaf.detach().clone() for k, leaf in enumerate(made.net.digital_parameters())}


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_goes_on_bit_for_bit(tmp_path: Path, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learnt(tmp_path, rule)
    assert not list(tmp_path.iterdir())  # no checkpoint in the first minute
    monkeypatch.setattr(learning, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        learnt(tmp_path, rule, stop_at(3))
    assert [path.name for path in tmp_path.iterdir()] == ["abc-epoch-2.safetensors"]
    texts: list[str] = []
    again = learnt(tmp_path, rule, lambda fraction, text: texts.append(text))
    assert texts[0] == "learning in situ, epoch 3 of 4"
    expected = state(whole)
    for name, leaf in state(again).items():
        assert torch.equal(leaf, expected[name]), name
    assert again.facts == whole.facts
    assert (again.spent.n_set, again.spent.n_reset) == (whole.spent.n_set, whole.spent.n_reset)


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        learnt(tmp_path, "mixed precision", stop_at(4))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    texts: list[str] = []
    learnt(tmp_path, "mixed precision", lambda fraction, text: texts.append(text))
    assert texts[0] == "learning in situ, epoch 1 of 4"

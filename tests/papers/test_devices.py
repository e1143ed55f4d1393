"""Experiments that declare "cuda" pass the run's device on: none of their tensors is made on torch's default device."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ohmweave.papers  # noqa: F401  registers the experiments
from ohmweave.data import Split
from ohmweave.experiments import Context, Options, Task, experiments, find
from ohmweave.papers import training_energy
from ohmweave.papers.wang2019 import circuit, tasks
from ohmweave.papers.wang2019.training import Recipe
from ohmweave.papers.yao2020 import plan, resnet56
from ohmweave.papers.yao2020.network import Recipe as ExSitu
from ohmweave.papers.yao2020.resnet import ResNet
from ohmweave.papers.yao2020.resnet_data import Subject
from tests.papers.yao2020.conftest import few_images

# Compiled loops, the law of Wang's array and the chips predicted beside run on the CPU alone; the prices of macros are
# arithmetic.
ON_CPU = {
    "falcone2025/products",
    "le2021/write",
    "macros/efficiency",
    "neurram2022/chip",
    "neurram2022/grid",
    "neurram2022/write",
    "rules/compare",
    "rules/rates",
    "stellar2023/last-layer",
    "wang2019/array-law",
    "zhang2018/cost",
    "zhang2018/robustness",
    "zhang2018/sbp",
}
# Adam of torch keeps its step counter on the default device, so noise-aware training cannot run with another one.
CASES = sorted(set(experiments()) - ON_CPU - {"yao2020/noise-aware"})


def on_cpu(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` with the CPU as the default device: for what loads files and trains software networks on the CPU."""

    def wrapped(*arguments: Any, **options: Any) -> Any:
        with torch.device("cpu"):
            return call(*arguments, **options)

    return wrapped


def few_images_of_resnet(task: Task, context: Context) -> Subject:
    """An untrained ResNet-8 and few images, in place of `resnet56.subject`."""
    images = Split(images=torch.randn(40, 3, 32, 32), labels=torch.arange(40) % 10)
    net = ResNet(8).eval()
    return Subject(net=net, n_layers=8, train=images, validation=images, test=images, origin="untrained")


@pytest.fixture
def _meta() -> Iterator[None]:
    """A tensor made without a device is a meta tensor here, and fails where it meets a real one."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device("cpu")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One results folder, so that the software network is trained once."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    workload, recipe = plan.workload, Recipe(batch=20, n_updates=2)
    monkeypatch.setattr(plan, "load", few_images)
    monkeypatch.setattr(plan, "Recipe", lambda epochs=2: ExSitu(epochs=2))
    monkeypatch.setattr(plan, "workload", on_cpu(lambda *given: replace(workload(*given), n_steps=2)))
    monkeypatch.setattr(tasks, "SMOKE_RECIPES", dict.fromkeys(tasks.SMOKE_RECIPES, recipe))
    monkeypatch.setattr(circuit, "RECIPES", {"smoke": recipe})
    for module in (tasks, circuit):
        monkeypatch.setattr(module, "dataset", on_cpu(tasks.dataset))
    monkeypatch.setattr(resnet56, "subject", on_cpu(few_images_of_resnet))
    monkeypatch.setattr(training_energy, "load", on_cpu(training_energy.load))


def test_all_others_declare_cuda() -> None:
    assert {name for name, one in experiments().items() if one.devices == ("cpu",)} == ON_CPU


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:ThresholdedWriteVerify has sent no pulse")
@pytest.mark.usefixtures("_small", "_meta")
def test_nothing_is_made_on_the_default_device(name: str, out: Path) -> None:
    options = Options(out=out, seeds=2)
    experiment = find(name)
    chosen = experiment.tasks(options)
    for task in chosen if name == "energy/training" else chosen[:1]:
        assert experiment.run(task, Context(options=options))

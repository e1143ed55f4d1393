"""Tasks by seed and for all chips, parts of a data set, and the state after the best epoch."""

import pytest
import torch

import ohmweave as ow
from ohmweave.cells import LinearStep, Pulse
from ohmweave.data import Dataset, Split
from ohmweave.experiments import Options
from ohmweave.papers.sharing import BestEpoch, each_split, n_epochs_to_best, task_of_all_chips, tasks_by_seed

OPTIONS = Options(data="mnist", scale="full", seeds=2, seed=5)


def test_a_task_for_each_variant_and_seed() -> None:
    found = tasks_by_seed("some/thing", OPTIONS, [{"a": 1}, {"a": 2}])
    assert [(task.params["a"], task.seed) for task in found] == [(1, 5), (1, 6), (2, 5), (2, 6)]
    assert found[0].params == {"data": "mnist", "scale": "full", "a": 1}
    assert {task.experiment for task in found} == {"some/thing"}


def test_one_task_for_all_chips() -> None:
    task = task_of_all_chips("some/thing", OPTIONS, {"a": 1})
    assert task.params == {"data": "mnist", "scale": "full", "seeds": 2, "a": 1}
    assert (task.experiment, task.seed) == ("some/thing", 5)


def test_each_split_is_changed_and_the_rest_kept() -> None:
    parts = {
        name: Split(images=torch.zeros(n, 1, 2, 2), labels=torch.zeros(n, dtype=torch.int64))
        for name, n in (("train", 5), ("validation", 4), ("test", 3))
    }
    data = Dataset(name="zeros", n_classes=1, note="made up", **parts)
    cut = each_split(data, lambda split: split.take(len(split) - 1))
    assert [len(part) for part in (cut.train, cut.validation, cut.test)] == [4, 3, 2]
    assert (cut.name, cut.n_classes, cut.note) == ("zeros", 1, "made up")


@pytest.mark.parametrize(("counts", "best"), [((3, 7, 5), 2), ((7, 3, 7), 3), ((1, 2, 3), 3), ((3, 2, 1), 1), ((), 0)])
def test_the_best_epoch_is_restored_and_of_equal_ones_the_last(counts: tuple[int, ...], best: int) -> None:
    chip = ow.Chip(LinearStep(g_min=2e-6, g_max=20e-6, levels=100), rows=1, cols=1, seed=0)
    cell = torch.tensor([0])
    best_epoch, states = BestEpoch(chip), [chip.array.readout(cell)]
    for n_correct in counts:
        chip.array.pulse(cell, Pulse(torch.tensor([1])))
        states.append(chip.array.readout(cell))
        best_epoch.add(n_correct)
    chip.array.pulse(cell, Pulse(torch.tensor([1])))
    best_epoch.restore()
    assert best_epoch.history == list(counts)
    assert torch.equal(chip.array.readout(cell), states[best])
    assert chip.array.books.activity.n_set == best
    assert not counts or n_epochs_to_best(counts) == best

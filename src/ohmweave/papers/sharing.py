"""Shared by experiments of different papers: tasks by seed, parts of a data set, the best epoch of a training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ohmweave.data import Dataset, Split
from ohmweave.experiments import JSON, Options, Task
from ohmweave.mapping import Chip


def task_of_all_chips(name: str, options: Options, params: Mapping[str, JSON]) -> Task:
    """One task for all chips (`seeds`), which are simulated side by side as one tensor.

    Args:
        name: of the experiment.
        options: the user's.
        params: of the task, to which `data`, `scale` and `seeds` are added.
    """
    common: dict[str, JSON] = {"data": options.data, "scale": options.scale, "seeds": options.seeds}
    return Task(experiment=name, params={**common, **params}, seed=options.seed)


def tasks_by_seed(name: str, options: Options, variants: Iterable[Mapping[str, JSON]]) -> list[Task]:
    """One task for each variant and seed: experiments whose chips are simulated one by one.

    Args:
        name: of the experiment.
        options: the user's; `seeds` consecutive seeds from `seed` on are taken for each variant.
        variants: parameters of the tasks, to which `data` and `scale` are added.
    """
    common: dict[str, JSON] = {"data": options.data, "scale": options.scale}
    return [
        Task(experiment=name, params={**common, **variant}, seed=options.seed + i)
        for variant in variants
        for i in range(options.seeds)
    ]


def each_split(data: Dataset, change: Callable[[Split], Split]) -> Dataset:
    """The data set with `change` applied to its training, validation and test images."""
    return replace(data, train=change(data.train), validation=change(data.validation), test=change(data.test))


def n_epochs_to_best(history: Sequence[int]) -> int:
    """Number of epochs until the one with the most right validation images, >= 1; of equal epochs, the last counts."""
    return max(range(len(history)), key=lambda epoch: (history[epoch], epoch)) + 1


class BestEpoch:
    """The state of a chip after the epoch with the most right validation images; of equal epochs, the last.

    Args:
        chip: which learns. Its state at the start is kept until an epoch is added.

    Attributes:
        history: right validation images after each epoch.
    """

    def __init__(self, chip: Chip) -> None:
        self.history: list[int] = []
        self._chip, self._state = chip, chip.state_dict()

    def add(self, n_correct: int) -> None:
        """Record an epoch after which `n_correct` validation images are right."""
        self.history.append(n_correct)
        if n_correct == max(self.history):
            self._state = self._chip.state_dict()

    def restore(self) -> None:
        """Set cells, random streams and counted activity of the chip back to the best epoch."""
        self._chip.load_state_dict(self._state)

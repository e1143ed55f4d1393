"""Shared by both experiments: one task for each rule, cell, setting and seed, and the start of its training."""

from collections.abc import Callable, Sequence

from ohmweave.data import Dataset, Split, load
from ohmweave.experiments import Context, Options, Task
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.family import RULES, Setting
from ohmweave.papers.rules.network import Setup


def chips(
    experiment: str,
    options: Options,
    settings_of: Callable[[str, str], Sequence[Setting]],
    *,
    cells: Sequence[str] | None,
    samples: int,
    epochs: int,
    first_seed: int = 0,
) -> list[Task]:
    """One task, of one chip, for each rule, cell that it can write, setting and seed.

    Args:
        experiment: name.
        options: the user's.
        settings_of: from the names of a rule and of a cell to the settings.
        cells: names; None is all.
        samples: training images.
        epochs: passes over them.
        first_seed: added to the user's seeds.
    """
    common = {"data": options.data, "scale": options.scale}
    return [
        Task(
            experiment=experiment,
            params={**common, "rule": name, "cell": cell, "samples": samples, "epochs": epochs, **setting},
            seed=first_seed + options.seed + i,
        )
        for cell in cells or CELLS
        for name, rule in RULES.items()
        if rule.fits(cell)
        for setting in settings_of(name, cell)
        for i in range(options.seeds)
    ]


def started(task: Task, context: Context) -> tuple[Dataset, Split, Setup]:
    """Data set, training images, and the rule of a task with its setting, on a fresh chip."""
    params = task.params
    rule = RULES[params["rule"]]
    data = load(params["data"], data_dir=context.options.data_dir)
    split = data.train.take(params["samples"])
    setting = {name: params[name] for name in rule.grid}
    return data, split, rule.start(params["cell"], split.images[0].numel(), setting, seed=task.seed)

"""Tasks of both experiments: one chip a rule, cell, setting and seed."""

from collections.abc import Callable, Sequence

from ohmweave.experiments import Options, Task
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.family import RULES, Setting


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
    """All rules on the cells that they can write, with the settings that `settings_of` gives for a rule and a cell.

    Args:
        experiment: name.
        options: the user's.
        settings_of: from the names of a rule and of a cell.
        cells: names; None is all.
        samples: training images.
        epochs: passes over them.
        first_seed: what the user's seeds are counted from.
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

"""The registered experiments by name. Importing `ohmweave.papers` fills it."""

import difflib
import fnmatch

from ohmweave.experiments.errors import ExperimentError
from ohmweave.experiments.experiment import Experiment

_experiments: dict[str, Experiment] = {}


def register(experiment: Experiment) -> Experiment:
    """Make `experiment` known by its name, and return it.

    Raises:
        ExperimentError: another experiment has that name.
    """
    if _experiments.setdefault(experiment.name, experiment) is not experiment:
        raise ExperimentError(f"`name` must be new, but an experiment {experiment.name!r} is registered")
    return experiment


def experiments() -> dict[str, Experiment]:
    """All registered experiments, sorted by name."""
    return dict(sorted(_experiments.items()))


def find(name: str) -> Experiment:
    """The experiment called `name`.

    Raises:
        ExperimentError: there is none; the message suggests near names.
    """
    try:
        return _experiments[name]
    except KeyError:
        raise ExperimentError(f"no experiment {name!r}; {_suggestion(name)}") from None


def match(pattern: str) -> list[Experiment]:
    """The experiments that `pattern` means: a name, a glob ("yao2020/*") or the part before a slash ("yao2020").

    Raises:
        ExperimentError: there is none; the message suggests near names.
    """
    if pattern in _experiments:
        return [_experiments[pattern]]
    folder = pattern.rstrip("/") + "/"
    found = [
        experiment
        for name, experiment in experiments().items()
        if fnmatch.fnmatchcase(name, pattern) or name.startswith(folder)
    ]
    if not found:
        raise ExperimentError(f"no experiment {pattern!r}; {_suggestion(pattern)}")
    return found


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, _experiments, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else "`ohmweave list` shows all"

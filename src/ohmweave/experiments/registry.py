"""The registered experiments by name, and the module that registered each."""

import difflib
import fnmatch
import sys
from collections.abc import Callable
from dataclasses import dataclass

from ohmweave.base.errors import ExperimentError
from ohmweave.experiments.experiment import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """An experiment and the name of the module that registered it."""

    experiment: Experiment
    module: str


_registrations: dict[str, Registration] = {}


def register(experiment: Experiment) -> Experiment:
    """Register `experiment` by its name, and return it. The calling module is stored as its origin.

    Raises:
        ExperimentError: another experiment has that name; the message names both modules.
    """
    # The module that calls `register`, found as in `collections.namedtuple`.
    module = str(sys._getframe(1).f_globals.get("__name__", "__main__"))
    first = _registrations.setdefault(experiment.name, Registration(experiment=experiment, module=module))
    if first.experiment is not experiment:
        raise ExperimentError(
            f"`name` must be new, but an experiment {experiment.name!r} is registered by {first.module}; "
            f"the one of {module} is refused"
        )
    return experiment


def experiments() -> dict[str, Experiment]:
    """All registered experiments, sorted by name."""
    return {name: registration.experiment for name, registration in sorted(_registrations.items())}


def registered_by(name: str) -> str:
    """The module that registered the experiment `name`. Raises `ExperimentError` if there is no such experiment."""
    find(name)
    return _registrations[name].module


def unregister(belongs: Callable[[str], bool]) -> list[str]:
    """Remove the experiments of all modules for which `belongs(module)` is True. Returns their names."""
    names = [name for name, registration in _registrations.items() if belongs(registration.module)]
    for name in names:
        del _registrations[name]
    return names


def find(name: str) -> Experiment:
    """The experiment called `name`.

    Raises:
        ExperimentError: there is none; the message suggests near names.
    """
    try:
        return _registrations[name].experiment
    except KeyError:
        raise ExperimentError(f"no experiment {name!r}; {_suggestion(name)}") from None


def match(pattern: str) -> list[Experiment]:
    """The experiments selected by `pattern`: a name, a glob ("yao2020/*") or the part before a slash ("yao2020").

    Raises:
        ExperimentError: there is none; the message suggests near names.
    """
    if pattern in _registrations:
        return [_registrations[pattern].experiment]
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
    near = difflib.get_close_matches(name, _registrations, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else "`ohmweave list` shows all"

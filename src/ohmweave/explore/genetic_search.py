"""A multi-objective search by Optuna: points are proposed from the figures of those before."""

from typing import TYPE_CHECKING, Any

from ohmweave.base import ExperimentError
from ohmweave.explore.declared import HIGH, Study
from ohmweave.explore.keys import settled
from ohmweave.explore.ranges import Range
from ohmweave.explore.space import Point, point_at

if TYPE_CHECKING:
    from ohmweave.explore.exploration import Exploration

_WORST = 1e30
"""In place of a figure that is not known."""


class Search:
    """Proposes points. The same figures lead to the same proposals, so that a killed search continues where it was.

    Args:
        study: with the method "search".

    Attributes:
        points: proposed so far, each once.

    Raises:
        ExperimentError: Optuna is not installed.

    Source: NSGA-II, K. Deb et al., IEEE Trans. Evol. Comput. 6, 182 (2002), as in Optuna.
    """

    def __init__(self, study: Study) -> None:
        optuna = _optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = study
        self._optuna = optuna.create_study(
            directions=["maximize" if name in HIGH else "minimize" for name in study.objectives],
            sampler=optuna.samplers.NSGAIISampler(
                seed=study.seed, population_size=max(4, min(20, (study.points or 4) // 3))
            ),
        )
        self._trial: Any = None
        self.points: list[Point] = []

    def propose(self) -> Point:
        """The next point."""
        self._trial = self._optuna.ask()
        point = dict(point_at(self._study, dict.fromkeys(self._study.axes, 0.0)))
        for name in self._study.axes:
            point[name] = _suggested(self._trial, name, self._study.space[name])
        found = settled(point)
        if found not in self.points:
            self.points.append(found)
        return found

    def tell(self, found: "Exploration") -> None:
        """Report the figures of the point that was proposed last."""
        values = [found.figures[0].value(name) for name in self._study.objectives]
        worst = [(-_WORST if name in HIGH else _WORST) for name in self._study.objectives]
        told = [bad if value is None else value for value, bad in zip(values, worst, strict=True)]
        self._optuna.tell(self._trial, told)

    def first(self, n: int) -> list[Point]:
        """Points at the ends and in the middle of the space, to be checked before the search begins."""
        shares = [0.0, 1.0, 0.5, *((k * 0.618) % 1 for k in range(1, n - 2))]
        return [settled(point_at(self._study, dict.fromkeys(self._study.axes, share))) for share in shares]


def _suggested(trial: Any, name: str, axis: Any) -> Any:
    if not isinstance(axis, Range):
        return axis[trial.suggest_int(name, 0, len(axis) - 1)]
    if axis.whole:
        return trial.suggest_int(name, round(axis.low), round(axis.high), log=axis.log)
    return axis.value(trial.suggest_float(name, axis.low, axis.high, log=axis.log))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ExperimentError(
            "`study.method` 'search' needs Optuna, which is not installed: `pip install ohmweave[explore]`"
        ) from None
    return optuna

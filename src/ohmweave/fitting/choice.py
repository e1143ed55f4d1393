"""The choice among laws by the likelihood of data that they have not seen."""

from collections.abc import Mapping

from ohmweave.fitting.estimates import FittedLaw
from ohmweave.fitting.trains import Floats


def simplest(laws: Mapping[str, FittedLaw]) -> str:
    """The law with the fewest parameters whose gap to the best is within one standard error; of equals the nearest."""
    near = {name: gap for name, (gap, error) in compared(laws).items() if gap <= error}
    return min(near, key=lambda name: (laws[name].n_parameters, near[name]))


def compared(laws: Mapping[str, FittedLaw]) -> dict[str, tuple[float, float]]:
    """By name, the gap of the mean held-out log likelihood to that of the best law, and its standard error."""
    best = max(laws.values(), key=lambda law: float(law.held_out.mean())).held_out
    return {name: _mean_and_error(best - law.held_out) for name, law in laws.items()}


def _mean_and_error(values: Floats) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)

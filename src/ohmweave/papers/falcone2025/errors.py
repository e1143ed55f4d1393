"""The errors in a row of `falcone2025/products`."""

from collections.abc import Mapping

from ohmweave.experiments import Row

MAIN = "one cell, 0.2 %"
"""The reading that is predicted and judged."""


def errors_of(row: Row, age: str) -> list[float]:
    """Relative error of each array at an age."""
    errors = row.result["errors"]
    assert isinstance(errors, Mapping)
    found = errors[age]
    assert isinstance(found, list)
    return [float(str(error)) for error in found]

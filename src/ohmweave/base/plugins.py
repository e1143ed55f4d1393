"""Parts of other people's packages, found by entry point.

A package declares what it brings in its `pyproject.toml`:

    [project.entry-points."ohmweave.cells"]
    my-oxide = "my_lab.cells:my_oxide"

Groups: `ohmweave.experiments` (modules that register experiments when imported), `ohmweave.cells`, `ohmweave.rules`,
`ohmweave.layers`, `ohmweave.drivers`.
"""

from importlib.metadata import entry_points
from typing import Any

from ohmweave.base.errors import DataError

PREFIX = "ohmweave."


def load_plugins(kind: str) -> dict[str, Any]:
    """What installed packages declare in the group `ohmweave.<kind>`, by name, loaded.

    Raises:
        DataError: an entry point cannot be imported; the message names it and its package.
    """
    found: dict[str, Any] = {}
    for point in sorted(entry_points(group=PREFIX + kind), key=lambda point: point.name):
        try:
            found[point.name] = point.load()
        except Exception as error:
            package = point.dist.name if point.dist is not None else "an unknown package"
            raise DataError(
                f"the entry point {point.name!r} of {package} must be importable, but {point.value} gives "
                f"{type(error).__name__}: {error}"
            ) from error
    return found

"""Parts of other packages, found by entry point.

A package declares what it adds in its `pyproject.toml`:

    [project.entry-points."ohmweave.cells"]
    my-oxide = "my_lab.cells:my_oxide"

Groups: `ohmweave.experiments` (modules that register experiments when imported), `ohmweave.cells`, `ohmweave.rules`,
`ohmweave.layers`, `ohmweave.drivers`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ohmweave.base.errors import DataError

PREFIX = "ohmweave."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point of an installed package, imported on `load`.

    Attributes:
        name: of the entry point.
        package: the distribution that declares it, as the package index spells it.
        module: the module that it names.
        entry_point: as `importlib.metadata` gives it.
    """

    name: str
    package: str
    module: str
    entry_point: EntryPoint

    def load(self) -> Any:
        """Import the object that the entry point names.

        Raises:
            DataError: the import fails; the message names the entry point, its package and the cause.
        """
        try:
            return self.entry_point.load()
        except (Exception, SystemExit) as error:
            raise DataError(
                f"the entry point {self.name!r} of {self.package} must be importable, but {self.entry_point.value} "
                f"gives {type(error).__name__}: {error}"
            ) from error


def plugins(kind: str) -> Iterator[Plugin]:
    """The entry points in the group `ohmweave.<kind>`, not imported yet: ohmweave's own first, then by package."""
    found = [
        Plugin(
            name=point.name,
            package=point.dist.name if point.dist is not None else "an unknown package",
            module=point.module,
            entry_point=point,
        )
        for point in entry_points(group=PREFIX + kind)
    ]
    yield from sorted(found, key=lambda plugin: (plugin.package != "ohmweave", plugin.package, plugin.name))


def load_plugins(kind: str) -> dict[str, Any]:
    """The objects that installed packages declare in the group `ohmweave.<kind>`, by name.

    Raises:
        DataError: an entry point cannot be imported, or two packages declare the same name; the message names the
            entry point and the packages.
    """
    found: dict[str, Plugin] = {}
    for plugin in plugins(kind):
        first = found.setdefault(plugin.name, plugin)
        if first is not plugin:
            raise DataError(
                f"the entry point {plugin.name!r} in the group {PREFIX}{kind} must be declared once, but is declared "
                f"by {first.package} and by {plugin.package}"
            )
    return {name: plugin.load() for name, plugin in found.items()}

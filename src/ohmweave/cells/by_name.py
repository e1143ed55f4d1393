"""Published cells by name, from this package and from other packages.

Another package adds one with an entry point in its `pyproject.toml`:

    [project.entry-points."ohmweave.cells"]
    my-oxide = "my_lab.cells:my_oxide"

`my_oxide` is a function that returns a `Cell`.
"""

from collections.abc import Callable, Mapping

from ohmweave.base import OutOfRangeError, load_plugins
from ohmweave.cells.cell import Cell
from ohmweave.cells.falcone2025 import falcone2025
from ohmweave.cells.stellar2023 import stellar2023
from ohmweave.cells.wan2022 import wan2022
from ohmweave.cells.wang2019 import wang2019
from ohmweave.cells.yao2020 import yao2020


def published() -> Mapping[str, Callable[..., Cell]]:
    """Functions that return a published cell, by name.

    Raises:
        DataError: an entry point cannot be imported.
    """
    return {
        "falcone2025": falcone2025,
        "stellar2023": stellar2023,
        "wan2022": wan2022,
        "wang2019": wang2019,
        "yao2020": yao2020,
        **load_plugins("cells"),
    }


def find(name: str) -> Callable[..., Cell]:
    """The function that returns the published cell `name`: `find("yao2020")()` is `yao2020()`.

    Raises:
        OutOfRangeError: there is no such cell; the message names those that are there.
        DataError: an entry point cannot be imported.
    """
    known = published()
    if name not in known:
        raise OutOfRangeError(f"`name` must be one of {', '.join(sorted(known))}, but is {name!r}")
    return known[name]

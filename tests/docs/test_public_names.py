"""Every public name exists and says what it is."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import ohmweave

PACKAGES = ["ohmweave"] + [
    module.name for module in pkgutil.walk_packages(ohmweave.__path__, "ohmweave.") if module.ispkg
]


def _undocumented(package: ModuleType) -> Iterator[str]:
    for name in getattr(package, "__all__", ()):
        thing = getattr(package, name)
        if inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing):
            text = thing.__doc__ or ""
            # Dataclasses and named tuples write their signature where no docstring is.
            if not text or text.startswith(f"{name}("):
                yield name


@pytest.mark.parametrize("name", PACKAGES)
def test_package_and_its_public_names_have_docstrings(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__doc__, f"{name} has no docstring"
    undocumented = list(_undocumented(package))
    assert not undocumented, f"{name}: no docstring on {undocumented}"

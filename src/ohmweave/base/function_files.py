"""Functions that users give as Python files."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ohmweave.base.errors import OutOfRangeError


def function_of_file(path: Path, name: str, wanted: str) -> Callable[..., Any]:
    """The function `name` of a Python file, which is run.

    Args:
        path: of the file.
        name: of the function.
        wanted: beginning of the message of an error: what the file must be, and which it is.

    Raises:
        OutOfRangeError: the file raises an error, or does not define the function.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise anything
        raise OutOfRangeError(f"{wanted} raises {type(error).__name__}: {error}") from error
    found: Any = vars(module).get(name)
    if not callable(found):
        raise OutOfRangeError(f"{wanted} does not")
    function: Callable[..., Any] = found
    return function

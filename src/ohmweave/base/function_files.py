"""Functions that users give as Python files, and what decides their results: the file and the modules beside it."""

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from ohmweave.base.errors import OutOfRangeError

_loaded: dict[Path, str] = {}
"""The digests of the local modules that files have imported, as they were then."""


def function_of_file(path: Path, name: str, wanted: str) -> Callable[..., Any]:
    """The function `name` of a Python file, which is run.

    A local module that the file imports and that has changed since an earlier call is imported anew.

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
    _forget_changed(path)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise anything
        raise OutOfRangeError(f"{wanted} raises {type(error).__name__}: {error}") from error
    found: Any = vars(module).get(name)
    if not callable(found):
        raise OutOfRangeError(f"{wanted} does not")
    function: Callable[..., Any] = found
    return function


def digest_of_file(path: Path) -> str:
    """Hexadecimal sha256 of a Python file and of the local modules that it imports, directly or through others.

    Local modules are those outside of Python's own library and of the folders of installed packages. What a file reads
    or imports by a name that it computes is not seen.

    Args:
        path: of the file.
    """
    content = path.read_bytes()
    others = [other for other in local_modules(path).values() if other != path.resolve()]
    if not others:
        return hashlib.sha256(content).hexdigest()
    digests = [hashlib.sha256(content), *(hashlib.sha256(other.read_bytes()) for other in sorted(set(others)))]
    return hashlib.sha256("\n".join(one.hexdigest() for one in digests).encode()).hexdigest()


def local_modules(path: Path) -> dict[str, Path]:
    """The local modules that a Python file imports, directly or through others: their files by name."""
    found: dict[str, Path] = {}
    waiting = [path]
    while waiting:
        for name in _imported(waiting.pop()):
            if name not in found and (source := _local_source(name)) is not None:
                found[name] = source
                waiting.append(source)
    return found


def _imported(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, and of the packages around them."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # running it says what is wrong
        return
    for node in ast.walk(tree):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


def _local_source(name: str) -> Path | None:
    """The file of a module outside of the library and of the installed packages; None for all others."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top == "ohmweave" or not _is_local(_spec(top)):
        return None
    spec = _spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).resolve()


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except Exception:  # noqa: BLE001 - the packages around a module are imported, and may raise anything
        return None


def _is_local(spec: ModuleSpec | None) -> bool:
    """True for a module or package that is not in a folder of installed packages or of the library."""
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib", "platstdlib")]
    return bool(places) and not any(folder in Path(place).resolve().parents for place in places for folder in installed)


def _forget_changed(path: Path) -> None:
    """Let Python import those local modules anew that have changed since a file imported them."""
    modules = local_modules(path)
    digests = {source: hashlib.sha256(source.read_bytes()).hexdigest() for source in modules.values()}
    if any(_loaded.get(source, digest) != digest for source, digest in digests.items()):
        for name in modules:  # all of them: one that did not change may hold what it imported from one that did
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
    _loaded.update(digests)

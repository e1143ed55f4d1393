"""Registers experiments: of installed packages by entry point, of single files by path.

A package declares the modules that register its experiments in the entry point group `ohmweave.experiments`;
as `ohmweave.papers` is. A file outside of packages is imported by `import_experiments`. If an import fails, the
experiments that it has registered are removed again.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ohmweave.base.errors import ExperimentError, OhmweaveError
from ohmweave.base.files import check_path
from ohmweave.base.plugins import Plugin, plugins
from ohmweave.experiments.registry import experiments, registered_by, unregister


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An installed package whose experiments cannot be used, and the reason."""

    package: str
    problem: str


def load_installed() -> list[LeftOut]:
    """Register the experiments of all installed packages. A package that fails does not affect the others.

    Returns:
        The packages that failed: an import that raises, a name that another package has registered, no experiment.
    """
    left_out = []
    found = list(plugins("experiments"))
    if not any(plugin.package == "ohmweave" for plugin in found):
        problem = "its installed version declares none; in a checkout of the sources, run `pip install -e .` again"
        left_out.append(LeftOut(package="ohmweave", problem=problem))
    for plugin in found:
        try:
            _load(plugin)
        except OhmweaveError as error:
            left_out.append(LeftOut(package=plugin.package, problem=str(error)))
    return left_out


def _load(plugin: Plugin) -> None:
    belongs = _inside(plugin.module.partition(".")[0])
    try:
        plugin.load()
    except OhmweaveError:
        unregister(belongs)
        raise
    if not any(belongs(registered_by(name)) for name in experiments()):
        raise ExperimentError(
            f"the entry point {plugin.name!r} must register an experiment, but {plugin.module} calls no "
            "`ohmweave.experiments.register`"
        )


def import_experiments(path: str | Path) -> list[str]:
    """Import the file `path` under its own name and register its experiments.

    The name of the module is that of the file without `.py`. Its folder is added at the end of `sys.path`, so that it
    can import files beside it. Importing the same file again does nothing.

    Returns:
        Names of the file's experiments.

    Raises:
        ExperimentError: there is no such file, its name is no Python name or that of another module, importing it
            raises, or it registers no experiment.
    """
    path = check_path("path", path).resolve()
    if path.suffix != ".py" or not path.is_file():
        raise ExperimentError(f"`path` (--import) must name an existing .py file, but is {str(path)!r}")
    name = path.stem
    if _is_loaded(name, path):
        return _registered(name, path)
    _check_name(name, path)
    with _all_or_nothing(name):
        _execute(name, path)
        return _registered(name, path)


def _registered(name: str, path: Path) -> list[str]:
    """Names of the experiments of the module `name`. Raises `ExperimentError` if there are none."""
    belongs = _inside(name)
    found = [one for one in experiments() if belongs(registered_by(one))]
    if not found:
        raise ExperimentError(
            f"`path` (--import) must name a file that registers an experiment, but {path} calls no "
            "`ohmweave.experiments.register`"
        )
    return found


@contextlib.contextmanager
def _all_or_nothing(name: str) -> Iterator[None]:
    """If the block raises, remove the module `name` and its experiments, and restore `sys.path`."""
    search_path = list(sys.path)
    try:
        yield
    except ExperimentError:
        sys.path[:] = search_path
        sys.modules.pop(name, None)
        unregister(_inside(name))
        raise


def _execute(name: str, path: Path) -> None:
    """Run the file as the module `name`, with its folder at the end of `sys.path`."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look their module up there
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ExperimentError(
            f"`path` (--import) must name a file that can be imported, but {path} gives {type(error).__name__}: {error}"
            + _place(error, path)
        ) from error


def _place(error: BaseException, path: Path) -> str:
    """The line of `path` at which `error` was raised, as in " (line 12)"."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""


def _is_loaded(name: str, path: Path) -> bool:
    module = sys.modules.get(name)
    return module is not None and _file_of(module) == path


def _file_of(module: ModuleType) -> Path | None:
    spec = module.__spec__
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve()


def _check_name(name: str, path: Path) -> None:
    """Raise for a name under which workers could not import the functions of the file."""
    if not name.isidentifier():
        raise ExperimentError(
            f"`path` (--import) must name a file that is called as a Python module may be, but {path.name!r} is not: "
            "use letters, digits and _"
        )
    found = None if name in sys.modules else importlib.util.find_spec(name)
    # `find_spec` finds the file itself if its folder is in `sys.path`; it may have its own name.
    if name in sys.modules or (found is not None and (found.origin is None or Path(found.origin).resolve() != path)):
        raise ExperimentError(
            f"`path` (--import) must name a file whose name is not taken, but a module {name!r} exists already: "
            f"rename {path.name}"
        )


def _inside(package: str) -> Callable[[str], bool]:
    """A function that is True for modules of the top-level package `package`, and for a module of that name."""
    return lambda module: module == package or module.startswith(package + ".")


def source_of(name: str) -> str:
    """The origin of the experiment `name`: the top-level package that registered it, or the path of its file.

    Raises:
        ExperimentError: there is no such experiment.
    """
    module = registered_by(name)
    package = module.partition(".")[0]
    top = sys.modules.get(package)
    # A package has a search path for its modules; a file imported by `import_experiments` has none.
    if top is None or top.__spec__ is None or top.__spec__.submodule_search_locations is not None:
        return package
    return str(_file_of(top) or package)

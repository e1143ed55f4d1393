"""The board of a command: its driver by name, behind a log and limits, at 0 V however the command ends."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    import torch

    from ohmweave.arrays import Array
    from ohmweave.bench import Driver, Limited

DriverName = Annotated[
    str,
    typer.Argument(
        metavar="DRIVER",
        help="Entry point of the group ohmweave.drivers, or with --import a function or class of the file; called "
        "without arguments, it returns a driver or an array.",
        show_default=False,
    ),
]
ImportFile = Annotated[
    Path | None, typer.Option("--import", metavar="FILE.py", help="The file with the driver.", show_default=False)
]
LogFile = Annotated[
    Path | None,
    typer.Option(help="Log of all calls, continued if it exists; its pulses count.", show_default="no log"),
]
VMax = Annotated[str | None, typer.Option(help="Largest |V| at a line: '2 V'.", show_default="not limited")]
IMax = Annotated[str | None, typer.Option(help="Compliance: '1 mA'.", show_default="not limited")]
PulsesPerCell = Annotated[
    int | None, typer.Option(min=0, help="Most pulses of a cell in its life.", show_default="not limited")
]
Attempts = Annotated[int, typer.Option(min=1, help="Calls of the driver that may fail in a row.")]
Timeout = Annotated[
    str | None, typer.Option(help="After this time a call of the driver counts as hung: '5 s'.", show_default="never")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would be sent, and touch nothing.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardOptions:
    """What the commands that touch a board have in common, as it was typed: the one list of these options."""

    driver: DriverName
    file: ImportFile = None
    log: LogFile = None
    v_max: VMax = None
    i_max: IMax = None
    pulses_per_cell: PulsesPerCell = None
    attempts: Attempts = 1
    timeout: Timeout = None
    dry_run: DryRun = False


def with_board(command: Callable[..., None], *, without: tuple[str, ...] = ()) -> Callable[..., None]:
    """A command as typer takes it, whose options are its own and those of the board.

    Args:
        command: takes `options`, the `BoardOptions`, and its own options.
        without: options of the board that it does not have.
    """
    own = [one for name, one in inspect.signature(command).parameters.items() if name != "options"]
    kinds = get_type_hints(BoardOptions, include_extras=True)
    board = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=kinds[one.name],
        )
        for one in fields(BoardOptions)
        if one.name not in without
    ]
    names = {one.name for one in board}

    @wraps(command)
    def with_options(**given: Any) -> None:
        options = BoardOptions(**{name: value for name, value in given.items() if name in names})
        command(options, **{name: value for name, value in given.items() if name not in names})

    keyword = inspect.Parameter.KEYWORD_ONLY
    # DRIVER comes first, and the options of the board after those of the command.
    parameters = [board[0], *(one.replace(kind=keyword) for one in own), *board[1:]]
    vars(with_options)["__signature__"] = inspect.Signature(parameters)
    with_options.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_options


@contextmanager
def on_board(options: BoardOptions) -> "Iterator[Limited]":
    """The array of a driver behind a log and limits; all lines are at 0 V at the end, also after an error or Ctrl-C."""
    from contextlib import ExitStack

    from ohmweave.base import OutOfRangeError
    from ohmweave.bench import Driver, DriverArray, Limited, Limits, Recorded, Retry

    timeout = quantity(options.timeout, "s", "--timeout")
    limits = Limits(
        v_max=quantity(options.v_max, "V", "--v-max"),
        i_max=quantity(options.i_max, "A", "--i-max"),
        pulses_per_cell=options.pulses_per_cell,
    )
    made = load_driver(options.driver, options.file)
    retry = Retry(attempts=options.attempts, timeout=timeout)
    if not isinstance(made, Driver) and retry != Retry():
        raise OutOfRangeError(
            f"`--attempts` and `--timeout` need a driver, but {options.driver!r} returns a {type(made).__name__}"
        )
    array: Array = DriverArray(made, retry=retry) if isinstance(made, Driver) else made
    with ExitStack() as stack:
        sent = pulses_of(options.log)
        if options.log is not None and not options.dry_run:
            array = stack.enter_context(Recorded(array, options.log))
        yield stack.enter_context(Limited(array, limits, dry_run=options.dry_run, sent=sent))


def pulses_of(log: Path | None) -> "torch.Tensor | None":
    """`(n_cells,)` int64, the pulses of each cell in a log; None if there is none yet."""
    from ohmweave.bench import wear

    return wear(log) if log is not None and log.exists() and log.stat().st_size else None


def quantity(text: str | None, unit: str, name: str) -> float | None:
    """The value of an option in `unit`; None stays None."""
    from ohmweave.base.units import parse_quantity

    return None if text is None else parse_quantity(text, unit, name)


def needed(text: str, unit: str, name: str) -> float:
    """The value of an option in `unit`."""
    from ohmweave.base.units import parse_quantity

    return parse_quantity(text, unit, name)


def load_driver(name: str, file: Path | None) -> "Array | Driver":
    """The driver or array that a name stands for; see the argument DRIVER.

    Raises:
        DataError: there is no such name, the file cannot be imported, or the call fails or returns something else.
    """
    from ohmweave.base import DataError, load_plugins

    made: dict[str, Any] = load_plugins("drivers") if file is None else _names_of(file)
    if name not in made or not callable(made[name]):
        known = ", ".join(sorted(one for one, value in made.items() if callable(value))) or "none"
        where = "an entry point of the group ohmweave.drivers" if file is None else f"a function or class of {file}"
        raise DataError(f"`DRIVER` must be {where} ({known}), but is {name!r}")
    return _called(name, made[name], file)


def _called(name: str, make: "Callable[[], Any]", file: Path | None) -> "Array | Driver":
    """The driver or array that a call returns; an error of it becomes one line with the place in the file."""
    from traceback import extract_tb

    from ohmweave.base import DataError, OhmweaveError

    try:
        found: Array | Driver | None = make()
    except OhmweaveError:
        raise
    except Exception as error:
        lines = [one.lineno for one in extract_tb(error.__traceback__) if file and Path(one.filename) == file]
        where = f" in line {lines[-1]} of {file}" if lines else ""
        raise DataError(
            f"`DRIVER` must return a driver or an array when it is called without arguments, but {name} raises "
            f"{type(error).__name__}{where}: {error}"
        ) from error
    if found is None:
        raise DataError(
            f"`DRIVER` must return a driver or an array when it is called without arguments, but {name} returns None"
        )
    return found


def _names_of(file: Path) -> dict[str, Any]:
    """The public names of a file that is imported; running it is its owner's wish, as with `--import` elsewhere."""
    import importlib.util

    from ohmweave.base import DataError

    spec = importlib.util.spec_from_file_location(file.stem, file) if file.suffix == ".py" and file.is_file() else None
    if spec is None or spec.loader is None:
        raise DataError(f"`--import` must name an existing .py file, but is {str(file)!r}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DataError(f"{file} must be importable, but gives {type(error).__name__}: {error}") from error
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}

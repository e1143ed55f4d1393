"""`ohmweave bench`: check the driver of a board, and read the log of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_result

if TYPE_CHECKING:
    from ohmweave.arrays import Array
    from ohmweave.bench import Driver

bench = typer.Typer(
    name="bench",
    help="Check the driver of a real board, and read the log of what happened on it.",
    no_args_is_help=True,
    add_completion=False,
)

DriverName = Annotated[
    str,
    typer.Argument(
        metavar="DRIVER",
        help="Entry point of the group ohmweave.drivers, or with --import a function or class of the file; called "
        "without arguments, it returns a driver or an array.",
        show_default=False,
    ),
]


@bench.command("check")
def check(
    driver: DriverName,
    file: Annotated[
        Path | None, typer.Option("--import", metavar="FILE.py", help="The file with the driver.", show_default=False)
    ] = None,
    corner: Annotated[
        str, typer.Option(help="ARRAY,ROW,COLUMN where the rectangle of 2 x 4 sacrificial cells begins.")
    ] = "0,0,0",
    max_pulses: Annotated[
        int, typer.Option(help="Pulses that may be sent, all of them to the sacrificial cells.")
    ] = 1000,
    n_pulses: Annotated[int, typer.Option(help="Pulses of a train that must move a cell visibly.")] = 20,
    tolerance: Annotated[
        float, typer.Option(help="Fraction of the largest current that wires and converters may change a read by.")
    ] = 0.05,
) -> None:
    """Check a driver in words: shapes, units, signs, polarity, refusals, counters. It sends pulses.

    The exit status is 1 if a check failed, or was left out because the pulses did not suffice.
    """
    from ohmweave.bench import inspect_array

    found = inspect_array(
        load_driver(driver, file),
        corner=_corner(corner),
        max_pulses=max_pulses,
        n_pulses=n_pulses,
        tolerance=tolerance,
    )
    print_result(str(found))
    if not found.passed:
        raise typer.Exit(1)


@bench.command("replay")
def replay(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log of `bench.Recorded`.", show_default=False)],
    trains: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write pulse trains for `ohmweave fit` here.", show_default=False),
    ] = None,
) -> None:
    """Make all calls of a log again, without the board: what was done, how often, and to which cells."""
    from ohmweave.bench import activity, read_events, read_header, save_pulse_trains, wear

    header, done, worn = read_header(log), activity(log), wear(log)
    events = list(read_events(log))
    failed = [event for event in events if event.failure is not None]
    span = events[-1].time - events[0].time if events else 0.0
    lines = [
        f"{header.kind}: {header.n_arrays} of {header.rows} x {header.cols} cells, {header.n_chips or 1} chip(s)",
        f"{len(events):,} calls in {span:,.1f} s, {len(failed)} of them failed",
        repr(done),
        f"{int((worn > 0).sum()):,} cells were pulsed, the most worn one {int(worn.max()):,} times",
    ]
    for event in failed[:5]:
        assert event.failure is not None
        lines.append(f"  {event.kind.name.lower()} raised {event.failure.kind}: {event.failure.text}")
    if trains is not None:
        lines.append(f"{save_pulse_trains(log, trains):,} readings written to {trains}")
    print_result("\n".join(lines))


def load_driver(name: str, file: Path | None) -> "Array | Driver":
    """The driver or array that a name stands for; see the argument DRIVER.

    Raises:
        DataError: there is no such name, the file cannot be imported, or the call returns something else.
    """
    from ohmweave.base import DataError, load_plugins

    made: dict[str, Any] = load_plugins("drivers") if file is None else _names_of(file)
    if name not in made or not callable(made[name]):
        known = ", ".join(sorted(one for one, value in made.items() if callable(value))) or "none"
        where = "an entry point of the group ohmweave.drivers" if file is None else f"a function or class of {file}"
        raise DataError(f"`DRIVER` must be {where} ({known}), but is {name!r}")
    found: Array | Driver = made[name]()
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


def _corner(text: str) -> tuple[int, int, int]:
    from ohmweave.base import OutOfRangeError

    try:
        array, row, col = (int(one) for one in text.split(","))
    except ValueError:
        raise OutOfRangeError(f"`--corner` must be ARRAY,ROW,COLUMN such as 0,0,0, but is {text!r}") from None
    return array, row, col

"""`ohmweave bench`: check a driver, form and map the cells of its board, run a network, and read a log."""

from pathlib import Path
from typing import Annotated

import typer

from ohmweave.cli.bench_board import DriverName, ImportFile, load_driver, with_board
from ohmweave.cli.bench_bring_up import form, map_cells
from ohmweave.cli.bench_run import run
from ohmweave.cli.console import print_note, print_result

bench = typer.Typer(
    name="bench",
    help="Check the driver of a real board, form and map its cells, run a network on it, and read the log.",
    no_args_is_help=True,
    add_completion=False,
)


@bench.command("check")
def check(
    driver: DriverName,
    file: ImportFile = None,
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


bench.command("form")(with_board(form, without=("dry_run",)))
bench.command("map")(with_board(map_cells))
bench.command("run")(with_board(run))


@bench.command("replay")
def replay(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log of `bench.Recorded`.", show_default=False)],
    trains: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write pulse trains for `ohmweave fit` here.", show_default=False),
    ] = None,
) -> None:
    """Make all calls of a log again, without the board: what was done, how often, and to which cells."""
    from ohmweave.base.text import counted
    from ohmweave.bench import activity, read_events, read_header, save_pulse_trains, wear

    header, done, worn = read_header(log), activity(log), wear(log)
    events = list(read_events(log))
    failed = [event for event in events if event.failure is not None]
    span = events[-1].time - events[0].time if events else 0.0
    lines = [
        f"{header.kind}: {counted(header.n_arrays, 'array')} of {header.rows} x {header.cols} cells, "
        f"{counted(header.n_chips or 1, 'chip')}",
        f"{counted(len(events), 'call')} in {span:,.1f} s, {len(failed)} of them failed",
        repr(done),
        f"{counted(int((worn > 0).sum()), 'cell')} pulsed, the most worn one by {counted(int(worn.max()), 'pulse')}",
    ]
    for event in failed[:5]:
        assert event.failure is not None
        lines.append(f"  {event.kind.name.lower()} raised {event.failure.kind}: {event.failure.text}")
    if trains is not None:
        lines.append(f"{save_pulse_trains(log, trains):,} readings written to {trains}")
        if min(done.n_set, done.n_reset) < 20:
            print_note(
                "note: `ohmweave fit` needs at least 20 single pulses of each polarity, and this log has not: "
                "`ohmweave.bench.cycle_cells` moves some cells up and down"
            )
    print_result("\n".join(lines))


def _corner(text: str) -> tuple[int, int, int]:
    from ohmweave.base import OutOfRangeError

    try:
        array, row, col = (int(one) for one in text.split(","))
    except ValueError:
        raise OutOfRangeError(f"`--corner` must be ARRAY,ROW,COLUMN such as 0,0,0, but is {text!r}") from None
    return array, row, col

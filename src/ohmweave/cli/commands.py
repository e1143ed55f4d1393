"""The whole command line: the table of commands, and the exit codes.

Commands import other modules when they run, not at the top, because torch takes seconds to import and `--help` and
`--version` must print at once.
"""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, TextIO

import typer

from ohmweave.cli.bench import bench
from ohmweave.cli.cite import cite
from ohmweave.cli.claims import claims
from ohmweave.cli.compare import compare
from ohmweave.cli.console import print_error, print_note
from ohmweave.cli.cost import cost
from ohmweave.cli.data import data
from ohmweave.cli.demo import demo
from ohmweave.cli.docs import docs
from ohmweave.cli.evaluate import evaluate
from ohmweave.cli.explore import explore
from ohmweave.cli.fit import fit
from ohmweave.cli.listing import list_experiments
from ohmweave.cli.netlist import netlist
from ohmweave.cli.report import report
from ohmweave.cli.run import run

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "list": list_experiments,
    "run": run,
    "claims": claims,
    "report": report,
    "cite": cite,
    "cost": cost,
    "data": data,
    "fit": fit,
    "evaluate": evaluate,
    "compare": compare,
    "explore": explore,
    "netlist": netlist,
    "docs": docs,
}

app = typer.Typer(
    name="ohmweave",
    help="Train, program and run neural networks on memristor crossbars, and reproduce published systems.",
    epilog="Results go to a folder of rows; every number in `claims` and `report` comes from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ohmweave {version('ohmweave')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def _rename_variable() -> None:
    """Set OHMWEAVE_DATA from MEMWEAVE_DATA if only that is set, for this process and its workers, and print a note."""
    folder = os.environ.get("MEMWEAVE_DATA")
    if folder and not os.environ.get("OHMWEAVE_DATA"):
        os.environ["OHMWEAVE_DATA"] = folder
        print_note("note: the environment variable MEMWEAVE_DATA is now called OHMWEAVE_DATA; it is read for now")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 an error of ohmweave or the disk, 2 bad usage, 130 interrupted."""
    _rename_variable()
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        _run(arguments)


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as a note, in the place of Python's two lines with a path of the package."""
    print_note(f"warning: {message}")


def _run(arguments: Sequence[str] | None) -> None:
    from ohmweave.cli.typed_names import as_typed, without_number

    try:
        app(args=arguments)
    except OSError as error:
        print_error(without_number(error))
        sys.exit(1)
    except Exception as error:
        from ohmweave.base.errors import OhmweaveError

        if not isinstance(error, OhmweaveError):
            raise
        print_error(as_typed(str(error), app, sys.argv[1:] if arguments is None else arguments))
        sys.exit(1)

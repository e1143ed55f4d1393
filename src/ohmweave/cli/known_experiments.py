"""The experiments for the commands: those of installed packages, and of files given by `--import`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ohmweave.cli.console import print_note

Imports: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--import",
        metavar="FILE.py",
        show_default=False,
        help="Import this file, which registers experiments; may be given several times.",
    ),
]
"""The option `--import` of a command; None if it is not given."""

NOT_FOUND = "an experiment of no installed package (if a file registers it, name the file: --import FILE.py)"
"""Describes rows whose experiment is not registered, in notes."""


def load_experiments(imports: Sequence[Path] | None = None) -> None:
    """Register the experiments of all installed packages, then those of the files `imports`.

    A package whose experiments cannot be imported is named in a note; the others are registered.

    Raises:
        ExperimentError: a file is missing, raises when it is imported, or registers no experiment.
    """
    from ohmweave.experiments import import_experiments, load_installed

    for one in load_installed():
        print_note(f"left out: the experiments of {one.package}: {one.problem}")
    for path in imports or ():
        import_experiments(path)

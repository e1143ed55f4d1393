"""`ohmweave data`: public measurements onto this machine, with their licences."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.console import print_note, print_result

if TYPE_CHECKING:
    from ohmweave.data import FoundFile

DataDir = Annotated[
    Path | None, typer.Option(metavar="DIR", show_default="OHMWEAVE_DATA, the cache", help="Folder to look in first.")
]
Download = Annotated[bool, typer.Option(help="Download what is nowhere; without, a missing file is an error.")]


def data(
    name: Annotated[str, typer.Argument(metavar="measured", help="What to get: `measured`, the measured cells.")],
    only: Annotated[str | None, typer.Option("--set", show_default="all", help="One set, such as gong2018.")] = None,
    data_dir: DataDir = None,
    download: Download = True,
) -> None:
    """Find or download measurements of real cells: pinned commits, verified by checksum, licences shown."""
    from ohmweave.base import DataError
    from ohmweave.data import measured, measured_sets

    if name != "measured":
        raise typer.BadParameter(
            f"the data must be `measured`, but are {name!r}; `run` finds MNIST and CIFAR-10 itself"
        )
    failures = []
    for one in measured_sets.MEASURED_SETS if only is None else [None]:
        try:
            _show(measured(only if one is None else one.name, data_dir=data_dir, allow_download=download))
        except DataError as error:
            failures.append(str(error))
    if failures:
        raise DataError("; ".join(failures))
    print_note("docs/fit.md has a command for each of these files")


def _show(files: "Iterator[FoundFile]") -> None:
    shown = ""
    for found in files:
        one = found.of
        if one.name != shown:
            print_result(f"{one.name}: {one.holds}")
            print_result(f"  github.com/{one.repository}, commit {one.commit}; licence: {one.licence}")
            shown = one.name
        print_result(f"  {found.path}{'  (downloaded)' if found.downloaded else ''}")

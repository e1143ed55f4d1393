"""`ohmweave data`: public measurements onto this machine, with their licences."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.console import print_note, print_result

if TYPE_CHECKING:
    from ohmweave.data import FoundFile, MissingFile

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
    from ohmweave.data import MissingFile, measured_files

    if name != "measured":
        raise typer.BadParameter(
            f"the data must be `measured`, but are {name!r}; `run` finds MNIST and CIFAR-10 itself"
        )
    files = _shown(measured_files(only, data_dir=data_dir, allow_download=download))
    missing = [one for one in files if isinstance(one, MissingFile)]
    print_note("the page that `ohmweave docs fit` names has a command for each of these files")
    if missing:
        names = ", ".join(f"{one.of.name}/{one.name}" for one in missing)
        raise DataError(f"{len(missing)} of {len(files)} files are missing: {names}. The first one: {missing[0].why}")


def _shown(files: "Iterator[FoundFile | MissingFile]") -> "list[FoundFile | MissingFile]":
    """Print each file as it is found, and return all."""
    from ohmweave.data import MissingFile

    seen: list[FoundFile | MissingFile] = []
    for found in files:
        one = found.of
        if not seen or seen[-1].of != one:
            print_result(f"{one.name}: {one.holds}")
            print_result(f"  github.com/{one.repository}, commit {one.commit}; licence: {one.licence}")
        seen.append(found)
        if isinstance(found, MissingFile):
            print_result(f"  MISSING: {found.name}")
            for path in found.instead:
                print_result(f"    there instead, not verified: {path}")
        else:
            print_result(f"  {found.path}{'  (downloaded)' if found.downloaded else ''}")
    return seen

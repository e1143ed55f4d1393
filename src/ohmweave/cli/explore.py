"""`ohmweave explore`: from a declared space of designs to a table and a Pareto plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.progress import shown_progress

if TYPE_CHECKING:
    from rich.table import Table

INTERRUPTED = 130

StudyFile = Annotated[
    str,
    typer.Argument(metavar="STUDY.toml", show_default=False, help="A study file, or the name of a shipped study."),
]
Out = Annotated[Path | None, typer.Option(show_default="results/explore-NAME", help="Results folder.")]
DataDir = Annotated[
    Path | None,
    typer.Option(show_default="OHMWEAVE_DATA, the cache, a download", help="Folder with the data set's files."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Spread the work over this many processes (needs the extra `distributed`).")
]
Scheduler = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Spread the work over a running Dask cluster.")]
Check = Annotated[bool, typer.Option("--check", help="Check the file and list its designs; compute nothing.")]


def explore(
    study: StudyFile,
    out: Out = None,
    data_dir: DataDir = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    check: Check = False,
) -> None:
    """Accuracy, energy, latency and area of every design of a study, with the Pareto front, a CSV file and a page."""
    from ohmweave.explore import checked, find_study, points_of
    from ohmweave.explore import study as run

    if workers is not None and scheduler is not None:
        raise typer.BadParameter("choose one of --workers and --scheduler")
    declared = find_study(study)
    if check:
        checked(declared, data_dir=data_dir)
        n = declared.points if declared.method == "search" else len(points_of(declared))
        print_note(f"{declared.name}: {n} designs can be built; axes: {', '.join(declared.axes) or 'none'}")
        return
    try:
        with shown_progress("explore") as progress:
            found = run(
                declared,
                out=out,
                data_dir=data_dir,
                workers=workers,
                scheduler=scheduler,
                progress=progress,
                say=print_note,
            )
    except KeyboardInterrupt:
        print_note("stopped; the rows of finished work are kept, and the same command continues from there")
        raise typer.Exit(INTERRUPTED) from None
    page = found.write()
    print_result(_table(f"{declared.name}: the front of {len(found.points)} designs", found.table()))
    for line in (*found.advice(), *found.knobs()):
        print_note(line)
    for line in found.remarks():
        print_note(f"note: {line}")
    print_note(f"page: {page}   designs: {page.parent / 'designs.csv'}")


def _table(title: str, lines: Sequence[Mapping[str, str]]) -> "Table":
    from rich.table import Table

    heads = list(lines[0]) if lines else []
    table = Table(*heads, title=title, header_style="dim", title_justify="left")
    for line in lines:
        table.add_row(*(line[head] for head in heads))
    return table

"""`ohmweave compare`: learning rules on equal terms, one's own among them."""

from pathlib import Path
from typing import Annotated

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.evaluate import INTERRUPTED, Data, NetworkOption, Scale, shown_table
from ohmweave.cli.progress import shown_progress

Rules = Annotated[
    list[str],
    typer.Argument(
        metavar="RULES...",
        show_default=False,
        help="mixed-precision, pulsed-sgd, tiki-taka-v2, manhattan, adaptive-write-verify, one of an installed package "
        "or of a file; any other name shows all.",
    ),
]
Cells = Annotated[
    str,
    typer.Option(
        metavar="A,B,...", help="linear, varied, soft-bounds, coarse, yao2020, stellar2023, CELL.json, or of a file."
    ),
]
Imports = Annotated[
    list[Path] | None,
    typer.Option(
        "--import", metavar="FILE.py", show_default=False, help="Run this file, which defines RULES or CELLS."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(show_default="OHMWEAVE_DATA, the cache, a download", help="Folder with the data set's files."),
]
Out = Annotated[Path | None, typer.Option(show_default="results/compare-DATA-SCALE", help="Results folder.")]


def compare(
    rules: Rules,
    cells: Cells = "linear,soft-bounds",
    imports: Imports = None,
    data: Annotated[Data, typer.Option(help="The data set.")] = Data.digits,
    data_dir: DataDir = None,
    network: NetworkOption = "mlp",
    scale: Annotated[Scale, typer.Option(help="smoke: a minute; full: 10,000 images and 20 epochs.")] = Scale.smoke,
    seeds: Annotated[int, typer.Option(min=1, max=1_000, help="Trainings of each rule on each cell.")] = 3,
    out: Out = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
) -> None:
    """Learning rules on equal terms: curves, accuracy at equal pulses, energy and time, at searched settings."""
    from ohmweave.evaluation import COMPARISON
    from ohmweave.evaluation import compare as run
    from ohmweave.report import write_report

    try:
        with shown_progress("compare") as progress:
            result = run(
                rules,
                cells=[one.strip() for one in cells.split(",") if one.strip()],
                imports=imports or (),
                data=data.value,
                data_dir=data_dir,
                network=network,
                scale=scale.value,
                seeds=seeds,
                out=out,
                seed=seed,
                progress=progress,
            )
    except KeyboardInterrupt:
        print_note("stopped; the rows of finished trainings are kept, and the same command continues from there")
        raise typer.Exit(INTERRUPTED) from None
    page = write_report(result.out, also=(COMPARISON,))
    print_result(shown_table("Rules on equal terms", result.table()))
    print_note(f"page: {page}   figures: {page.parent / 'figures'}")

"""`ohmweave evaluate`: what a cell is worth in a network."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.progress import shown_progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from ohmweave.evaluation import Evaluation

INTERRUPTED = 130


class Data(StrEnum):
    """The data sets that `--data` accepts."""

    digits = "digits"
    mnist = "mnist"


class Scale(StrEnum):
    """The sizes that `--scale` accepts."""

    smoke = "smoke"
    full = "full"


CellFile = Annotated[
    Path, typer.Argument(metavar="CELL.json", show_default=False, help="A cell file, as `ohmweave fit` writes it.")
]
NetworkOption = Annotated[
    str, typer.Option(metavar="mlp|cnn|FILE.py", help="The network, or a file that defines network(shape, n_classes).")
]
Chips = Annotated[int, typer.Option(min=2, max=1_000, help="Chips of each result.")]
Wait = Annotated[str, typer.Option(help="Time from the last write to the test, for cells with retention: '1 day'.")]
Out = Annotated[
    Path | None, typer.Option(show_default="results/evaluate-CELL-NETWORK-DATA-SCALE", help="Results folder.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(show_default="OHMWEAVE_DATA, the cache, a download", help="Folder with the data set's files."),
]


def evaluate(
    cell: CellFile,
    data: Annotated[Data, typer.Option(help="The data set.")] = Data.digits,
    data_dir: DataDir = None,
    network: NetworkOption = "mlp",
    chips: Chips = 10,
    scale: Annotated[Scale, typer.Option(help="smoke: minutes; full: more networks, epochs and drawn cells.")] = (
        Scale.smoke
    ),
    out: Out = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    wait: Wait = "1 day",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Evaluate a cell whose file says that no law describes its data.")
    ] = False,
) -> None:
    """Accuracy of a network on chips of a cell: written, tuned and learnt in situ, and what each property costs."""
    from ohmweave.base.units import parse_quantity
    from ohmweave.evaluation import EVALUATION
    from ohmweave.evaluation import evaluate as run
    from ohmweave.report import write_report

    try:
        with shown_progress("evaluate") as progress:
            result = run(
                cell,
                data=data.value,
                data_dir=data_dir,
                network=network,
                chips=chips,
                scale=scale.value,
                out=out,
                seed=seed,
                wait=parse_quantity(wait, "s", "wait"),
                anyway=anyway,
                progress=progress,
                told=print_note,
            )
    except KeyboardInterrupt:
        print_note("stopped; the rows of finished tasks are kept, and the same command continues from there")
        raise typer.Exit(INTERRUPTED) from None
    page = write_report(result.options.out, also=(EVALUATION,))
    _print(result)
    print_note(f"page: {page}   figures: {page.parent / 'figures'}")


def _print(result: "Evaluation") -> None:
    from ohmweave.evaluation.tables import accuracy_table, cost_table, spent_table

    print_result(shown_table("Test accuracy", accuracy_table(result.rows)))
    print_result(shown_table("Of one chip", spent_table(result.rows)))
    print_result(shown_table("Points won without one property", cost_table(result.rows)))
    for remark in result.remarks:
        print_note(f"note: {remark}")


def shown_table(title: str, lines: "Sequence[Mapping[str, object]]") -> "Table":
    """The lines as a table for the terminal; the keys of the lines are its heads."""
    from rich.table import Table

    heads = list(dict.fromkeys(head for line in lines for head in line))
    table = Table(*heads, title=title, header_style="dim", title_justify="left")
    for line in lines:
        table.add_row(*(str(line.get(head, "")) for head in heads))
    return table

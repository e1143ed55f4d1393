"""`ohmweave bench form` and `map`: from fresh cells to a map of those that can be used."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.bench_board import BoardOptions, needed, on_board, pulses_of, quantity
from ohmweave.cli.console import print_note, print_result

if TYPE_CHECKING:
    import torch

Cells = Annotated[str, typer.Option(help="Addresses such as 0-99,120, or all.")]


def form(
    options: BoardOptions,
    v_start: Annotated[str, typer.Option(help="First amplitude: '1.5 V'.")],
    v_step: Annotated[str, typer.Option(help="Between two amplitudes.")],
    v_stop: Annotated[str, typer.Option(help="Largest amplitude.")],
    width: Annotated[str, typer.Option(help="Of each pulse: '10 us'.")],
    g_formed: Annotated[str, typer.Option(help="A cell that conducts as much is formed: '2 uS'.")],
    attempts_each: Annotated[int, typer.Option(min=1, help="Pulses at each amplitude.")] = 1,
    i_form: Annotated[
        str | None, typer.Option(help="Compliance while forming: '50 uA'.", show_default="as it is")
    ] = None,
    i_after: Annotated[str | None, typer.Option(help="Compliance afterwards.", show_default=False)] = None,
    v_gate: Annotated[str | None, typer.Option(help="Of 1T1R cells.", show_default="nominal")] = None,
    cells: Cells = "all",
    out: Annotated[Path, typer.Option(help="Table of what was done to each cell (CSV).")] = Path("forming.csv"),
) -> None:
    """Form fresh cells with pulses that rise until each conducts. Cells that conduct already get none.

    The table is written also if forming stops; the same command then goes on. The exit status is 1 if a cell is not
    formed.
    """
    from ohmweave.bench import Forming, FormingInterrupted, FormingStoppedError

    procedure = Forming(
        v_start=needed(v_start, "V", "--v-start"),
        v_step=needed(v_step, "V", "--v-step"),
        v_max=needed(v_stop, "V", "--v-stop"),
        width=needed(width, "s", "--width"),
        g_formed=needed(g_formed, "S", "--g-formed"),
        attempts=attempts_each,
        i_max=quantity(i_form, "A", "--i-form"),
        i_after=quantity(i_after, "A", "--i-after"),
        v_gate=quantity(v_gate, "V", "--v-gate"),
    )
    with on_board(options) as array:
        try:
            report = procedure(array, _addresses(cells, array.n_cells))
        except (FormingStoppedError, FormingInterrupted) as stopped:
            stopped.report.save(out)
            print_note(f"{stopped.report!r}; what was done is in {out}")
            raise
    report.save(out)
    print_result(f"{report!r}\n{out}")
    if not bool(report.formed.all()):
        raise typer.Exit(1)


def map_cells(
    options: BoardOptions,
    n_pulses: Annotated[int, typer.Option(min=1, help="Of each train, enough to cross the window.")] = 100,
    span: Annotated[float, typer.Option(help="Fraction of the window that a usable cell moves by.")] = 0.5,
    g_open: Annotated[
        str | None, typer.Option(help="Conductance of a broken line.", show_default="a thousandth of g_min")
    ] = None,
    leave_out: Annotated[str, typer.Option(help="Addresses that are not touched: 0-9,20.", show_default="none")] = "",
    out: Annotated[Path, typer.Option(help="The map.")] = Path("cells.safetensors"),
    figure: Annotated[Path | None, typer.Option(help="Draw the map here (png, pdf, svg).", show_default=False)] = None,
) -> None:
    """Measure which cells move by pulses, and which are unformed, leaky, stuck or on a broken line."""
    from ohmweave.bench import MapCells

    procedure = MapCells(n_pulses=n_pulses, span=span, g_open=quantity(g_open, "S", "--g-open"))
    before = pulses_of(options.log)
    with on_board(options) as array:
        left_out = _addresses(leave_out, array.n_cells) if leave_out else None
        found = procedure(array, leave_out=left_out, sent=before)
    if options.dry_run:
        print_result(f"dry run: {array.books.activity!r}")
        return
    found.save(out)
    if figure is not None:
        from ohmweave.plot import cell_map

        cell_map(found).savefig(figure)
    print_result(f"{found!r}\n{out}")


def _addresses(text: str, n_cells: int) -> "torch.Tensor":
    """`(k,)` int64: the cells of a text such as "0-99,120" or "all".

    Raises:
        OutOfRangeError: the text is another, or a cell does not exist.
    """
    import torch

    from ohmweave.base import OutOfRangeError

    if text == "all":
        return torch.arange(n_cells, dtype=torch.int64, device="cpu")
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except (ValueError, MemoryError, OverflowError):
        found = [-1]
    if not found or min(found) < 0 or max(found) >= n_cells or len(set(found)) < len(found):
        raise OutOfRangeError(
            f"`--cells` and `--leave-out` must be addresses from 0 to {n_cells - 1} such as 0-99,120, each once, but "
            f"one is {text!r}"
        )
    return torch.tensor(found, dtype=torch.int64, device="cpu")

"""`ohmweave bench run`: a network on a board, from its training in software to its accuracy on the cells."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.bench_board import (
    Attempts,
    BoardOptions,
    DriverName,
    DryRun,
    IMax,
    ImportFile,
    LogFile,
    PulsesPerCell,
    Timeout,
    VMax,
    needed,
    on_board,
)
from ohmweave.cli.console import print_result
from ohmweave.cli.evaluate import Data, DataDir, NetworkOption
from ohmweave.cli.progress import shown_progress

if TYPE_CHECKING:
    from ohmweave.arrays import CellMap
    from ohmweave.bench import Limited
    from ohmweave.mapping import Chip, WeightMapping


def run(
    driver: DriverName,
    tolerance: Annotated[str, typer.Option(help="Of write-verify, to both sides of a target: '0.5 uS'.")],
    file: ImportFile = None,
    cells: Annotated[
        Path | None, typer.Option("--map", help="Of `ohmweave bench map`.", show_default="all cells are usable")
    ] = None,
    network: NetworkOption = "mlp",
    data: Annotated[Data, typer.Option(help="The data set.")] = Data.digits,
    data_dir: DataDir = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of the training in software.")] = 20,
    images: Annotated[int, typer.Option(min=1, help="Test images, the first ones.")] = 200,
    max_pulses: Annotated[int, typer.Option(min=1, help="After which a cell counts as failed.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    log: LogFile = None,
    v_max: VMax = None,
    i_max: IMax = None,
    pulses_per_cell: PulsesPerCell = None,
    attempts: Attempts = 1,
    timeout: Timeout = None,
    dry_run: DryRun = False,
) -> None:
    """Train a network in software, write it on the board, and compare its accuracy there.

    A write that was stopped goes on with the same command: cells within the tolerance get no further pulse.
    """
    import ohmweave as ow
    from ohmweave.arrays import CellMap
    from ohmweave.base.text import counted
    from ohmweave.evaluation.networks import check_network, fresh, n_correct, network_of, train
    from ohmweave.evaluation.networks import images as load_images

    write = ow.WriteVerify(tolerance=needed(tolerance, "S", "--tolerance"), max_pulses=max_pulses)
    made = network_of(network)
    found = None if cells is None else CellMap.load(cells)  # before the training, which takes longer
    options = BoardOptions(
        driver=driver,
        file=file,
        log=log,
        v_max=v_max,
        i_max=i_max,
        pulses_per_cell=pulses_per_cell,
        attempts=attempts,
        timeout=timeout,
        dry_run=dry_run,
    )
    loaded = load_images(data.value, data_dir=data_dir, n_train=None)
    check_network(made, loaded)
    with shown_progress("bench run") as progress:
        model = train(fresh(made, loaded, seed=seed), loaded, epochs=epochs, seed=seed, progress=progress)
    test = loaded.test.take(images)
    (in_software,) = n_correct(model, test)
    with on_board(options) as array:
        chip, mapping = _chip(array, found)
        net = ow.deploy(model.to(array.dtype), chip, write=write, mapping=mapping)
        (on_cells,) = (0,) if dry_run else n_correct(lambda x: net(x.to(array.dtype)), test)
        reports, activity, worn = net.reports, array.books.activity, array.sent
    n = len(test)
    lines = [f"in software   {in_software / n:.1%} of {n} test images"]
    lines.append(
        "dry run: nothing was sent; a run would send, at most:" if dry_run else f"on the board  {on_cells / n:.1%}"
    )
    lines += [f"{name or 'network'}: {report!r}" for name, report in reports.items()]
    lines += [repr(activity), f"the most worn cell has got {counted(int(worn.max()), 'pulse')}"]
    print_result("\n".join(lines))


def _chip(array: "Limited", found: "CellMap | None") -> "tuple[Chip, WeightMapping]":
    """The chip of a board and its mapping, which make use of a map of the cells if there is one."""
    from ohmweave.mapping import Chip, DifferentialPair, FaultAware

    if found is None:
        return Chip(array=array), DifferentialPair()
    return Chip(array=array, cell_map=found), FaultAware(mapping=DifferentialPair(), cell_map=found)

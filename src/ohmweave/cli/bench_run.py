"""`ohmweave bench run`: a network on a board, from its training in software to its accuracy on the cells."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohmweave.cli.bench_board import BoardOptions, needed, on_board
from ohmweave.cli.console import print_note, print_result
from ohmweave.cli.evaluate import Data, DataDir, NetworkOption
from ohmweave.cli.progress import shown_progress

if TYPE_CHECKING:
    from ohmweave.arrays import CellMap
    from ohmweave.bench import Limited
    from ohmweave.data import Dataset
    from ohmweave.mapping import Chip, WeightMapping
    from ohmweave.nn import Deployed
    from ohmweave.programming import WriteVerify

BATCH = 100
"""Images of a tuning batch, as in Yao et al. 2020."""
STEPS = 3.0
"""Ours: smallest change that is written while tuning, in tolerances of the write, as 1.5 uS and 0.5 uS in Yao et al."""

SHARE = 0.1
"""Ours: of the weights of the last layer that a batch may write, so that ten batches can reach all of a small layer."""


def run(
    options: BoardOptions,
    tolerance: Annotated[str, typer.Option(help="Of write-verify, to both sides of a target: '0.5 uS'.")],
    cells: Annotated[
        Path | None, typer.Option("--map", help="Of `ohmweave bench map`.", show_default="all cells are usable")
    ] = None,
    network: NetworkOption = "mlp",
    data: Annotated[Data, typer.Option(help="The data set.")] = Data.digits,
    data_dir: DataDir = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of the training in software.")] = 20,
    tune: Annotated[
        int,
        typer.Option(min=0, help="Batches of 100 training images by which the last layer is tuned there."),
    ] = 0,
    images: Annotated[int, typer.Option(min=1, help="Test images, the first ones.")] = 200,
    max_pulses: Annotated[int, typer.Option(min=1, help="After which a cell counts as failed.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
) -> None:
    """Train a network in software, write it on the board, and compare its accuracy there.

    With --tune the last layer is then trained on the board (hybrid training), and the accuracy is found again. A
    network that does not fit the board is refused before it is trained. A write that was stopped goes on with the same
    command: cells within the tolerance get no further pulse.
    """
    import ohmweave as ow
    from ohmweave.arrays import CellMap
    from ohmweave.evaluation.networks import check_network, fresh, n_correct, network_of, train
    from ohmweave.evaluation.networks import images as load_images

    write = ow.WriteVerify(tolerance=needed(tolerance, "S", "--tolerance"), max_pulses=max_pulses)
    made = network_of(network)
    found = None if cells is None else CellMap.load(cells)
    loaded = load_images(data.value, data_dir=data_dir, n_train=None)
    check_network(made, loaded)
    test = loaded.test.take(images)
    with on_board(options) as array:
        chip, mapping = _chip(array, found)
        model = fresh(made, loaded, seed=seed)
        ow.plan(model, chip, write=write, mapping=mapping).check()  # before the training, which takes longer
        with shown_progress("bench run") as progress:
            model = train(model, loaded, epochs=epochs, seed=seed, progress=progress)
        (in_software,) = n_correct(model, test)
        net = ow.deploy(model.to(array.dtype), chip, write=write, mapping=mapping)

        def accuracy() -> float:
            return n_correct(lambda x: net(x.to(array.dtype)), test)[0] / len(test)

        lines = [f"in software   {in_software / len(test):.1%} of {len(test)} test images"]
        if options.dry_run:
            lines.append("dry run: nothing was sent; a run would send, at most:")
            if tune:
                print_note("note: what tuning sends depends on the cells, and is not counted by a dry run")
        else:
            lines.append(f"on the board  {accuracy():.1%}")
            if tune:
                tune_last_layer(net, loaded, write, n_batches=tune, seed=seed)
                lines.append(f"tuned there   {accuracy():.1%}")
        lines += _done(net, array)
    print_result("\n".join(lines))


def _done(net: "Deployed", array: "Limited") -> list[str]:
    """What was sent, by layer and in all."""
    from ohmweave.base.text import counted

    lines = [f"{name or 'network'}: {report!r}" for name, report in net.reports.items()]
    worn = counted(int(array.sent.max()), "pulse")
    return [*lines, repr(array.books.activity), f"the most worn cell has got {worn}"]


def tune_last_layer(net: "Deployed", data: "Dataset", write: "WriteVerify", *, n_batches: int, seed: int) -> None:
    """Train the last layer on the board by batches of training images; the rule finds its rate by itself."""
    import torch.nn.functional as F

    from ohmweave.base import generator
    from ohmweave.optim import AdaptiveWriteVerify

    last = net.chip_parameters()[-1]
    rule = AdaptiveWriteVerify([last], share=SHARE, threshold=STEPS * write.tolerance, write=write)
    summed = partial(F.cross_entropy, reduction="sum")
    order, left = generator(seed, "bench run", "tuning"), n_batches
    with shown_progress("bench run") as progress:
        while left:
            for x, y in data.train.batches(BATCH, order):
                if not left:
                    return
                progress(1 - left / n_batches, f"tuning on the board, batch {n_batches - left + 1} of {n_batches}")
                net.zero_grad()
                net.loss(summed, net(x.to(last.dtype)), y).backward()
                rule.step()
                left -= 1


def _chip(array: "Limited", found: "CellMap | None") -> "tuple[Chip, WeightMapping]":
    """The chip of a board and its mapping, which make use of a map of the cells if there is one."""
    from ohmweave.mapping import Chip, DifferentialPair, FaultAware

    if found is None:
        return Chip(array=array), DifferentialPair()
    return Chip(array=array, cell_map=found), FaultAware(mapping=DifferentialPair(), cell_map=found)

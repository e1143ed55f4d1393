"""`ohmweave demo`: one published experiment at small size, and what it showed beside the paper's numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohmweave.cli.console import print_result
from ohmweave.cli.progress import shown_progress

if TYPE_CHECKING:
    from rich.table import Table

    from ohmweave.experiments import Experiment

EXPERIMENT = "yao2020/stages"
SHOWN = {
    "software-whole": "in software",
    "levels-whole": "weights rounded to 15 levels",
    "transferred-whole": "written with verify on the chip",
    "hybrid-whole": "last layer tuned on the chip",
    "written-error": "error of a written cell, standard deviation",
}
"""Claims of the experiment that are shown, and what they are called."""

Out = Annotated[Path, typer.Option(help="Results folder.")]


def demo(out: Out = Path("results/demo")) -> None:
    """One published system at small size: run it, write its page, and show it beside the paper's numbers."""
    from ohmweave.cli.known_experiments import load_experiments
    from ohmweave.experiments import ExperimentError, Options, experiments, read_results, run_experiment
    from ohmweave.report import claims_table, write_report

    load_experiments()
    known = experiments()
    if EXPERIMENT not in known:
        raise ExperimentError(f"the experiment {EXPERIMENT} must be installed for the demonstration, but is not")
    with shown_progress("demo") as progress:
        run_experiment(known[EXPERIMENT], Options(data="digits", scale="smoke", out=out), progress)
    page = write_report(out)
    records = claims_table({EXPERIMENT: read_results(out)[EXPERIMENT]})
    print_result(
        "\nThe five-layer network of Yao et al., Nature 577, 641 (2020): trained in software, put on two simulated "
        "chips of eight 16 x 128 arrays that differ by chance, and tuned there.\n"
    )
    print_result(_table(records))
    print_result(_ending(known[EXPERIMENT], page))


def _table(records: "Sequence[Mapping[str, Any]]") -> "Table":
    from rich.table import Table

    from ohmweave.report import show

    table = Table("", header_style="bold", title_justify="left", box=None, pad_edge=False)
    table.add_column("paper, MNIST", justify="right")
    table.add_column("here, digits", justify="right")
    by_key = {record["claim"]: record for record in records}
    for key, name in SHOWN.items():
        record = by_key.get(key)
        if record is not None and record["ours"] is not None:
            table.add_row(name, show(record["paper"], record["unit"]), show(record["ours"], record["unit"]))
    return table


def _ending(experiment: "Experiment", page: Path) -> str:
    return f"""
Digits are not MNIST: these are 8 x 8 images, 1,797 in all, drawn larger, so that the accuracies are beside the paper's
for orientation only. The error of a written cell does not depend on the images, and is judged. Two chips tell little.

the page             {page}
the paper's size     ohmweave run {EXPERIMENT} --data mnist --scale full --seeds 10    ({_time(experiment)})
all experiments      ohmweave list
your own cells       ohmweave fit pulses.csv, then ohmweave evaluate pulses.json
your own design      ohmweave explore array-wires-adc
your own rule        ohmweave compare mixed-precision pulsed-sgd
your own network     ohmweave docs tutorials/transformer-resnet, a page of code that runs"""


def _time(experiment: "Experiment") -> str:
    """The expected time of the paper's size on this machine."""
    from ohmweave.experiments import Options, expected_times
    from ohmweave.report import show_duration

    options = Options(data="mnist", scale="full", seeds=10, out=Path("results/mnist-full"))
    (expected,) = expected_times([(experiment, options)])
    return "not measured" if expected.seconds is None else f"about {show_duration(expected.seconds)} here"

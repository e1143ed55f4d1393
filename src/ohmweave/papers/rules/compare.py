"""`rules/compare`: every rule on every cell that it can write, with accuracy and the bill of its training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ohmweave.arrays import Activity
from ohmweave.base import generator
from ohmweave.cost import Bill, comparators, yao2020_periphery
from ohmweave.data import Split
from ohmweave.experiments import (
    Assumption,
    Context,
    Experiment,
    FigureSpec,
    Options,
    Row,
    TableSpec,
    Task,
    mean_of,
    mean_rate_of,
    register,
)
from ohmweave.optim import SignPulse, Stellar
from ohmweave.papers.energy import SampledBill
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.family import RULES
from ohmweave.papers.rules.network import HIDDEN, Setup
from ohmweave.papers.rules.settings import SETTINGS
from ohmweave.papers.rules.tasks import chips, started

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "rules/compare"
_SAMPLES = {"smoke": 400, "full": 10_000}
_EPOCHS = {"smoke": 1, "full": 3}
_SMOKE_CELLS = ("linear", "wang2019")

_MARKS = "osD^v"

T_EVENT = 50e-9
"""A read, a cell's readout and a pulse take 50 ns each (Yao et al. 2020), as in both price lists."""
N_BILLED = 20
"""Samples of each epoch whose reads are billed, where the epoch is a compiled loop, which a meter cannot record."""


def tasks(options: Options) -> list[Task]:
    """One chip a rule, cell and seed."""
    return chips(
        NAME,
        options,
        lambda rule, cell: [SETTINGS[rule][cell]],
        cells=_SMOKE_CELLS if options.scale == "smoke" else None,
        samples=_SAMPLES[options.scale],
        epochs=_EPOCHS[options.scale],
    )


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Train one chip by the rule of the task, count after each epoch, and bill the training."""
    params = task.params
    rule = RULES[params["rule"]]
    data, split, setup = started(task, context)
    order = generator(task.seed, NAME, "order")
    training, history = Training(setup), []
    for epoch in range(params["epochs"]):
        context.progress(epoch / params["epochs"], f"epoch {epoch + 1} of {params['epochs']}")
        training.epoch(split, order)
        history.append(setup.n_correct(data.validation))
    done, spent = training.done, training.energy()
    n_neurons, n_weights = HIDDEN + data.n_classes, sum(layer.weight.numel() for layer in setup.layers)
    return {
        "n_correct": setup.n_correct(data.test),
        "n_total": len(data.test),
        "n_validation": len(data.validation),
        "validation": history,
        "n_pulses": done.n_set + done.n_reset,
        "n_reads": done.n_reads,
        "n_readouts": done.n_readouts,
        "energy_pulses": spent["pulses"],
        "energy_reads": spent["reads"],
        "buffer_bits": rule.buffer_bits[0] * n_neurons * setup.batch + rule.buffer_bits[1] * n_weights,
        "n_steps": params["epochs"] * -(-len(split) // setup.batch),
    }


class Training:
    """The epochs of one rule, and their bill.

    An epoch in plain torch is metered. A compiled epoch cannot be: its reads and pulses are counted in total, and the
    energy of its reads is extrapolated from `N_BILLED` samples that plain torch learns beforehand and that are then
    undone (`SampledBill`). Reads of the validation images are in neither.
    """

    def __init__(self, setup: Setup) -> None:
        self.done = Activity()
        self._setup, self._n, self._n_billed = setup, 0, 0
        costs = comparators() if setup.binary else yao2020_periphery()
        self._sampled: SampledBill | None = None
        if setup.epoch is not None:
            assert isinstance(setup.optimizer, SignPulse | Stellar)
            self._sampled = SampledBill(setup.chip, setup.optimizer, costs)
        self.bill = Bill([costs], [setup.chip]) if self._sampled is None else self._sampled.bill

    def epoch(self, split: Split, order: torch.Generator) -> None:
        """One pass over the samples, in an order drawn anew."""
        setup = self._setup
        x, labels = setup.shuffled(split, order)
        n_billed = len(x) if self._sampled is None else min(N_BILLED, len(x))
        if self._sampled is not None:
            with self._sampled.samples("training", n_billed):
                setup.learn(x[:n_billed], labels[:n_billed])
        before = setup.chip.array.books.activity.copy()
        if setup.epoch is not None:
            setup.epoch(x, labels)
        else:
            with self.bill.counting("training"):
                setup.learn(x, labels)
        self.done += setup.chip.array.books.activity - before
        self._n, self._n_billed = self._n + len(x), self._n_billed + n_billed

    def energy(self) -> dict[str, float]:
        """The bill so far, J: of all "pulses", and of "reads": cells, converters, drivers, of vectors and cells."""
        bill = self.bill
        bill.recount("training", n_set=self.done.n_set, n_reset=self.done.n_reset)
        pulses = sum(bill.total(component=name) for name in ("SET pulses", "RESET pulses"))
        return {"pulses": pulses, "reads": (bill.total() - pulses) * self._n / self._n_billed}


_EVENTS = ("n_pulses", "n_reads", "n_readouts")


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line for each rule and cell: accuracy and the bill of training."""
    lines = []
    for cell in dict.fromkeys(row.params["cell"] for row in rows):
        for rule in RULES:
            where = {"cell": cell, "rule": rule}
            accuracy = mean_rate_of("n_correct", "n_total", where=where)(rows)
            if accuracy is None:
                continue

            def mean(key: str, where: Mapping[str, Any] = where) -> float:
                found = mean_of(key, where=where)(rows)
                assert found is not None
                return found.value

            lines.append(
                {
                    "cell": cell,
                    "rule": rule,
                    "seeds": accuracy.n,
                    "accuracy": f"{accuracy.value:.3f}",
                    "pulses": f"{mean('n_pulses'):.2e}",
                    "tile reads": f"{mean('n_reads'):.2e}",
                    "cell readouts": f"{mean('n_readouts'):.2e}",
                    "pulse energy (mJ)": f"{mean('energy_pulses') * 1e3:.3g}",
                    "read energy (mJ)": f"{mean('energy_reads') * 1e3:.3g}",
                    "buffer (bits)": f"{mean('buffer_bits'):,.0f}",
                    "steps": f"{mean('n_steps'):.0f}",
                    "time, one by one (s)": f"{T_EVENT * sum(map(mean, _EVENTS)):.3g}",
                }
            )
    return lines


def draw(rows: Sequence[Row]) -> "Figure | None":
    """Rules from top to bottom: accuracy, pulses and energy, a mark a chip, colour and height by cell."""
    from matplotlib.figure import Figure

    if not rows:
        return None
    rules = [name for name in RULES if any(row.params["rule"] == name for row in rows)]
    cells = [name for name in CELLS if any(row.params["cell"] == name for row in rows)]
    figure = Figure(figsize=(9, 1.5 + 0.45 * len(rules)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for row in rows:
        cell, result = cells.index(row.params["cell"]), row.result
        y = rules.index(row.params["rule"]) + 0.15 * (cell - (len(cells) - 1) / 2)
        energy = result["energy_pulses"] + result["energy_reads"]
        values = (100 * result["n_correct"] / result["n_total"], result["n_pulses"], energy * 1e3)
        for axes, value in zip(panels, values, strict=True):
            axes.plot(value, y, _MARKS[cell], color=f"C{cell}", markersize=4, alpha=0.8)
    panels[0].set(xlabel="test accuracy (%)", yticks=range(len(rules)), yticklabels=rules)
    panels[0].invert_yaxis()
    panels[1].set(xscale="log", xlabel="pulses of training")
    panels[2].set(xscale="log", xlabel="energy of pulses and reads (mJ)")
    for axes in panels:
        axes.grid(axis="x", alpha=0.3)
        for y in range(1, len(rules)):
            axes.axhline(y - 0.5, color="0.85", linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right"]].set_visible(False)
    for cell, name in enumerate(cells):
        panels[0].plot([], [], _MARKS[cell], color=f"C{cell}", label=name)
    figure.legend(loc="outside upper center", ncols=len(cells), frameon=False, title="cells")
    return figure


register(
    Experiment(
        name=NAME,
        title="Learning rules on equal terms",
        paper="no paper: nine rules of the literature on one network, chip and data set",
        summary="784-100-10 on one chip, trained by each rule on the same samples in the same loop, with a bill of "
        "pulses, reads and buffers. Each rule has the setting that was best on validation images (`rules/rates`); "
        "the test set is read once.",
        claims=(),
        assumptions=(
            Assumption(
                text="10,000 images, 3 epochs: enough to tell rules apart, not to train any of them out", source="ours"
            ),
            Assumption(
                text="energy: the bill of the chip by `yao2020_periphery` (6 pJ a SET, 4.05 pJ a RESET, 2.55 pJ an "
                "8-bit conversion, 0.2 pJ beside it for drivers, sample-and-hold and shift-and-add, heat of cells), "
                "and by `comparators` (an eighth of a conversion a decision, no drivers) for one-bit inputs; wires and "
                "digital logic are not in it",
                source="Yao et al. 2020; ISAAC; comparator: ours",
            ),
            Assumption(text="inputs are voltages: a vector takes one read interval, not one a bit", source="ours"),
            Assumption(
                text=f"compiled epochs (sign backpropagation, STELLAR): pulses as counted, the energy of reads from "
                f"{N_BILLED} samples of each epoch",
                source="ours",
            ),
            Assumption(
                text="time: 50 ns each for reads, readouts and pulses, one after another: an upper bound",
                source="Yao et al. 2020",
            ),
            Assumption(
                text="buffers: activations and errors in 8 bits (SBP: 1 and 2), and what a rule keeps a weight between "
                "steps in 32 bits",
                source="ours",
            ),
            Assumption(
                text="step sizes and thresholds: chosen on validation by rules/rates, on half as many samples and with "
                "seeds of its own, for each rule and cell",
                source="ours",
            ),
            Assumption(
                text="rules are given the mean step of a cell in the middle of its conductance window, and nothing "
                "else of its law",
                source="ours",
            ),
            Assumption(
                text="STELLAR learns the last layer over a random first one here: its source freezes a trained one. "
                "Random features bound what it can reach",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        figures=(
            FigureSpec(
                name="rules",
                title="What each rule reaches and costs",
                caption="One mark a chip. Energy by the bill of the chip; wires and digital logic are not in it.",
                draw=draw,
            ),
        ),
        tables=(TableSpec(name="rules", title="Rules and cells", caption="Mean over seeds.", rows=table),),
    )
)

"""`rules/compare`: every rule on every cell that it can write, with accuracy and the whole bill."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ohmweave.base import generator
from ohmweave.cost import ADC_ENERGY_YAO, COMPARATOR_ENERGY, RESET_ENERGY_YAO, SET_ENERGY_YAO
from ohmweave.data import load
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
from ohmweave.papers.rules.cells import CELLS
from ohmweave.papers.rules.family import RULES
from ohmweave.papers.rules.network import HIDDEN
from ohmweave.papers.rules.settings import SETTINGS
from ohmweave.papers.rules.tasks import chips

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "rules/compare"
_SAMPLES = {"smoke": 400, "full": 10_000}
_EPOCHS = {"smoke": 1, "full": 3}
_SMOKE_CELLS = ("linear", "wang2019")

_MARKS = "osD^v"

# s. A read, a cell's readout and a pulse take 50 ns each (Yao et al. 2020).
T_EVENT = 50e-9


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
    """Train one chip by one rule."""
    params = task.params
    rule = RULES[params["rule"]]
    data = load(params["data"], data_dir=context.options.data_dir)
    split = data.train.take(params["samples"])
    setting = {name: params[name] for name in rule.grid}
    setup = rule.start(params["cell"], split.images[0].numel(), setting, seed=task.seed)
    array = setup.layers[0].matrix.chip.array
    order = generator(task.seed, NAME, "order")
    before, history = array.activity.copy(), []
    for epoch in range(params["epochs"]):
        context.progress(epoch / params["epochs"], f"epoch {epoch + 1} of {params['epochs']}")
        setup.train_epoch(split, order)
        trained = array.activity - before
        history.append(setup.n_correct(data.validation))
        before = array.activity - trained  # reads of the validation images are not the rule's
    n_neurons, n_weights = HIDDEN + data.n_classes, sum(layer.weight.numel() for layer in setup.layers)
    # Forward reads sense the outputs of both layers; a transposed read senses the hidden lines once more.
    back = [HIDDEN] if setup.layers[0].backward == "array" and len(setup.layers) == 2 else []
    sensed = [HIDDEN, data.n_classes, *back]
    n_conversions = trained.n_reads * sum(sensed) / len(sensed) + trained.n_readouts
    per_conversion = COMPARATOR_ENERGY if setup.binary else ADC_ENERGY_YAO
    return {
        "n_correct": setup.n_correct(data.test),
        "n_total": len(data.test),
        "n_validation": len(data.validation),
        "validation": history,
        "n_pulses": trained.n_set + trained.n_reset,
        "n_reads": trained.n_reads,
        "n_readouts": trained.n_readouts,
        "energy_pulses": trained.n_set * SET_ENERGY_YAO + trained.n_reset * RESET_ENERGY_YAO,
        "energy_reads": n_conversions * per_conversion,
        "buffer_bits": rule.buffer_bits[0] * n_neurons * setup.batch + rule.buffer_bits[1] * n_weights,
        "n_steps": params["epochs"] * -(-len(split) // setup.batch),
    }


_EVENTS = ("n_pulses", "n_reads", "n_readouts")


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a rule and cell: accuracy and the bill of training."""
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
        summary="784-100-10 on one chip, the same samples, one pass of the same loop; each rule pays for its pulses, "
        "reads and buffers. Each rule has the setting that was best on validation images (`rules/rates`); "
        "the test set is read once.",
        claims=(),
        assumptions=(
            Assumption(
                text="10,000 images, 3 epochs: enough to tell rules apart, not to train any of them out", source="ours"
            ),
            Assumption(
                text="energy: 6 pJ a SET, 4.05 pJ a RESET, 2.55 pJ an 8-bit conversion, an eighth of it a comparator's "
                "decision; drivers, wires and digital logic are not in it",
                source="Yao et al. 2020; comparator: ours",
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
                text="controllers know the mean step of a cell in the middle of its window, and no more of its law",
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
                caption="One mark a chip. Energy of pulses and conversions; drivers and digital logic are not in it.",
                draw=draw,
            ),
        ),
        tables=(TableSpec(name="rules", title="Rules and cells", caption="Mean over seeds.", rows=table),),
    )
)

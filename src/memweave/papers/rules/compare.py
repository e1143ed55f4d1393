"""`rules/compare`: every rule on every cell that it can write, with accuracy and the whole bill."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from memweave.base import generator
from memweave.data import Split, load
from memweave.experiments import (
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
from memweave.papers.rules.network import DEVICES, HIDDEN, RULES, Setup, fits, make_chip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "rules/compare"
_SAMPLES = {"smoke": 400, "full": 10_000}
_EPOCHS = {"smoke": 1, "full": 3}
_SMOKE_DEVICES = ("linear", "wang2019")

# J a pulse. Upper bounds from the direct currents of Yao et al., Nature 577, 641 (2020): 2.0 V, 60 uA, 50 ns and
# 1.8 V, 45 uA, 50 ns; ours.
E_SET, E_RESET = 6e-12, 4e-12
# J a column read: one 8-bit conversion (Yao et al. 2020). A comparator is an eighth of it; ours.
E_CONVERSION = 2.55e-12


def tasks(options: Options) -> list[Task]:
    """One chip a rule, cell and seed."""
    devices = _SMOKE_DEVICES if options.scale == "smoke" else tuple(DEVICES)
    return [
        Task(
            experiment=NAME,
            params={
                "data": options.data,
                "scale": options.scale,
                "rule": rule,
                "device": device,
                "samples": _SAMPLES[options.scale],
                "epochs": _EPOCHS[options.scale],
            },
            seed=options.seed + i,
        )
        for device in devices
        for rule in RULES
        if fits(RULES[rule], device)
        for i in range(options.seeds)
    ]


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Train one chip by one rule."""
    params = task.params
    rule = RULES[params["rule"]]
    data = load(params["data"], data_dir=context.options.data_dir)
    split = data.train.take(params["samples"])
    n_in = split.images[0].numel()
    chip = make_chip(params["device"], params["rule"], n_in, seed=task.seed)
    setup = rule.make(chip, n_in, task.seed)
    order = generator(task.seed, NAME, "order")
    before, history = chip.array.activity.copy(), []
    for epoch in range(params["epochs"]):
        context.progress(epoch / params["epochs"], f"epoch {epoch + 1} of {params['epochs']}")
        _train(setup, _inputs(split, rule.binary), split.labels, rule.batch, order)
        trained = chip.array.activity - before
        history.append(_n_correct(setup, data.validation, rule.binary))
        before = chip.array.activity - trained  # reads of the validation images are not the rule's
    n_neurons, n_weights = HIDDEN + data.n_classes, sum(layer.weight.numel() for layer in setup.layers)
    # Forward reads sense the outputs of both layers; a transposed read senses the hidden lines once more.
    back = [HIDDEN] if setup.layers[0].backward == "array" and len(setup.layers) == 2 else []
    sensed = [HIDDEN, data.n_classes, *back]
    n_conversions = trained.n_reads * sum(sensed) / len(sensed) + trained.n_readouts
    per_conversion = E_CONVERSION / 8 if rule.binary else E_CONVERSION
    return {
        "n_correct": _n_correct(setup, data.test, rule.binary),
        "n_total": len(data.test),
        "n_validation": len(data.validation),
        "validation": history,
        "n_pulses": trained.n_set + trained.n_reset,
        "n_reads": trained.n_reads,
        "n_readouts": trained.n_readouts,
        "energy_pulses": trained.n_set * E_SET + trained.n_reset * E_RESET,
        "energy_reads": n_conversions * per_conversion,
        "buffer_bits": rule.buffer_bits[0] * n_neurons * rule.batch + rule.buffer_bits[1] * n_weights,
        "n_steps": params["epochs"] * -(-len(split) // rule.batch),
    }


def _inputs(split: Split, binary: bool) -> torch.Tensor:
    x = split.images.flatten(1)
    return (x >= 128 / 255).to(x.dtype) if binary else x


def _train(setup: Setup, x: torch.Tensor, labels: torch.Tensor, batch: int, order: torch.Generator) -> None:
    everything = torch.randperm(len(x), generator=order)
    if setup.epoch is not None:
        setup.epoch(x[everything], labels[everything])
        return
    for chosen in everything.split(batch):
        setup.optimizer.zero_grad()
        setup.loss(setup.net(x[chosen]), labels[chosen]).backward()
        setup.optimizer.step()


@torch.no_grad()
def _n_correct(setup: Setup, split: Split, binary: bool) -> int:
    return int((setup.net(_inputs(split, binary)).argmax(dim=-1) == split.labels).sum())


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a rule and cell: accuracy and the bill of training."""
    lines = []
    for device in dict.fromkeys(row.params["device"] for row in rows):
        for rule in RULES:
            where = {"device": device, "rule": rule}
            accuracy = mean_rate_of("n_correct", "n_total", where=where)(rows)
            if accuracy is None:
                continue

            def mean(key: str, where: Mapping[str, Any] = where) -> float:
                found = mean_of(key, where=where)(rows)
                assert found is not None
                return found.value

            lines.append(
                {
                    "cell": device,
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
                }
            )
    return lines


def draw(rows: Sequence[Row]) -> "Figure | None":
    """Accuracy against pulses, a colour a rule, a mark a cell."""
    from matplotlib.figure import Figure

    if not rows:
        return None
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    marks = dict(zip(DEVICES, "osD^v", strict=True))
    for row in rows:
        axes.plot(
            row.result["n_pulses"],
            row.result["n_correct"] / row.result["n_total"],
            marks[row.params["device"]],
            color=f"C{list(RULES).index(row.params['rule'])}",
            markersize=5,
        )
    for colour, rule in enumerate(RULES):
        axes.plot([], [], "s", color=f"C{colour}", label=rule)
    for device, mark in marks.items():
        axes.plot([], [], mark, color="grey", label=device)
    axes.set(xscale="log", xlabel="pulses of training", ylabel="test accuracy")
    figure.legend(loc="outside right center", frameon=False, fontsize="small")
    return figure


register(
    Experiment(
        name=NAME,
        title="Learning rules on equal terms",
        paper="no paper: nine rules of the literature on one network, chip and data set",
        summary="784-100-10 on one chip, the same samples, one pass of the same loop; each rule pays for its pulses, "
        "reads and buffers. Settings of a rule were chosen on validation images, the test set is read once.",
        claims=(),
        assumptions=(
            Assumption(
                text="10,000 images, 3 epochs: enough to tell rules apart, not to train any of them out", source="ours"
            ),
            Assumption(
                text="energy: 6 pJ a SET, 4 pJ a RESET, 2.55 pJ an 8-bit conversion, an eighth of it a comparator's "
                "decision; drivers, wires and digital logic are not in it",
                source="Yao et al. 2020; comparator: ours",
            ),
            Assumption(
                text="buffers: activations and errors in 8 bits (SBP: 1 and 2), and what a rule keeps a weight between "
                "steps in 32 bits",
                source="ours",
            ),
            Assumption(
                text="STELLAR learns the last layer over a random first one here: its source freezes a trained one",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        figures=(FigureSpec(name="rules", title="Accuracy and pulses", caption="One mark a chip.", draw=draw),),
        tables=(TableSpec(name="rules", title="Rules and cells", caption="Mean over seeds.", rows=table),),
    )
)

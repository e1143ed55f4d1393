"""`neurram2022/chip`: ResNet-20 on cores of NeuRRAM's kind, with written and relaxed cells and voltage-mode sensing."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.cells import wan2022
from ohmweave.circuit import Bias, LineEnd, Wires, settle_columns, solve_nodes
from ohmweave.experiments import JSON, Context, Experiment, Options, Row, TableSpec, Task, mean_interval, register
from ohmweave.papers.neurram2022 import grid, plan
from ohmweave.papers.neurram2022.grid_claims import CHIP_CLAIMS
from ohmweave.papers.neurram2022.network import QuantisedResNet
from ohmweave.papers.neurram2022.results import chip_accuracies
from ohmweave.papers.neurram2022.training import G_MAX, G_MIN, mapping_of, window
from ohmweave.papers.neurram2022.voltage_layers import Core, Layer, Pairs, VoltageModeLayer, set_calibrating
from ohmweave.papers.neurram2022.write import WRITE
from ohmweave.programming import WriteReport

NAME = "neurram2022/chip"
NOISE = 0.2
"""Noise in training of the network that is written."""
AGES = {"1 s": 1.0, "1 d": 86400.0, "2 d": 2 * 86400.0}
N_TEST, N_CALIBRATION = 1000, 256
CORE = Core()
R_SEGMENT = 1.0
"""Ohm of a wire segment (ours; not printed)."""


def tasks(options: Options) -> list[Task]:
    """One task a chip."""
    params = {"data": options.data, "scale": options.scale, "noise": NOISE}
    return [Task(experiment=NAME, params={**params, "chip": chip}, seed=options.seed) for chip in range(options.seeds)]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Write a chip, wait, and count."""
    training, _, test = grid.images(task, context)
    net = grid.network_of(task, context, training)
    calibration, test = training.images[:N_CALIBRATION], test.take(min(N_TEST, len(test)))
    x_max = _input_ranges(net, calibration)
    targets = _targets(net)
    array, report = _written(targets, seed=1000 * task.seed + int(str(task.params["chip"])))
    correct: dict[str, JSON] = {"ideal": _count(_on_cores(net, targets, x_max, calibration), test)}
    passed = 0.0
    for age, seconds in AGES.items():
        array.wait(seconds - passed)
        passed = seconds
        correct[age] = _count(_on_cores(net, _read_back(array, targets), x_max, calibration), test)
        context.progress(1.0, f"{age}: {correct[age]} of {len(test)}")
    first = targets["layer1.0.conv2"]
    # Rows in pairs, +v and -v, as the cells of a weight are.
    column = torch.stack([first.g_pos.flatten(1), first.g_neg.flatten(1)], dim=-1).flatten(1).mT.double()
    drive = torch.linspace(0, 1, column.shape[0] // 2, dtype=torch.float64).repeat_interleave(2) * CORE.v_read
    drive[1::2] *= -1
    return {
        "correct": correct,
        "wires_error": wires_error(column, drive, R_SEGMENT),
        "n_test": len(test),
        "n_converged": int(report.converged.sum()),
        "pulses": float(report.n_pulses.double().mean()),
        "n_cells": sum(2 * pairs.g_pos.numel() for pairs in targets.values()),
    }


def layers_of(net: torch.nn.Module) -> dict[str, Layer]:
    """Convolutions and linear layers by name."""
    return {name: one for name, one in net.named_modules() if isinstance(one, torch.nn.Conv2d | torch.nn.Linear)}


def _targets(net: QuantisedResNet) -> dict[str, Pairs]:
    """Differential pairs between 1 and 40 uS, with the scale of the training."""
    mapping, array, found = mapping_of(NOISE), window().array, {}
    for name, layer in layers_of(net).items():
        w = layer.weight.detach()
        g_per_w = mapping.g_per_w(w.flatten(1), array)
        w_max = (G_MAX - G_MIN) / g_per_w
        scaled = w.clamp(-w_max, w_max) * g_per_w
        found[name] = Pairs(G_MIN + scaled.clamp_min(0), G_MIN + (-scaled).clamp_min(0), g_per_w)
    return found


def _written(targets: Mapping[str, Pairs], seed: int) -> tuple[SimulatedArray, WriteReport]:
    """An array that holds all cells in one row, written as the authors write."""
    g = torch.cat([part.flatten() for pairs in targets.values() for part in (pairs.g_pos, pairs.g_neg)])
    array = SimulatedArray(wan2022(), rows=1, cols=g.numel(), seed=seed)
    return array, WRITE(array, torch.arange(g.numel()), g)


def _read_back(array: SimulatedArray, targets: Mapping[str, Pairs]) -> dict[str, Pairs]:
    g = array.readout(torch.arange(array.cols))
    found, at = {}, 0
    for name, pairs in targets.items():
        n = pairs.g_pos.numel()
        parts = [g[at + k * n : at + (k + 1) * n].view(pairs.g_pos.shape) for k in range(2)]
        found[name] = Pairs(parts[0], parts[1], pairs.g_per_w)
        at += 2 * n
    return found


def _input_ranges(net: QuantisedResNet, images: torch.Tensor) -> dict[str, float]:
    """The largest magnitude of each layer's inputs on calibration images."""
    largest: dict[str, float] = {}
    handles = []
    for name, layer in layers_of(net).items():

        def note(_: torch.nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
            largest[name] = float(inputs[0].abs().max()) or 1.0

        handles.append(layer.register_forward_pre_hook(note))
    with torch.no_grad():
        net(images)
    for handle in handles:
        handle.remove()
    return largest


def _on_cores(
    net: QuantisedResNet, pairs: Mapping[str, Pairs], x_max: Mapping[str, float], images: torch.Tensor
) -> QuantisedResNet:
    """A copy of the network whose layers are on cores; the ranges of the converters are those of `images`."""
    twin = copy.deepcopy(net)
    cores = []
    for name, layer in layers_of(twin).items():
        core = VoltageModeLayer(layer, pairs[name], CORE, x_max[name])
        cores.append(core)
        parent, _, own = name.rpartition(".")
        setattr(twin.get_submodule(parent), own, core)
    set_calibrating(cores, True)
    with torch.no_grad():
        twin(images)
    set_calibrating(cores, False)
    return twin


def _count(net: QuantisedResNet, split: Any) -> int:
    return grid.count_correct(net, {}, split)


def wires_error(g: torch.Tensor, v: torch.Tensor, r_segment: float) -> float:
    """Error of open columns by wires: root of the mean square over that of the voltages on ideal wires.

    Args:
        g: `(rows, cols)` S.
        v: `(rows,)` V.
        r_segment: Ohm, > 0, of a segment of either wire.
    """
    wires = Wires(r_row=r_segment, r_col=r_segment)
    ideal = settle_columns(g, v[None]).v_col[0]
    # Columns are sensed at their lower end; nothing is connected there.
    found = solve_nodes(g, Bias(left=LineEnd(v=v)), wires).v_col_wire[-1]
    return float((found - ideal).square().mean().sqrt() / ideal.square().mean().sqrt())


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines = []
    for stage in ("ideal", *AGES):
        found = mean_interval(chip_accuracies(rows, stage))
        assert found is not None
        interval = "" if found.low is None else f"{found.low:.1%} to {found.high:.1%}"
        name = "converters alone" if stage == "ideal" else f"written, {stage} later"
        lines.append({"stage": name, "accuracy": f"{found.value:.2%}", "95 % interval": interval, "chips": found.n})
    return lines


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="ResNet-20 on cores with voltage-mode sensing",
        paper=plan.PAPER,
        summary="The network that was trained with 20 % noise is written to cells of 1 to 40 uS with incremental "
        "pulses, relaxes, and is read by open columns whose voltages are rounded to 8 bits with sign. Nothing is tuned "
        "on the chip.",
        claims=CHIP_CLAIMS,
        assumptions=plan.CHIP_ASSUMPTIONS,
        tasks=tasks,
        run=run,
        data="cifar10",
        seeds=3,
        tables=(TableSpec(name="chip", title="Accuracy", caption="All chips.", rows=_table),),
    )
)

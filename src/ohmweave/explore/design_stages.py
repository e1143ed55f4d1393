"""The three stages of a point as tasks: a network is trained, written to chips or taught there, and read.

A task of a stage has the values of that stage and of those before as its params, so that equal work is one task. What a
stage leaves for the next is a file in the results folder, named after its task.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ohmweave.arrays import RangedConverters, Usage, Wear
from ohmweave.base import OutOfRangeError, generator
from ohmweave.base.files import atomic_write
from ohmweave.cost import EnergyBasis, chip_costs, ledger, schedule_of, stages_of_bill
from ohmweave.data import Dataset
from ohmweave.experiments import JSON, Context, Task
from ohmweave.explore.declared import Study
from ohmweave.explore.design_learning import learn, mapping_of, matrices_of
from ohmweave.explore.keys import AWARE, Stage, keys
from ohmweave.explore.parts import Design
from ohmweave.explore.study_networks import images, network_of, train
from ohmweave.explore.training import n_correct
from ohmweave.mapping import Chip, DifferentialPair, WeightMapping, reset_unused
from ohmweave.nn import Deployed, NoiseAware, calibrate_converters, deploy
from ohmweave.nn.weight import ArrayWeight

NAME = "explore/study"
_BILLED = 20  # images whose reads are counted for the bill: a meter takes time
_CALIBRATION = 200  # training images that converters find their ranges on


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all tasks of a study share: sizes, files and where data are."""

    chips: int
    n_train: int | None
    n_validation: int | None
    n_test: int | None
    files: Mapping[str, Path]
    data_dir: Path | None

    @classmethod
    def of(cls, study: Study, data_dir: Path | None) -> "Work":
        """The work of a study."""
        return cls(
            chips=study.chips,
            n_train=study.n_train,
            n_validation=study.n_validation,
            n_test=study.n_test,
            files=study.files,
            data_dir=data_dir,
        )

    def dataset(self, design: Design) -> Dataset:
        """The data set of a point."""
        return images(
            design["data"],
            design["network"],
            data_dir=self.data_dir,
            limits=(self.n_train, self.n_validation, self.n_test),
        )


def task_of(stage: Stage, point: Mapping[str, Any], work: Work, seed: int) -> Task:
    """The task of a stage of a point.

    A training in software does not depend on the cell or the arrays, except that errors of the weights are those of
    the mapping.
    """
    table = keys()
    named = {name for name in point if table[name].stage <= stage}
    if stage is Stage.TRAIN and point["training"] == AWARE:
        named |= {"cell", "levels", "copies", "lines"}
    params: dict[str, JSON] = {name: point[name] for name in sorted(named)}
    sizes: dict[str, JSON] = {"n_train": work.n_train}
    if stage >= Stage.WRITE:
        sizes |= {"seeds": work.chips}
    if stage is Stage.READ:
        sizes |= {"n_validation": work.n_validation, "n_test": work.n_test}
    return Task(experiment=NAME, params={"stage": stage.name.lower(), **sizes, **params}, seed=seed)


def runner(work: Work) -> "partial[Mapping[str, JSON]]":
    """The function that does a task of `work`; a worker of Dask can be sent it."""
    return partial(_run, work)


def _run(work: Work, task: Task, context: Context) -> Mapping[str, JSON]:
    # Values of later stages are not in the params, and are not used.
    values = {name: task.params.get(name) for name in keys()}
    job = _Job(design=Design(values=values, files=work.files), work=work, task=task, context=context)
    return {"train": job.train, "write": job.write, "read": job.read}[task.params["stage"]]()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A task in the making."""

    design: Design
    work: Work
    task: Task
    context: Context

    def _file(self, stage: Stage) -> Path:
        """The file that the task of `stage` of this point leaves."""
        task = task_of(stage, self.design.values, self.work, self.task.seed)
        return self.context.artifact(f"explore-{stage.name.lower()}-{task.id}.safetensors")

    def _model(self, data: Dataset) -> torch.nn.Module:
        """The network with random weights."""
        return network_of(self.design["network"], self.design.network_file, data, seed=self.task.seed)

    def train(self) -> Mapping[str, JSON]:
        """Train in software. A network that learns on the chip stays at its random weights."""
        design, data = self.design, self.work.dataset(self.design)
        model = self._model(data)
        if design.in_situ:
            return {"n_correct_validation": None, "n_correct": None}
        wrapped: torch.nn.Module = model
        if design["training"] == AWARE:
            cell = design.cell
            wrapped = NoiseAware(
                model,
                Chip(cell, rows=1, cols=2),
                generator=generator(self.task.seed, "explore", "errors"),
                mapping=design.mapping,
                sigma=design["noise"] * (cell.g_max - cell.g_min),
            )
        train(wrapped, data, epochs=design["epochs"], seed=self.task.seed, progress=self.context.progress)
        model.eval()
        with atomic_write(self._file(Stage.TRAIN)) as part:
            save_file({name: leaf.contiguous() for name, leaf in model.state_dict().items()}, part)
        return {
            "n_correct_validation": n_correct(model, data.validation)[0],
            "n_validation": len(data.validation),
            "n_correct": n_correct(model, data.test)[0],
            "n_test": len(data.test),
        }

    def _trained(self, data: Dataset) -> torch.nn.Module:
        """The trained network. A file that is gone, as from a folder that was copied without it, is made again."""
        model = self._model(data)
        if not self.design.in_situ:
            path = self._file(Stage.TRAIN)
            if not path.is_file():
                self.train()
            model.load_state_dict(load_file(path))
        return model

    def _mapping(self, model: torch.nn.Module) -> WeightMapping:
        return mapping_of(self.design, model) if self.design.in_situ else self.design.mapping

    def write(self) -> Mapping[str, JSON]:
        """Write the network to chips, or let it learn on them, and keep the state of the chips."""
        design, data = self.design, self.work.dataset(self.design)
        model = self._trained(data)
        mapping = self._mapping(model)
        matrices = matrices_of(design["rule"]) if design.in_situ else 1
        n_arrays = design.n_arrays(model, mapping, matrices=matrices)
        chip = design.chip(n_arrays, n_chips=self.work.chips, seed=self.task.seed)
        wear = Wear(self.work.chips * chip.n_cells, device=chip.device)
        with warnings.catch_warnings(), chip.array.books.attached(wear):
            warnings.filterwarnings("ignore", message=".*did not converge", category=UserWarning)
            warnings.filterwarnings("ignore", message=".*has sent no pulse", category=UserWarning)
            n_reset = reset_unused(chip) if design["unused"] == "reset" else 0
            net = deploy(model, chip, mapping=mapping, write=design.write)
            if design.in_situ:
                learn(net, design, data, seed=self.task.seed, progress=self.context.progress)
        self._keep(net)
        most = int(wear.n_pulses.max())
        return {"n_arrays": n_arrays, "n_reset_unused": n_reset, "most_pulses": most, **_written(net, self.work.chips)}

    def _keep(self, net: Deployed) -> None:
        state = {f"chip.{name}": leaf for name, leaf in net.chip.state_dict().items()}
        state |= {f"digital.{name}": leaf for name, leaf in _digital(net).items()}
        with atomic_write(self._file(Stage.WRITE)) as part:
            save_file({name: leaf.detach().cpu().contiguous().clone() for name, leaf in state.items()}, part)

    def read(self) -> Mapping[str, JSON]:
        """Read the written chips through the converters of the point, after its time."""
        design, data = self.design, self.work.dataset(self.design)
        net = self._rewritten(data)
        if design["adc_range"] == "data":
            # Inputs are scaled sample by sample, so that the ranges of the converters alone are to be found.
            calibrate_converters(net, data.train.images[:_CALIBRATION])
        if design["age"]:
            net.chip.wait(design["age"])
        few = data.validation.images[:_BILLED]
        prices = design.prices(net.chip)
        with torch.no_grad(), ledger(net, costs=prices) as bill:
            net(few)
        stages = stages_of_bill(bill, net.chip, len(few), costs=prices)
        energy = bill.total("energy", phase="inference") / (len(few) * self.work.chips)
        schedule = schedule_of(stages, n_images=8)
        self.context.progress(0.2, "reading")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            counts = {
                "n_correct_validation": n_correct(net, data.validation),
                "n_validation": len(data.validation),
                "n_correct": n_correct(net, data.test),
                "n_test": len(data.test),
            }
        return counts | {
            "energy": energy,
            "latency": schedule.latency,
            "throughput": schedule.throughput,
            "area": bill.total("area"),
            "n_arrays": net.chip.array.n_arrays,
            "warnings": _of_converters(caught),
        }

    def _rewritten(self, data: Dataset) -> Deployed:
        """The written network on chips with the converters of the point; no cell is written again."""
        design, path = self.design, self._file(Stage.WRITE)
        if not path.is_file():
            self.write()
        state, model = load_file(path), self._trained(data)
        signed = _negative_inputs(model, data.train.images[:_CALIBRATION])
        mapping = self._mapping(model)
        matrices = matrices_of(design["rule"]) if design.in_situ else 1
        n_arrays = design.n_arrays(model, mapping, matrices=matrices)
        chip = design.chip(n_arrays, n_chips=self.work.chips, seed=self.task.seed, converters=True, signed=signed)
        # The scale is that of the written chip, which is loaded below.
        placed = mapping if isinstance(mapping, DifferentialPair) else DifferentialPair(lines=design.lines)
        unit = DifferentialPair(g_unit=1e-6, lines=placed.lines, copies=placed.copies)
        net = deploy(model, chip, mapping=unit, write=None)
        of_chip = {name.removeprefix("chip."): leaf for name, leaf in state.items() if name.startswith("chip.")}
        if isinstance(chip.array, RangedConverters) and design["adc_bits"] is not None:
            of_chip |= {name: leaf for name, leaf in chip.state_dict().items() if name.startswith("converters.")}
        chip.load_state_dict({name: leaf for name, leaf in of_chip.items() if _is_placed(name, chip)})
        digital = _digital(net)
        with torch.no_grad():
            for name, leaf in digital.items():
                leaf.copy_(state[f"digital.{name}"])
        return net.eval()


def _of_converters(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """What converters say of currents and inputs beyond their range. Torch's own warnings come once a process."""
    return sorted({str(one.message) for one in caught if "beyond the full scale" in str(one.message)})


def _is_placed(name: str, chip: Chip) -> bool:
    """False for the scale of a matrix that a rule has placed beside those of the network."""
    return not name.startswith("scale.") or name.removeprefix("scale.") in chip.placed


def _digital(net: Deployed) -> dict[str, torch.Tensor]:
    """Parameters and buffers that are not on the chip, by name."""
    found = {name: one for name, one in net.model.named_parameters() if not isinstance(one, ArrayWeight)}
    return found | dict(net.model.named_buffers())


def _written(net: Deployed, n_chips: int) -> dict[str, JSON]:
    """What a write, or learning on the chip, took: of one chip, as the mean over the chips.

    The energy is that of the pulses alone: verify reads are made by converters that the point may not have.
    """
    chip, activity = net.chip, net.chip.array.books.activity
    costs, reports = chip_costs(chip), list(net.reports.values())
    used = Usage(n_set=activity.n_set, n_reset=activity.n_reset, n_readouts=activity.n_readouts)
    pulses = [part for part in costs.components if part.energy_basis in (EnergyBasis.SET, EnergyBasis.RESET)]
    return {
        "n_pulses": (activity.n_set + activity.n_reset) / n_chips,
        "n_readouts": activity.n_readouts / n_chips,
        "n_cells": sum(report.converged.numel() for report in reports) // n_chips,
        "n_failed": sum(report.n_failed for report in reports) / n_chips,
        "programming_energy": sum(costs.energy(part, used) for part in pulses) / n_chips,
        "programming_time": costs.time(used) / n_chips,
    }


@torch.no_grad()
def _negative_inputs(model: torch.nn.Module, x: torch.Tensor) -> bool:
    """True if an input of a layer with a matrix is negative for one of the images."""
    found: list[bool] = []
    handles = [
        module.register_forward_pre_hook(lambda module, args: found.append(bool((args[0] < 0).any())))
        for module in model.modules()
        if any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
    ]
    try:
        model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise OutOfRangeError("`space.network` must have layers with weights, but has none")
    return any(found)

"""The ways of bringing a network onto the cells, each from a setting to networks on chips."""

import hashlib
from collections.abc import Callable, Mapping

import torch

from ohmweave.arrays import Activity
from ohmweave.base import generator
from ohmweave.cost import Bill, ledger
from ohmweave.evaluation.bench import Bench, Made
from ohmweave.evaluation.in_situ_rules import RULES, Setting
from ohmweave.evaluation.learning import learn
from ohmweave.evaluation.networks import fresh, kept, n_correct, parameters_rms, train
from ohmweave.experiments import canonical
from ohmweave.mapping import CentredPair, Chip, DifferentialPair, QuantileClip
from ohmweave.nn import Deployed, NoiseAware, OnChip, deploy
from ohmweave.optim import AdaptiveWriteVerify
from ohmweave.programming import WriteReport, WriteVerify

SOFTWARE, TRANSFER, AWARE, TUNED, IN_SITU = "software", "write-verify", "noise-aware", "tuned in situ", "learnt in situ"
WAYS = (TRANSFER, AWARE, TUNED, IN_SITU)
_INNER = 0.1  # of the window, left out at either end with `window` 0.8


def make(way: str, bench: Bench, setting: Setting) -> Made:
    """The network on chips by one of `WAYS`, with the setting that the search gives it."""
    return _MAKERS[way](bench, setting)


def pair_of(bench: Bench, setting: Setting) -> DifferentialPair:
    """The mapping of a written network: window, copies and clip of the setting."""
    margin = (1 - setting["window"]) / 2 * bench.window
    return DifferentialPair(
        g_low=bench.cell.g_min + margin,
        g_high=bench.cell.g_max - margin,
        copies=(1, setting["copies"]),
        clip=QuantileClip(setting["clip"]),
    )


def _write(bench: Bench, setting: Setting) -> WriteVerify:
    return WriteVerify(tolerance=bench.tolerance(setting["tolerance"]), max_pulses=bench.max_pulses())


def _written(bench: Bench, model: torch.nn.Module, setting: Setting) -> tuple[Deployed, Chip]:
    mapping = pair_of(bench, setting)
    names = {name: OnChip(mapping=mapping) for name in parameters_rms(model)}
    chip = bench.chip(model, names)
    return deploy(model, chip, mapping=mapping, write=_write(bench, setting)), chip


def _transfer(bench: Bench, setting: Setting) -> Made:
    """The software network, written with verify."""
    net, chip = _written(bench, bench.software, setting)
    return _made(bench, net, chip.array.books.activity.copy())


def _aware_model(bench: Bench, setting: Setting) -> torch.nn.Module:
    """A network trained in software with errors of its weights as those of the cells after a write."""
    model = fresh(bench.network, bench.data, seed=bench.first)
    decisive = {name: setting[name] for name in ("window", "copies", "clip", "sigma")}
    cell = {"g_min": bench.cell.g_min, "g_max": bench.cell.g_max}
    training = {"network": bench.network.name, "n": len(bench.data.train), "epochs": bench.epochs, "seed": bench.first}
    text = canonical({**decisive, **cell, **training, "data": bench.data.name}, "network")
    path = bench.artifact(f"aware-{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors")
    return kept(model, path, lambda model: _train_aware(model, bench, setting))


def _train_aware(model: torch.nn.Module, bench: Bench, setting: Setting) -> None:
    mapping, chip = pair_of(bench, setting), Chip(bench.cell, rows=1, cols=2)
    errors = generator(bench.first, "evaluation", "errors")
    aware = NoiseAware(model, chip, generator=errors, mapping=mapping, sigma=setting["sigma"] * bench.window)
    train(aware, bench.data, epochs=bench.epochs, seed=bench.first, progress=bench.progress)


def _noise_aware(bench: Bench, setting: Setting) -> Made:
    net, chip = _written(bench, _aware_model(bench, setting), setting)
    return _made(bench, net, chip.array.books.activity.copy())


def _tuned(bench: Bench, setting: Setting) -> Made:
    """A written network, tuned on the chip with large steps alone, written with verify; `threshold` None: not tuned."""
    model = bench.software if setting["sigma"] is None else _aware_model(bench, setting)
    net, chip = _written(bench, model, setting)
    if setting["threshold"] is not None:
        tolerance = bench.tolerance(setting["tolerance"])
        threshold = setting["threshold"] * tolerance
        rule = AdaptiveWriteVerify(net.chip_parameters(), threshold=threshold, write=bench.change(threshold, tolerance))
        learn(bench, net, rule, epochs=setting["epochs"])
    return _made(bench, net, chip.array.books.activity.copy())


def _in_situ(bench: Bench, setting: Setting) -> Made:
    """Random weights, written with verify, that learn on the chip by a rule."""
    rule, model = RULES[setting["rule"]], fresh(bench.network, bench.data, seed=bench.first)
    layers = {
        name: OnChip(mapping=CentredPair(w_max=setting["w_max"] * rms)) for name, rms in parameters_rms(model).items()
    }
    chip = bench.chip(model, layers, matrices=rule.matrices)
    write = WriteVerify(tolerance=bench.tolerance(1.0), max_pulses=bench.max_pulses())
    net = deploy(model, chip, write=write, layers=layers)
    optimizer = rule.make(list(net.chip_parameters()), bench, setting)
    before = [weight.detach().clone() for weight in net.chip_parameters()]
    learn(bench, net, optimizer, epochs=setting["epochs"])
    made = _made(bench, net, chip.array.books.activity.copy())
    after = list(net.chip_parameters())
    moved = max(
        float((new.detach() - old).square().mean().sqrt()) * new.matrix.g_per_w / bench.window
        for new, old in zip(after, before, strict=True)
    )
    return Made(net=net, facts={**made.facts, "moved": moved}, spent=made.spent)


def _made(bench: Bench, net: Deployed, spent: Activity) -> Made:
    """The network after the wait, with what its writes say."""
    if bench.wait and bench.cell.processes:
        net.chip.wait(bench.wait)
    reports = list(net.reports.values())
    n_cells = sum(report.converged.numel() for report in reports)
    n_failed = sum(report.n_failed for report in reports)
    facts = {
        "n_cells": n_cells // bench.n_chips,
        "n_written": n_cells,
        "n_failed": n_failed,
        "error": _rms_error(reports) / bench.window,
    }
    return Made(net=net, facts=facts, spent=spent)


def _rms_error(reports: list[WriteReport]) -> float:
    """S, root mean square of the last verify errors."""
    errors = torch.cat([report.error.flatten() for report in reports])
    return float(errors.double().square().nanmean().sqrt())


_MAKERS: Mapping[str, Callable[[Bench, Setting], Made]] = {
    TRANSFER: _transfer,
    AWARE: _noise_aware,
    TUNED: _tuned,
    IN_SITU: _in_situ,
}


def inference_energy(made: Made, bench: Bench) -> float | None:
    """J of one test image on the chip as it is: heat of the cells and charging of the row lines, by counted reads.

    The chip has no converters, and none are priced. None if the cells' heat is not known.
    """
    n_images = len(bench.data.test) * bench.n_chips
    with ledger(made.net, phase="readout") as bill:
        for weight in made.net.chip_parameters():
            weight.refresh()
        with bill.phase("inference"):
            n_correct(made.net, bench.data.test)
    return _finite(bill, n_images)


def _finite(bill: Bill, n_images: int) -> float | None:
    energy = bill.total(phase="inference") / n_images
    return energy if energy == energy else None

"""What rows keep of a bill, and what their table says; the energy of learning by rule."""

import math
from statistics import stdev
from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OhmweaveError
from ohmweave.cells import LinearStep
from ohmweave.cost import GOPS_PER_W_V100, ledger, yao2020_periphery
from ohmweave.experiments import Context, Options, Row, judge
from ohmweave.mapping import CentredPair
from ohmweave.nn import ErrorLoss, Linear, OnChip, ThresholdError
from ohmweave.optim import Stellar
from ohmweave.papers import training_energy
from ohmweave.papers.energy import (
    BIT_SERIAL,
    ENERGY_TABLE,
    SampledBill,
    billed,
    driven_by,
    energy_table,
    gpu_energy,
    training_macs,
)
from tests.helpers import assert_close
from tests.helpers.experiments import row


def test_multiplications_of_learning_by_hand() -> None:
    layers = (100, 20, 3)
    assert training_macs(layers) == 123 + 123 + 23  # forward, gradients, errors through the last two
    assert training_macs(layers, n_frozen=1) == 123 + 23 + 3
    assert training_macs(layers, n_frozen=2) == 123 + 3
    assert_close(gpu_energy(50e9), 1.0, rtol=1e-12)  # 100 GOPS/W, two operations a multiplication
    assert GOPS_PER_W_V100 == 100e9


def layer_on(chip: ow.Chip) -> Linear:
    layer = Linear(4, 2, bias=False, chip=chip, name="last", on_chip=OnChip(mapping=CentredPair(w_max=1.0)))
    layer.program(torch.tensor([[0.4, -0.2, 0.1, 0.3], [-0.3, 0.2, 0.6, -0.1]]), ow.WriteVerify(tolerance=0.2e-6))
    return layer


def learner(n_chips: int | None = None) -> tuple[ow.Chip, Linear, Stellar]:
    cell = LinearStep(g_min=2e-6, g_max=20e-6, levels=100)
    chip = ow.Chip(cell, rows=4, cols=4, n_chips=n_chips, seed=3)
    layer = layer_on(chip)
    return chip, layer, Stellar([layer.weight], gate=0.1)


def learn(layer: Linear, rule: Stellar, x: torch.Tensor, labels: torch.Tensor) -> None:
    loss = ErrorLoss(ThresholdError(0.1, 1.0))
    for one, label in zip(x.split(1), labels.split(1), strict=True):
        rule.zero_grad()
        loss(layer(one), label).backward()
        rule.step()


X, LABELS = torch.tensor([[1.0, 0.5, 0.0, 0.2], [0.1, 0.9, 1.0, 0.4], [0.3, 0.3, 0.8, 0.0]]), torch.tensor([0, 1, 0])


def test_what_samples_do_is_billed_and_undone() -> None:
    chip, layer, rule = learner()
    learn(layer, rule, X, LABELS)
    state = {name: leaf.clone() for name, leaf in chip.state_dict().items()}
    bill = SampledBill(chip, rule, yao2020_periphery())
    with bill.samples("training", 3):
        learn(layer, rule, X, LABELS)
    assert rule.n_steps == 3
    assert all(torch.equal(leaf, chip.state_dict()[name]) for name, leaf in state.items())
    assert not chip.array.books.metered
    with ledger(chip, phase="training") as direct:
        learn(layer, rule, X, LABELS)
    assert bill.bill.usage == direct.usage
    assert direct.usage["training", "last"].n_set > 0


def test_pulses_are_those_of_the_whole_training_and_all_is_an_image() -> None:
    chip, layer, rule = learner()
    bill = SampledBill(chip, rule, yao2020_periphery())
    with bill.samples("training", 2):
        learn(layer, rule, X[:2], LABELS[:2])
    with bill.samples("inference", 3), torch.no_grad():
        layer(X)
    reads = bill.bill.total(phase="training") - sum(
        bill.bill.total(phase="training", component=name) for name in ("SET pulses", "RESET pulses")
    )
    trained = ow.arrays.Activity(n_set=400, n_reset=300)  # of 50 samples: 8 and 6 a sample
    kept = bill.billed([8], trained, 50)
    pulses = 8 * 2.0 * 60e-6 * 50e-9 + 6 * 1.8 * 45e-6 * 50e-9
    assert_close(kept["energy"]["training"]["energy"], reads / 2 + pulses, rtol=1e-9)
    assert kept["energy"]["training"]["n_images"] == 2
    assert kept["energy"]["inference"]["n_images"] == 3
    assert_close(kept["energy"]["training"]["gpu_energy"], 2 * 16 / 100e9, rtol=1e-12)  # forward and gradient
    assert_close(kept["energy"]["inference"]["gpu_energy"], 2 * 8 / 100e9, rtol=1e-12)


def test_chips_side_by_side_cost_an_image_what_one_does() -> None:
    found = []
    for n_chips in (None, 4):
        chip, layer, rule = learner(n_chips)
        bill = SampledBill(chip, rule, yao2020_periphery())
        with bill.samples("training", 2), torch.no_grad():
            layer(torch.cat([X[:2]] * (n_chips or 1)))
        found.append(bill.billed([8], ow.arrays.Activity(n_set=10 * (n_chips or 1)), 5))
    one, four = found
    assert_close(four["energy"]["training"]["energy"], one["energy"]["training"]["energy"], rtol=1e-3)
    assert {record["chips"] for record in four["bill"]} == {4}
    assert {record["images"] for record in four["bill"] if record["phase"] == "training"} == {8}


def test_assumed_drivers_are_counted_and_leave_no_trace() -> None:
    chip, layer, _ = learner(2)
    x = torch.tensor([[[1.0, 3 / 255, 0.0, 5 / 255]]]).expand(2, 1, 4)
    state = {name: leaf.clone() for name, leaf in chip.state_dict().items()}
    array, version = chip.array, chip.array.books.version
    with torch.no_grad():
        plain = layer(x)
        state["books.counts"] = chip.state_dict()["books.counts"]
        with driven_by(chip, BIT_SERIAL), ledger(chip) as bill:
            assert_close(layer(x), plain, rtol=1e-5, scale=float(plain.abs().max()))
            chip.array.pulse(torch.tensor([0]), ow.cells.Pulse(torch.tensor([1])))
    usage = bill.usage["inference", "last"]
    assert (usage.n_vectors, usage.n_reads, usage.n_active) == (2, 16, 2 * (8 + 2 + 2))  # ones of 255, 3 and 5
    g = chip.array.readout(layer.matrix.cells).double().sum(-1)
    heat = 0.2**2 * float((g @ torch.tensor([8.0, 2.0, 0.0, 2.0], dtype=torch.float64)).sum())
    assert_close(usage.v2g, heat, rtol=1e-6)
    assert chip.array is array
    assert chip.array.books.version > version
    after = chip.state_dict()
    assert all(torch.equal(leaf, after[name]) for name, leaf in state.items() if name.startswith(("cells", "random")))


def test_drivers_are_assumed_for_bare_simulated_arrays_alone() -> None:
    law = LinearStep(g_min=2e-6, g_max=20e-6)
    parts: list[dict[str, Any]] = [
        {"adc": ow.arrays.ADC(bits=4)},
        {"wires": ow.arrays.Wires(r_row=1.0, r_col=1.0)},
        {"access": ow.arrays.Transistors()},
    ]
    for part in parts:
        chip = ow.Chip(law, rows=4, cols=4, **part)
        array = chip.array
        with pytest.raises(OhmweaveError, match="without an ADC and access devices"), driven_by(chip, BIT_SERIAL):
            pass
        assert chip.array is array


def test_assumed_drivers_keep_the_dtype_and_device_of_the_array() -> None:
    chip = ow.Chip(LinearStep(g_min=2e-6, g_max=20e-6), rows=4, cols=4, dtype=torch.float64)
    with driven_by(chip, BIT_SERIAL):
        assert (chip.array.dtype, chip.array.device) == (torch.float64, torch.device("cpu"))
        assert chip.array.readout(torch.tensor([0])).dtype == torch.float64


def test_samples_behind_assumed_drivers() -> None:
    chip, layer, rule = learner()
    bill = SampledBill(chip, rule, yao2020_periphery(), drivers=BIT_SERIAL)
    with bill.samples("inference", 3), torch.no_grad():
        layer(X)
    assert bill.bill.usage["inference", "last"].n_reads == 3 * 8
    assert chip.array.books.n_intervals == 1


def test_records_say_images_and_chips() -> None:
    chip, layer, _ = learner()
    with ledger(chip, phase="training") as bill, torch.no_grad():
        layer(X)
        with bill.phase("transfer"):
            layer.weight.refresh()
    kept = billed(bill, {"training": 3}, n_macs={"training": 16.0})
    assert {(record["phase"], record["images"], record["chips"]) for record in kept["bill"]} == {
        ("training", 3, 1),
        ("transfer", None, 1),
        ("(standing)", None, 1),
    }
    assert_close(kept["energy"]["training"]["energy"], bill.total(phase="training") / 3, rtol=1e-12)


def spent(nj: float, n: int = 10) -> dict[str, Any]:
    return {"energy": {"training": {"n_images": n, "energy": nj * 1e-9, "gpu_energy": 60e-9}}}


def test_the_table_is_a_mean_over_seeds_for_each_network() -> None:
    values = (1.0, 2.0, 6.0)
    rows = [row(spent(nj), seed=seed, hidden=100) for seed, nj in enumerate(values)] + [row(spent(8.0), hidden=300)]
    first, second = ENERGY_TABLE.rows(rows)
    assert (first["hidden"], first["phase"], first["rows"], first["images"]) == (100, "training", 3, 30)
    assert (first["an image, nJ"], first["V100, nJ"], first["V100 over chip"]) == (3, 60, 20)
    half = 4.302652729911275 * stdev(values) / math.sqrt(3)
    assert first["95 % interval"] == f"± {100 * half / 3:.1f} %"
    assert (second["hidden"], second["rows"], second["an image, nJ"]) == (300, 1, 8)
    assert "95 % interval" not in second
    (alone,) = ENERGY_TABLE.rows([rows[0], row({"other": 1}, seed=7, hidden=100)])
    assert list(alone) == ["phase", "rows", "images", "an image, nJ", "V100, nJ", "V100 over chip"]
    assert energy_table("Of ten samples.").caption == f"{ENERGY_TABLE.caption} Of ten samples."


@pytest.fixture(scope="module")
def by_rule() -> list[Row]:
    options = Options()
    return [
        row(training_energy.run(task, Context(options=options)), **task.params)
        for task in training_energy.tasks(options)
    ]


def test_the_energy_of_learning_by_rule(by_rule: list[Row]) -> None:
    experiment = training_energy.EXPERIMENT
    counts, energy = experiment.tables
    assert [line["rule"] for line in counts.rows(by_rule)] == list(training_energy.RULES)
    lines = energy.rows(by_rule)
    assert [(line["rule"], line["phase"]) for line in lines] == [
        (rule, phase) for rule in training_energy.RULES for phase in ("training", "inference")
    ]
    n_hidden, n_out = 64 * 32, 32 * 10
    whole, last = 2 * (n_hidden + n_out) + n_out, n_hidden + 2 * n_out
    for one, macs in zip(by_rule, (whole, last, whole, last), strict=True):
        energy_of = one.result["energy"]
        assert_close(energy_of["training"]["gpu_energy"], 2 * macs / 100e9, rtol=1e-12)
        ratio = energy_of["training"]["energy"] / energy_of["inference"]["energy"]
        assert_close(one.result["over_inference"], ratio, rtol=1e-12)
        priced = [n for n in one.result["bill"] if n["component"].endswith("pulses") and n["phase"] == "training"]
        assert_close(one.result["pulses"], sum(record["energy"] for record in priced) / 100, rtol=1e-12)
    assert judge(experiment.claims[0], by_rule).verdict == "met"
    assert experiment.figures[0].draw(by_rule) is not None

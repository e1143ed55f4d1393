"""The same code on a GPU: cells, reads, rules, checkpoints and bills of chips on "cuda", beside the CPU's numbers.

Skipped where torch has no CUDA device. Random numbers of a GPU are others than those of a CPU, so what is random is
compared by its mean and spread, and what is exact by value.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ohmweave as ow
from ohmweave.arrays import ADC, DAC, ConvGeometry, Passive, SimulatedArray, Transistors, Wires
from ohmweave.base import generator
from ohmweave.cells import Cell, LinearStep, Pulse, ReadNoise, SinhConduction, Spread, VoltageDependence
from tests.helpers import assert_close

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch has no CUDA device"),
]

LINEAR = LinearStep(g_min=2e-6, g_max=20e-6, levels=500)
SOFT = ow.cells.soft_bounds(g_min=2e-6, g_max=20e-6, levels=100, c2c=0.3)
VARIED = Cell(SOFT, spread=Spread(d2d=0.2), read_noise=ReadNoise(floor=1e-7))
FELT = Cell(LINEAR, voltage=VoltageDependence(v_set=1.0, v_reset=1.0, v0=0.1, v_threshold=0.4))
CELLS = {
    "linear": Cell(LINEAR),
    "yao2020": ow.cells.yao2020(read_noise=0.02, variant="tails", drift=True),
    "wang2019": ow.cells.wang2019(),
    "stellar2023": ow.cells.stellar2023(level=2, noise=1.0),
    "varied": VARIED,
    "sinh": Cell(LINEAR, conduction=SinhConduction(v0=0.1), read_noise=ReadNoise(fraction=0.02)),
    "voltage": FELT,
}
PARTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "DAC": {"dac": DAC(bits=8, v_max=0.2)},
    "serial": {
        "dac": DAC(bits=6, v_max=0.2, bit_serial=True),
        "adc": ADC(bits=8, offset=0.3, gain=0.01, inl=0.2, noise=0.1),
    },
    "signed": {
        "dac": DAC(bits=6, v_max=0.2, signed=True, bit_serial=True),
        "adc": ADC(bits=8, signed=True, subtract="analogue"),
    },
    "wires": {"wires": Wires(r_row=2.0, r_col=2.0), "access": Transistors(r_on=100.0)},
}


def figures(cell: Cell, device: str, parts: dict[str, Any]) -> list[float]:
    """Mean and spread of conductances after pulses and time, spread of mean currents, noise of currents."""
    array = SimulatedArray(cell, n_arrays=2, rows=16, cols=24, n_chips=4, seed=3, device=device, **parts)
    place = ow.Chip(array=array).place("m", (14, 10), col_gain=(1.0, -1.0))
    cells = array.cells(place)
    k = cells.numel()
    fields: dict[str, torch.Tensor] = {} if cell.feels_gate else {"n": torch.full((k,), 20, device=device)}
    if cell.feels_gate:
        fields["v_gate"] = torch.full((k,), 1.7, device=device)
    if cell.feels_voltage:
        fields["v"] = torch.full((k,), 1.0, device=device)
    array.pulse(cells.flatten(), Pulse(torch.ones(k, device=device), **fields))
    array.wait(10.0)
    g = array.readout(cells).double()
    v = torch.linspace(0.0, 0.2, 14, device=device).expand(4, 400, 14).contiguous()
    current = array.read(v, place).double()
    images = torch.full((4, 2, 8, 8, 1), 0.1, device=device)
    patches = array.read_patches(images, ConvGeometry(kernel_size=(2, 7)), place)
    assert {g.device.type, current.device.type, patches.device.type} == {torch.device(device).type}
    assert patches.isfinite().all()
    return [float(x) for x in (g.mean(), g.std(), current.mean(-2).std(), current.std(-2).mean())]


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("cell", CELLS)
def test_cells_and_reads_have_the_distribution_of_the_cpu(cell: str, parts: str) -> None:
    on_cpu, on_gpu = (figures(CELLS[cell], device, PARTS[parts]) for device in ("cpu", "cuda"))
    # 1,120 cells: means within 6 standard errors; spreads of so many within a quarter, of 40 mean currents within 0.7.
    assert abs(on_gpu[0] - on_cpu[0]) <= 6 * on_cpu[1] / 1120**0.5 + 1e-6 * on_cpu[0]
    for gpu, cpu, share in zip(on_gpu[1:], on_cpu[1:], (0.25, 0.7, 0.25), strict=True):
        assert abs(gpu - cpu) <= share * cpu + 1e-9


def test_exact_reads_are_equal() -> None:
    found = []
    for device in ("cpu", "cuda"):
        array = SimulatedArray(LINEAR, n_arrays=2, rows=16, cols=24, device=device, dtype=torch.float64)
        place = ow.Chip(array=array).place("m", (14, 10), col_gain=(1.0, -1.0))
        cells = array.cells(place).flatten()
        n = torch.arange(len(cells), device=device) * 7 % 100
        array.pulse(cells, Pulse(torch.ones(len(cells), device=device), n=n))
        v = torch.linspace(-0.2, 0.2, 70, dtype=torch.float64, device=device).view(5, 14)
        found.append((array.read(v, place).cpu(), array.read_transposed(v[:, :10].contiguous(), place).cpu()))
    for cpu, gpu in zip(*found, strict=True):
        assert_close(gpu, cpu, rtol=1e-9, scale=float(cpu.abs().max()))


def test_pulses_in_a_passive_array() -> None:
    parts: dict[str, Any] = {"access": Passive(v_set=1.0, v_reset=1.0), "readout": "read"}
    found = []
    for device in ("cpu", "cuda"):
        array = SimulatedArray(FELT, rows=6, cols=6, wires=Wires(r_row=1.0, r_col=1.0), device=device, **parts)
        array.pulse(torch.arange(5, device=device), Pulse(torch.ones(5, device=device)))
        found.append(array.readout(torch.arange(36, device=device)).cpu())
    assert_close(found[1], found[0], rtol=1e-5)


STEP = 0.18e-6
WRITE = ow.WriteVerify(tolerance=0.3e-6, t_settle=1.0)


def chance() -> torch.Generator:
    return generator(0, "rule", device="cuda")


RULES: dict[str, Any] = {
    "adaptive": lambda w: ow.optim.AdaptiveWriteVerify(w, threshold=1e-8, write=WRITE),
    "thresholded": lambda w: ow.optim.ThresholdedWriteVerify(w, lr=1e-6, threshold=1e-8, write=WRITE),
    "sign": lambda w: ow.optim.SignPulse(w),
    "stellar": lambda w: ow.optim.Stellar(w),
    "sgd": lambda w: ow.optim.PulsedSGD(w, lr=0.1, g_step=STEP, generator=chance()),
    "coincidences": lambda w: ow.optim.PulsedSGD(w, lr=0.1, g_step=STEP, generator=chance(), draw="coincidences"),
    "mixed": lambda w: ow.optim.MixedPrecision(w, lr=0.1, g_step=STEP),
    "manhattan": lambda w: ow.optim.Manhattan(w, g_step=STEP),
    "tiki-taka": lambda w: ow.optim.TikiTakaV2(w, fast_lr=0.1, lr=0.1, g_step=STEP, generator=chance()),
    "gate": lambda w: ow.optim.GateControlled(w, torch.optim.RMSprop, lr=0.01),
}


def started(rule: str, seed: int) -> tuple[ow.nn.Deployed, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).cuda()
    gate = rule == "gate"
    cell = ow.cells.wang2019() if gate else VARIED
    chip = ow.Chip(cell, n_arrays=6, rows=64, cols=64, n_chips=2, seed=seed, device="cuda")
    mapping = ow.DifferentialPair(lines="rows", g_unit=1e-4) if gate else ow.mapping.CentredPair()
    net = ow.deploy(model, chip, write=None if gate else WRITE, mapping=mapping)
    return net, RULES[rule](net.chip_parameters())


def train(net: ow.nn.Deployed, rule: torch.optim.Optimizer, first: int, last: int) -> None:
    for n in range(first, last):
        x = torch.rand(4, 1, 8, 8, generator=generator(n, "x")).cuda()
        labels = torch.arange(4, device="cuda")
        rule.zero_grad()
        net.loss(F.cross_entropy, net(x), labels).backward()
        rule.step()


@pytest.mark.parametrize("rule", RULES)
def test_rules_learn_resume_and_are_billed(rule: str, tmp_path: Path) -> None:
    """A resumed run differs in no cell from the undisturbed one."""
    net, one = started(rule, seed=1)
    train(net, one, 0, 3)
    ow.save(net, tmp_path / "net.safetensors", rule=one)
    twin, other = started(rule, seed=2)
    ow.load(twin, tmp_path / "net.safetensors", rule=other)
    for its_net, its_rule in ((net, one), (twin, other)):
        with ow.cost.ledger(its_net) as bill:
            train(its_net, its_rule, 3, 5)
        assert bill.total("energy") > 0
    cells = torch.arange(2 * 6 * 64 * 64, device="cuda")
    assert torch.equal(net.chip.array.readout(cells), twin.chip.array.readout(cells))


def test_a_calibrated_network_with_converters_agrees_with_software() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).cuda()
    converters: dict[str, Any] = {"dac": DAC(bits=8, v_max=0.2, bit_serial=True), "adc": ADC(bits=10)}
    chip = ow.Chip(Cell(LINEAR), n_arrays=6, rows=64, cols=64, n_chips=3, device="cuda", **converters)
    net = ow.deploy(model, chip, write=ow.WriteVerify(tolerance=0.02e-6), scaling=ow.mapping.FixedScaling)
    x = torch.rand(64, 1, 8, 8, device="cuda")
    ow.nn.calibrate_inputs(net, x)
    ow.nn.calibrate_converters(net, x)
    with torch.no_grad(), ow.cost.ledger(net) as bill:
        miss = (net(x) - model(x)).std() / model(x).std()
    assert float(miss) < 0.1
    assert bill.total("energy") > 0


def test_batch_norm_and_dropout_of_several_chips() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).cuda()
    net = ow.deploy(model, ow.Chip(Cell(LINEAR), n_chips=3, device="cuda"), write=WRITE)
    net.train()
    assert net(torch.rand(16, 6, device="cuda")).shape == (3, 16, 3)


def noisy_outputs(layer: nn.Module, x: torch.Tensor, device: str) -> torch.Tensor:
    """`(reads, ...)` outputs of a layer on three chips, written well and read with noise."""
    cell = Cell(LINEAR, read_noise=ReadNoise(fraction=0.05))
    chip = ow.Chip(cell, n_arrays=8, rows=128, cols=128, n_chips=3, seed=5, device=device)
    net = ow.deploy(layer.to(device), chip, write=ow.WriteVerify(tolerance=0.05e-6)).eval()
    with torch.no_grad():
        found = [net(x.to(device)) for _ in range(40)]
    return torch.stack([one[0] if isinstance(one, tuple) else one for one in found]).double().cpu()


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(12, 6), (8, 12)),
    "conv": (lambda: nn.Conv2d(3, 6, 3, padding=1), (4, 3, 8, 8)),
    "groups": (lambda: nn.Conv2d(4, 8, 3, groups=2), (4, 4, 8, 8)),
    "depthwise": (lambda: nn.Conv2d(6, 6, 3, groups=6), (4, 6, 8, 8)),
    "conv1d": (lambda: nn.Conv1d(3, 5, 3), (4, 3, 16)),
    "lstm": (lambda: nn.LSTM(6, 8, batch_first=True), (4, 5, 6)),
    "gru": (lambda: nn.GRU(6, 8, batch_first=True), (4, 5, 6)),
    "transformer": (lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (4, 5, 16)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_have_the_distribution_of_the_cpu(layer: str) -> None:
    """Outputs that differ by noise and by what writes leave, which is a tenth of a step."""
    make, size = LAYERS[layer]
    x, found = torch.rand(size, generator=generator(2, "x")), {}
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        found[device] = noisy_outputs(make(), x, device)
    cpu, gpu = found["cpu"], found["cuda"]
    assert gpu.shape == cpu.shape
    size_of = float(cpu.mean(0).square().mean().sqrt())
    assert float((gpu.mean(0) - cpu.mean(0)).square().mean().sqrt()) < 0.05 * size_of
    noise = float(cpu.std(0).square().mean().sqrt())
    assert noise > 1e-3 * size_of
    # 40 reads of many outputs: their spreads agree within a tenth on average.
    assert abs(float(gpu.std(0).square().mean().sqrt()) / noise - 1) < 0.15


def test_write_verify_on_a_gpu_has_the_reports_of_the_cpu() -> None:
    """Pulses and errors in distribution; there the rounds are calls of torch, here one compiled call."""
    found = []
    for device in ("cpu", "cuda"):
        array = SimulatedArray(ow.cells.yao2020(), rows=64, cols=64, seed=1, device=device)
        cells = torch.arange(4096, device=device)
        target = torch.linspace(3e-6, 19e-6, 4096, device=device)
        found.append(ow.WriteVerify(tolerance=0.5e-6)(array, cells, target))
    cpu, gpu = (report.n_pulses.double() for report in found)
    assert abs(float(gpu.mean() - cpu.mean())) < 6 * float(cpu.std()) * (2 / 4096) ** 0.5
    assert abs(found[1].n_failed - found[0].n_failed) <= 6
    assert_close(float(found[1].error.std()), float(found[0].error.std()), rtol=0.1)  # 4,096 cells: 1.6 %

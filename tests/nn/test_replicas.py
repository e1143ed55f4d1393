"""Replicas of layers: against one layer on an ideal chip, a slow loop over positions on a noisy one, and by hand."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import ohmweave as ow
from ohmweave.base import ChipFullError, OutOfRangeError
from ohmweave.nn import Balanced
from tests.helpers import assert_close

LAW = ow.cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=31)
WRITE = ow.WriteVerify(tolerance=0.4e-6)


def draw(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


def filled(model: torch.nn.Module) -> torch.nn.Module:
    """Weights and biases of both signs, the same with any seed of the test."""
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for leaf in model.parameters():
            leaf.uniform_(-1, 1, generator=chance)
    return model


def small(n_chips: int | None = None, cell: object = LAW, n_arrays: int = 16, **more: object) -> ow.Chip:
    return ow.Chip(cell, n_arrays=n_arrays, rows=32, cols=32, n_chips=n_chips, **more)  # type: ignore[arg-type]


def net_of_two() -> torch.nn.Module:
    return filled(
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3 * 64, 10)
        )
    )


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (torch.nn.Conv2d(2, 3, 3, stride=2, padding=1, dilation=2), (2, 13, 9)),
        (torch.nn.Conv2d(2, 4, (3, 2), padding="same", groups=2), (2, 7, 6)),
        (torch.nn.Conv2d(1, 3, (2, 3), padding=(1, 2), padding_mode="circular", bias=False), (1, 6, 7)),
        (torch.nn.Conv1d(3, 2, 4, stride=3, padding=2), (3, 29)),
        (torch.nn.Linear(12, 5), (12,)),
        (torch.nn.Linear(12, 5, bias=False), (3, 12)),
    ],
)
@pytest.mark.parametrize("n_chips", [None, 2])
def test_replicas_on_an_ideal_chip_are_one_layer(
    layer: torch.nn.Module, size: tuple[int, ...], n_chips: int | None
) -> None:
    model = filled(torch.nn.Sequential(layer, torch.nn.Tanh()))
    x = draw(5, *size) - 0.3
    one = ow.deploy(model, small(n_chips), write=WRITE)
    many = ow.deploy(model, small(n_chips), write=WRITE, replicas={"0": 3})
    assert many.on_chip == ("0.0", "0.1", "0.2")
    # A strip has a scale of its own: rounding alone differs.
    assert_close(many(x).detach(), one(x).detach(), rtol=1e-4, scale=1.0)


def test_each_row_of_an_output_is_read_by_its_replica() -> None:
    """A slow loop over rows, with the cells of each replica as they were read out."""
    torch.manual_seed(0)
    cell = ow.cells.yao2020()
    model = filled(torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.Identity()))
    net = ow.deploy(model, small(2, cell), write=ow.WriteVerify(tolerance=2e-6), replicas={"0": 3})
    x = draw(4, 2, 8, 8)
    found = net(x).detach()
    weights = [net.weights[f"0.{k}"].detach().clone().double() for k in range(3)]
    assert not torch.equal(weights[0], weights[1])
    bias = model[0].bias.detach().double()  # type: ignore[index]
    for chip in range(2):
        for row in range(8):
            (owner,) = [k for k in range(3) if round(k * 8 / 3) <= row < round((k + 1) * 8 / 3)]
            whole = F.conv2d(x.double(), torch.as_tensor(weights[owner][chip]), bias, padding=1)
            assert_close(found[chip, :, :, row].double(), whole[:, :, row], rtol=1e-3, scale=1.0)


def test_samples_of_a_linear_layer_take_turns() -> None:
    cell = ow.cells.yao2020()
    model = filled(torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Identity()))
    net = ow.deploy(model, small(2, cell), write=ow.WriteVerify(tolerance=2e-6), replicas={"0": 3})
    x = draw(7, 6)
    found = net(x).detach()
    for chip in range(2):
        for sample in range(7):
            weight = net.weights[f"0.{sample % 3}"].detach().clone()[chip]
            wanted = weight @ x[sample] + model[0].bias.detach()  # type: ignore[index]
            assert_close(found[chip, sample], torch.as_tensor(wanted), rtol=1e-3, scale=1.0)


def test_fewer_samples_than_replicas_are_read_without_a_warning() -> None:
    net = ow.deploy(filled(torch.nn.Sequential(torch.nn.Linear(6, 4))), small(2), write=WRITE, replicas={"0": 3})
    assert net(draw(1, 6)).shape == (2, 1, 4)


def test_pulses_reads_and_area_are_those_of_all_replicas() -> None:
    model = filled(torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3)))
    x, bills = draw(5, 1, 8, 8), []
    for replicas in ({}, {"0": 3}):
        chip = small()
        with ow.cost.ledger(chip, phase="write") as bill:
            net = ow.deploy(model, chip, write=WRITE, replicas=replicas)
            with bill.phase("inference"):
                net(x)
        activity = chip.array.books.activity
        n_reads = sum(usage.n_reads for (phase, _), usage in bill.usage.items() if phase == "inference")
        bills.append((activity.n_set + activity.n_reset, n_reads, chip.n_taken))
    (pulses, reads, cells), (pulses_3, reads_3, cells_3) = bills
    assert (pulses_3, reads_3, cells_3) == (3 * pulses, reads, 3 * cells)
    assert reads == 5 * 36


def test_the_schedule_reads_replicas_at_the_same_time() -> None:
    """64 patches are three strips of 3, 2 and 3 rows of 8; images take turns in the linear layer of six tiles."""
    model, x = net_of_two(), draw(6, 1, 8, 8)
    chip = small()
    net = ow.deploy(model, chip, write=WRITE, replicas={"0": 3, "3": 2})
    t_read = ow.cost.chip_costs(chip).t_read
    stages = ow.cost.network_stages(net, x)
    assert [round(stage.duration / t_read) for stage in stages] == [24, 16, 24, 1, 1]
    done = ow.cost.network_schedule(net, x, n_images=4)
    assert_close(done.latency, 25 * t_read, rtol=1e-9)
    assert_close(done.makespan, (4 * 24 + 1) * t_read, rtol=1e-9)
    images = [(job.name, job.image) for job in done.jobs if job.name.startswith("3")]
    assert images == [("3.0", 0), ("3.1", 1), ("3.0", 2), ("3.1", 3)]
    for name in ("0.0", "0.1", "0.2"):
        assert {tile.array for tile in chip.placed[name].tiles}.isdisjoint(
            tile.array
            for other, one in chip.placed.items()
            if other != name and other.startswith("0.")
            for tile in one.tiles
        )


def test_gradients_summed_are_those_of_one_layer() -> None:
    model, x, y = net_of_two(), draw(6, 1, 8, 8), torch.arange(6) % 10
    nets = [ow.deploy(model, small(2), write=WRITE, replicas=more) for more in ({}, {"0": 3, "3": 2})]
    for net in nets:
        net.loss(F.cross_entropy, net(x), y).backward()
    one, many = nets
    assert not torch.equal(many.weights["0.0"].grad, many.weights["0.1"].grad)
    ow.nn.sum_replica_gradients(many)
    for name, n in (("0", 3), ("3", 2)):
        for k in range(n):
            # Strips have scales of their own, so that float32 rounds otherwise.
            scale = float(one.weights[name].grad.abs().max())
            assert_close(many.weights[f"{name}.{k}"].grad, one.weights[name].grad, rtol=1e-4, scale=scale)
            bias = many.model.get_submodule(f"{name}.{k}").bias.grad
            assert_close(bias, one.model.get_submodule(name).bias.grad, rtol=1e-4, scale=scale)


def test_a_rule_writes_each_replica() -> None:
    model, x, y = net_of_two(), draw(6, 1, 8, 8), torch.arange(6) % 10
    net = ow.deploy(model, small(2), write=WRITE, replicas={"3": 2})
    net.requires_grad_(False)
    weights = [net.weights[name].requires_grad_(True) for name in ("3.0", "3.1")]
    before = [weight.detach().clone() for weight in weights]
    net.loss(F.cross_entropy, net(x), y).backward()
    ow.nn.sum_replica_gradients(net)
    lr = 1e-5
    few = lr * float(weights[0].grad.abs().flatten().quantile(0.95))  # type: ignore[union-attr]
    rule = ow.optim.ThresholdedWriteVerify(weights, lr=lr, threshold=few, write=WRITE)
    rule.step()
    after = [weight.detach().clone() for weight in weights]
    assert all(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert torch.equal(after[0] - before[0], after[1] - before[1])


def test_a_network_with_replicas_is_saved_and_loaded(tmp_path: Path) -> None:
    model, x = net_of_two(), draw(3, 1, 8, 8)
    cell = ow.cells.yao2020()
    made = [ow.deploy(model, small(2, cell, seed=seed), write=WRITE, replicas={"0": 3, "3": 2}) for seed in (0, 1)]
    ow.save(made[0], tmp_path / "net.safetensors")
    wanted = made[0](x)
    assert not torch.equal(made[1](x), wanted)
    ow.load(made[1], tmp_path / "net.safetensors")
    assert torch.equal(made[1](x), wanted)


def test_a_network_with_replicas_is_measured_with_them() -> None:
    """Chips whose replicas differ, without read noise or converters: the copy in software computes what each reads."""
    model, x = net_of_two(), draw(5, 1, 8, 8)
    net = ow.deploy(
        model, small(2, ow.cells.yao2020()), write=ow.WriteVerify(tolerance=2e-6), replicas={"0": 3, "3": 2}
    )
    net.refresh()
    found = net(x).detach()
    for chip in range(2):
        twin = ow.nn.measured(net, model, chip=chip)
        assert_close(twin(x).detach(), found[chip], rtol=1e-4, scale=1.0)
    assert [name for name, _ in model.named_children()] == ["0", "1", "2", "3"]


def test_a_plan_shows_replicas_and_refuses_what_deploy_refuses() -> None:
    model, x = net_of_two(), draw(3, 1, 8, 8)
    shown = ow.plan(model, small(), x, write=WRITE, replicas={"0": 3})
    assert [row.name for row in shown.rows if row.on == "chip"] == ["0.0", "0.1", "0.2", "3"]
    assert shown.macs == 3 * (64 * 27 + 1_920)
    few = ow.plan(model, small(n_arrays=6), x, write=WRITE, replicas={"0": 8})
    assert few.n_arrays_missing == 2
    with pytest.raises(ChipFullError, match="no other replica of it"):
        few.check()
    with pytest.raises(ChipFullError, match="no other replica of it"):
        ow.deploy(model, chip := small(n_arrays=6), write=WRITE, replicas={"0": 8})
    assert not chip.placed


def test_balanced_gives_the_slowest_layers_the_arrays() -> None:
    """64 reads on 1 array against 1 on 6: of 16 arrays, 10 may be replicas of the first, of whose output 8 are rows."""
    model, x = net_of_two(), draw(3, 1, 8, 8)
    net = ow.deploy(model, small(), write=WRITE, replicas=Balanced(x))
    assert net.on_chip == (*(f"0.{k}" for k in range(8)), "3")
    arrays = [tile.array for one in net.chip.placed.values() for tile in one.tiles]
    assert len(set(arrays)) == len(arrays)
    one = ow.deploy(model, small(), write=WRITE)
    assert_close(net(x).detach(), one(x).detach(), rtol=1e-4, scale=1.0)
    fewer = ow.deploy(model, small(n_arrays=9), write=WRITE, replicas=Balanced(x))
    assert fewer.on_chip == ("0.0", "0.1", "0.2", "3")
    with pytest.raises(ChipFullError, match="they take 7 arrays, but 6 of the 6"):
        ow.deploy(model, small(n_arrays=6), write=WRITE, replicas=Balanced(x))
    with pytest.raises(OutOfRangeError, match="must not choose arrays"):
        ow.deploy(model, small(), write=WRITE, replicas=Balanced(x), layers={"0": ow.OnChip(arrays=[0])})


def test_what_balance_proposes_is_deployed() -> None:
    model, x = net_of_two(), draw(3, 1, 8, 8)
    stages = ow.cost.network_stages(ow.deploy(model, small(), write=WRITE), x)
    sizes = (1_024, 6 * 1_024)  # whole arrays
    per_array = [
        ow.cost.Stage(name=one.name, duration=one.duration, cells=cells)
        for one, cells in zip(stages, sizes, strict=True)
    ]
    replicas = ow.cost.balance(per_array, n_cells=9 * 1_024)
    assert replicas == {"0": 3, "3": 1}
    net = ow.deploy(model, small(n_arrays=9), write=WRITE, replicas=replicas)
    assert ow.cost.network_schedule(net, x).latency < 0.5 * sum(one.duration for one in stages)


@pytest.mark.parametrize(
    ("replicas", "message"),
    [
        ({"9": 2}, "must name layers of .'0', '3'., but has '9', which is no layer"),
        ({"1": 2}, "but has '1', which is a ReLU"),
        ({"0": 0}, "`replicas.'0'.` must be an integer >= 1, but is 0"),
        ({"0": 1.5}, "`replicas.'0'.` must be an integer"),
    ],
)
def test_wrong_replicas_are_refused(replicas: dict[str, int], message: str) -> None:
    chip = small()
    with pytest.raises(OutOfRangeError, match=message):
        ow.deploy(net_of_two(), chip, write=WRITE, replicas=replicas)
    assert not chip.placed


def test_layers_that_cannot_be_replicated_are_refused_by_name() -> None:
    model = torch.nn.Sequential(torch.nn.LSTM(4, 3))
    with pytest.raises(OutOfRangeError, match="inside of a recurrent layer"):
        ow.deploy(model, small(), write=WRITE, replicas={"0.weight_ih_l0": 2})
    with pytest.raises(OutOfRangeError, match="which is in `digital`"):
        ow.deploy(net_of_two(), small(), write=WRITE, replicas={"3": 2}, digital=["3"])
    with pytest.raises(TypeError, match="Balanced"):
        ow.deploy(net_of_two(), small(), write=WRITE, replicas="balance")  # type: ignore[arg-type]
    net = ow.deploy(net_of_two(), small(), write=WRITE, replicas={"0": 9})
    with pytest.raises(OutOfRangeError, match="`replicas` of '0' must be at most the 8 rows of its output, but is 9"):
        net(draw(2, 1, 8, 8))


def test_hooks_and_frozen_flags_are_kept() -> None:
    model, seen = net_of_two(), []
    model[0].register_forward_hook(lambda module, args, y: seen.append(tuple(y.shape)))  # type: ignore[index]
    model[3].requires_grad_(False)  # type: ignore[index]
    net = ow.deploy(model, small(), write=WRITE, replicas={"0": 2, "3": 2})
    net(draw(4, 1, 8, 8))
    assert seen == [(4, 3, 8, 8)]
    assert not any(net.weights[f"3.{k}"].requires_grad for k in range(2))
    assert isinstance(model[0], torch.nn.Conv2d)  # type: ignore[index]
    assert model[0].padding == (1, 1)


def test_layers_inside_of_others_and_behind_a_time_have_replicas() -> None:
    """A transformer's feed-forward layers, and a layer after an LSTM whose input begins with the time."""

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = torch.nn.LSTM(4, 6), torch.nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.out(self.first(x)[0])
            return y

    transformer = torch.nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
    for model, replicas, x in (
        (filled(Reader()).eval(), {"out": 2}, draw(5, 3, 4)),
        (filled(transformer).eval(), {"linear1": 2, "linear2": 3}, draw(4, 5, 8)),
    ):
        one = ow.deploy(model, small(2, n_arrays=30), write=WRITE)
        many = ow.deploy(model, small(2, n_arrays=30), write=WRITE, replicas=replicas)
        assert_close(many(x).detach(), one(x).detach(), rtol=1e-4, scale=1.0)
    assert "weight" in dict(many.model.get_submodule("linear1.0").named_parameters())

"""Schedules from where layers stand: latency, pipelining and shared arrays, against counts by hand."""

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OhmweaveError, OutOfRangeError
from ohmweave.cost import LayerStage, network_schedule, network_stages, schedule_of
from tests.helpers import assert_close

LAW = ow.cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=31)
WRITE = ow.WriteVerify(tolerance=0.4e-6)


def network(**chip: object) -> ow.nn.Deployed:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3 * 36, 10)
    )
    return ow.deploy(model, ow.Chip(LAW, **{"n_arrays": 8, "rows": 32, "cols": 32, **chip}), write=WRITE)  # type: ignore[arg-type]


X = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_times_are_those_of_a_count_by_hand() -> None:
    """36 patches of the convolution on one tile; four tiles of the linear layer, 108 inputs on 32 rows."""
    net = network(dac=ow.arrays.DAC(bits=4, v_max=0.2, bit_serial=True), n_chips=2)
    conv, fc = network_stages(net, X)
    t_read = ow.cost.chip_costs(net.chip).t_read
    assert_close(conv.duration, 36 * 4 * t_read, rtol=1e-12)
    tiles = list(net.chip.placed.values())[1].tiles
    assert len(tiles) == 4
    most = max(sum(tile.array == array for tile in tiles) for array in range(8))
    assert_close(fc.duration, 4 * most * t_read, rtol=1e-12)
    assert (conv.cells, fc.cells) == (9 * 6, 108 * 20)


def test_layers_on_arrays_of_their_own_work_on_different_images() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    chip = ow.Chip(LAW, n_arrays=2, rows=32, cols=32)
    layers = {"0": ow.OnChip(arrays=[0]), "2": ow.OnChip(arrays=[1])}
    net = ow.deploy(model, chip, write=WRITE, layers=layers)
    x = torch.rand(3, 32)
    one = ow.cost.chip_costs(chip).t_read
    done = network_schedule(net, x, n_images=5)
    assert_close(done.latency, 2 * one, rtol=1e-12)
    assert_close(done.makespan, 6 * one, rtol=1e-12)
    assert_close(done.throughput, 1 / one, rtol=1e-9)
    shared = ow.deploy(model, ow.Chip(LAW, n_arrays=1, rows=64, cols=64), write=WRITE)
    done = network_schedule(shared, x, n_images=5)
    assert_close(done.latency, 2 * one, rtol=1e-12)
    assert_close(done.makespan, 10 * one, rtol=1e-12)
    assert len({stage.machine for stage in network_stages(shared, x)}) == 1


def test_tiles_of_one_array_wait_for_each_other() -> None:
    layer = torch.nn.Linear(64, 8, bias=False)
    side = ow.deploy(layer, ow.Chip(LAW, n_arrays=2, rows=32, cols=16), write=WRITE)
    # Two tiles of 32 rows that stand side by side on one array.
    same = ow.deploy(layer, ow.Chip(LAW, n_arrays=1, rows=32, cols=32), write=WRITE)
    x = torch.rand(2, 64)
    (apart,), (together,) = network_stages(side, x), network_stages(same, x)
    assert_close(together.duration, 2 * apart.duration, rtol=1e-12)


def test_sharing_converters_takes_time() -> None:
    alone = network(adc=ow.arrays.ADC(bits=8, columns_per_adc=32))
    conv, _ = network_stages(alone, X)
    price = ow.cost.adc_price(8)
    assert_close(conv.duration, 36 * max(50e-9, 32 * price.duration), rtol=1e-12)


def test_wrong_arguments_are_refused() -> None:
    net = network()
    with pytest.raises(OhmweaveError, match="one chip"):
        network_stages(torch.nn.Linear(2, 2), X)
    with pytest.raises(OutOfRangeError, match="`x`"):
        network_stages(net, torch.tensor(1.0))
    with pytest.raises(OutOfRangeError, match="n_images"):
        network_schedule(net, X, n_images=0)
    with pytest.raises(OutOfRangeError, match="stages"):
        schedule_of([], n_images=1)


def test_arrays_of_a_stage_have_numbers_from_zero() -> None:
    with pytest.raises(OutOfRangeError, match="`arrays` must be an integer >= 0, but is -1"):
        LayerStage(name="fc", duration=1e-7, n_reads=1.0, cells=8, arrays=(-1, 1), machine="a")

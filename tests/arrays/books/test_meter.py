"""What a meter records, against the same counted by hand, number by number."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
import torch

from ohmweave.arrays import (
    DAC,
    UNASSIGNED,
    Meter,
    Placement,
    ReadScale,
    SimulatedArray,
    Tile,
    Usage,
    cells_of,
)
from ohmweave.arrays.books import drive
from ohmweave.arrays.books.drive import Drive, DriveTotals, Lines
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import Cell, LinearStep, Pulse, Relaxation
from tests.helpers import assert_close

TILES = (
    Tile(array=0, row=1, col=0, rows=4, cols=6, row_line=0, col_line=0),
    Tile(array=1, row=0, col=2, rows=2, cols=6, row_line=4, col_line=0),
)
LAW = LinearStep(g_min=1e-6, g_max=9e-6, levels=9)


def array(
    *,
    chips: tuple[int, ...] = (),
    law: Cell = LAW,
    steps: int = 7,
    dtype: torch.dtype = torch.float64,
    **parts: Any,
) -> SimulatedArray:
    bench = SimulatedArray(
        law, n_arrays=2, rows=6, cols=9, n_chips=chips[0] if chips else None, v_read=0.2, dtype=dtype, **parts
    )
    cells = torch.arange(108 * (chips[0] if chips else 1))
    bench.pulse(cells, Pulse(torch.ones_like(cells), n=1 + steps * cells % 6))  # conductances that differ
    return bench


def bits(n: int = 8) -> DAC:
    """Drivers that send numbers of `n` bits bit by bit."""
    return DAC(bits=n, v_max=0.2, bit_serial=True)


Attach = Callable[[SimulatedArray, Mapping[str, Placement]], Meter]


@pytest.fixture
def attach() -> Iterator[Attach]:
    """Meters that stay attached until the test is over."""
    with ExitStack() as stack:

        def attached(bench: SimulatedArray, layers: Mapping[str, Placement]) -> Meter:
            meter = Meter(layers)
            stack.enter_context(bench.books.attached(meter))
            return meter

        yield attached


def placement() -> Placement:
    """Three inputs on two rows each, three outputs on two columns each, over two tiles."""
    return Placement(tiles=TILES, cells=cells_of(TILES, rows=6, cols=9), row_gain=(1.0, -1.0), col_gain=(1.0, -1.0))


def voltages(*shape: int) -> torch.Tensor:
    codes = torch.randint(0, 256, shape, generator=generator(3, "v"))
    codes[torch.rand(shape, generator=generator(4, "v")) < 0.3] = 0
    return codes.double() / 255 * 0.2


@pytest.mark.parametrize("chips", [(), (2,)])
def test_bits_lines_and_heat_of_a_read(attach: Attach, chips: tuple[int, ...]) -> None:
    bench, where = array(chips=chips, dac=bits()), placement()
    v = voltages(*chips, 11, 3)
    meter = attach(bench, {"layer": where})
    bench.read(v, where)
    g = bench.readout(bench.cells(where)).reshape(-1, 6, 6)
    n_active, heat = 0, 0.0
    for chip, vectors in enumerate(v.reshape(-1, 11, 3).tolist()):
        for vector in vectors:
            for i, volts in enumerate(vector):
                ones = bin(round(volts / 0.2 * 255)).count("1")
                n_active += 2 * ones  # both rows of an input, on whichever tile they are
                heat += ones * 0.2**2 * float(g[chip, 2 * i : 2 * i + 2].sum())
    n_chips = chips[0] if chips else 1
    usage = meter.usage["", "layer"]
    assert usage.n_vectors == 11 * n_chips
    assert usage.n_reads == 11 * 2 * 8 * n_chips
    assert usage.n_lines == 11 * 6 * 8 * n_chips
    assert usage.n_conversions == 11 * 12 * 8 * n_chips
    assert usage.n_active == n_active
    assert_close(usage.v2g, heat, rtol=1e-12)


def test_voltages_that_carry_numbers_take_one_interval(attach: Attach) -> None:
    bench, where = array(), placement()
    v = voltages(5, 3)
    meter = attach(bench, {"layer": where})
    bench.read(v, where)
    g = bench.readout(bench.cells(where))
    by_input = g.view(3, 2, 6).sum(dim=(1, 2))
    usage = meter.usage["", "layer"]
    assert (usage.n_reads, usage.n_lines, usage.n_conversions) == (10, 30, 60)
    assert usage.n_active == 2 * int((v != 0).sum())
    assert_close(usage.v2g, float((v.square() * by_input).sum()), rtol=1e-12)


def test_a_transposed_read_drives_columns_and_senses_rows(attach: Attach) -> None:
    bench, where = array(), placement()
    meter = attach(bench, {"layer": where})
    v = torch.tensor([[0.1, 0.0, -0.2]], dtype=torch.float64)
    bench.read_transposed(v, where)
    g = bench.readout(bench.cells(where))
    usage = meter.usage["", "layer"]
    assert (usage.n_reads, usage.n_lines, usage.n_conversions) == (2, 12, 6)
    assert usage.n_active == 2 * 2 * 2  # two inputs, two columns each, on two tiles
    assert_close(usage.v2g, float((v[0].square() * g.view(6, 3, 2).sum(dim=(0, 2))).sum()), rtol=1e-12)


def test_zeros_pay_for_conversions_only(attach: Attach) -> None:
    bench, where = array(dac=bits()), placement()
    meter = attach(bench, {"layer": where})
    bench.read(torch.zeros(4, 3, dtype=torch.float64), where)
    usage = meter.usage["", "layer"]
    assert (usage.n_active, usage.v2g) == (0, 0.0)
    assert usage.n_conversions == 4 * 12 * 8


@pytest.mark.parametrize("n_bits", [1, 3, 8, 12])
def test_ones_of_any_width(attach: Attach, n_bits: int) -> None:
    bench, where = array(dac=bits(n_bits)), placement()
    codes = torch.randint(0, 2**n_bits, (37, 3), generator=generator(n_bits, "codes"))
    meter = attach(bench, {"layer": where})
    bench.read(codes.double() / (2**n_bits - 1) * 0.2, where)
    assert meter.usage["", "layer"].n_active == 2 * sum(bin(int(c)).count("1") for c in codes.flatten())


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("n", [1, 30, 31, 32, 63, 200])
def test_ones_in_single_precision(attach: Attach, n: int, signed: bool) -> None:
    """Batches just below, at and above what is summed at once; a DAC with a sign has a bit more for as many planes."""
    dac = DAC(bits=9, v_max=0.2, signed=True, bit_serial=True) if signed else bits()
    bench = array(dtype=torch.float32, dac=dac)
    codes = torch.randint(-255 if signed else 0, 256, (n, 3), generator=generator(n, "codes"))
    codes[0] = 255
    meter = attach(bench, {"layer": placement()})
    bench.read(codes.float() / 255 * 0.2, placement())
    assert sum(usage.n_active for usage in meter.usage.values()) == 2 * sum(
        bin(abs(int(c))).count("1") for c in codes.flatten()
    )


@pytest.mark.parametrize("n_bits", [8, 12])
def test_voltages_beyond_the_largest_number_are_all_ones(n_bits: int) -> None:
    totals = DriveTotals(v_bit=0.2, bits=n_bits)
    totals.add(Drive.of_vectors(torch.tensor([[0.3, -0.2, 1e4]], dtype=torch.float64)))
    active, v2 = totals.by_line(Lines())
    assert active.tolist() == [n_bits] * 3
    assert_close(v2, torch.full((3,), n_bits * 0.2**2, dtype=torch.float64), rtol=1e-12)


def test_pulses_and_readouts_go_to_the_layer_of_their_cell(attach: Attach) -> None:
    bench, where = array(chips=(2,)), placement()
    meter = attach(bench, {"layer": where})
    mine = bench.cells(where)
    inside = torch.stack([mine[0, 0, 0], mine[1, 5, 5]])
    outside = torch.tensor([5])
    assert outside not in mine
    cells = torch.cat([inside, outside])
    meter.phase = "write"
    bench.pulse(cells, Pulse(torch.tensor([1, -1, 1]), n=torch.tensor([3, 2, 4])))
    g = bench.readout(cells)
    layer, rest = meter.usage["write", "layer"], meter.usage["write", UNASSIGNED]
    assert (layer.n_set, layer.n_reset, layer.n_readouts) == (3, 2, 2)
    assert (rest.n_set, rest.n_reset, rest.n_readouts) == (4, 0, 1)
    assert_close(layer.readout_v2g, 0.2**2 * float(g[:2].sum()), rtol=1e-12)


CHANGES = {
    "pulses": lambda bench: bench.pulse(torch.arange(108), Pulse(torch.full((108,), -1))),
    "time": lambda bench: bench.wait(1.0),
    "a loaded state": lambda bench: bench.load_state_dict(array(law=bench.cell, steps=3).state_dict()),
}


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_heat_follows_the_cells(attach: Attach, change: str, transposed: bool) -> None:
    bench, where = array(law=Cell(LAW, retention=Relaxation(sigma_fast=1e-6))), placement()
    meter = attach(bench, {"layer": where})
    v = voltages(5, 3)
    heats = []
    for _ in range(2):
        by_driver = bench.readout(bench.cells(where)).view(3, 2, 3, 2).sum(dim=(0, 1, 3) if transposed else (1, 2, 3))
        before = meter.usage.get(("", "layer"), Usage()).v2g
        (bench.read_transposed if transposed else bench.read)(v, where)
        heats.append(meter.usage["", "layer"].v2g - before)
        assert_close(heats[-1], float((v.square() * by_driver).sum()), rtol=1e-9)
        CHANGES[change](bench)
    assert heats[0] != heats[1]


@pytest.mark.parametrize("change", CHANGES)
def test_heat_is_that_of_the_cells_at_the_time(attach: Attach, change: str) -> None:
    """Heat is worked out late, but from the conductances that were read."""
    bench, where = array(law=Cell(LAW, retention=Relaxation(sigma_fast=1e-6))), placement()
    v = voltages(5, 3)
    by_input = bench.readout(bench.cells(where)).view(3, 2, 6).sum(dim=(1, 2))
    meter = attach(bench, {"layer": where})
    bench.read(v, where)
    CHANGES[change](bench)
    assert not torch.equal(bench.readout(bench.cells(where)).view(3, 2, 6).sum(dim=(1, 2)), by_input)
    assert_close(meter.usage["", "layer"].v2g, float((v.square() * by_input).sum()), rtol=1e-12)


def test_reads_before_and_after_a_change_add_up_in_their_phases(attach: Attach) -> None:
    bench, where = array(dac=bits()), placement()
    meter = attach(bench, {"layer": where})
    v = voltages(300, 3)
    heat: dict[str, list[float]] = {}
    for phase in ("first", "second", "first"):
        meter.phase = phase
        before = meter.usage.get((phase, "layer"), Usage()).v2g
        bench.read(v, where)
        bench.read(v[:7], where)
        bench.pulse(torch.arange(108), Pulse(torch.full((108,), -1)))
        heat.setdefault(phase, []).append(meter.usage[phase, "layer"].v2g - before)
    assert heat["first"][0] > heat["second"][0] > heat["first"][1] > 0
    ones = sum(bin(round(volts / 0.2 * 255)).count("1") for volts in torch.cat([v, v[:7]]).flatten().tolist())
    assert meter.usage["first", "layer"].n_active == 2 * meter.usage["second", "layer"].n_active == 2 * 2 * ones


def test_waiting_goes_to_the_phase(attach: Attach) -> None:
    bench = array()
    meter = attach(bench, {})
    meter.phase = "rest"
    bench.wait(2.0)
    bench.wait(0.5)
    assert meter.usage["rest", UNASSIGNED].duration == 2.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("chips", [(), (2,)])
@pytest.mark.parametrize("n", [1, 30, 31, 32, 63, 200])
def test_compiled_sums_are_the_plain_ones(
    n: int, chips: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches around what is summed at once, more lines than are worked on at once, numbers that are no voltages."""
    pytest.importorskip("numba")
    v = torch.randn(*chips, n, 2_500, dtype=dtype, generator=generator(n, "v"))
    v[..., 5:90] = 9.0  # as many ones as there can be
    found = []
    for compiled in (True, False):
        monkeypatch.setattr(drive, "worth_compiling", lambda n, compiled=compiled: compiled)
        totals = DriveTotals(v_bit=0.2, bits=8)
        for _ in range(2):
            totals.add(Drive.of_vectors(v, v_per_x=0.08))
        found.append(totals.by_line(Lines()))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    codes = (v * (255 * 0.08 / 0.2)).abs().clamp(max=255).round().long()
    ones = torch.stack([(codes >> bit) & 1 for bit in range(8)]).sum((0, -2))
    assert torch.equal(found[0][0], 2 * ones)


def test_numbers_are_counted_as_the_volts_they_stand_for(attach: Attach) -> None:
    bench, where = array(), placement()
    usages, results = [], []
    for phase, scale in (("volts", ReadScale()), ("numbers", ReadScale(v_per_x=0.05, a_per_y=3e-7))):
        meter = attach(bench, {"layer": where})
        meter.phase = phase
        results.append(bench.read_scaled(voltages(11, 3) / scale.v_per_x, where, scale) * scale.a_per_y)
        usages.append(meter.usage[phase, "layer"])
    assert_close(results[1], results[0], rtol=1e-12, scale=1e-6)
    assert_close(usages[1].v2g, usages[0].v2g, rtol=1e-12)
    assert usages[1].n_active == usages[0].n_active


def test_bits_of_numbers_are_those_of_the_volts_they_stand_for() -> None:
    sums = []
    for v_per_x in (1.0, 0.05):
        totals = DriveTotals(v_bit=0.2, bits=8)
        totals.add(Drive.of_vectors(voltages(11, 3) / v_per_x, v_per_x=v_per_x))
        sums.append(totals.by_line(Lines()))
    assert torch.equal(sums[0][0], sums[1][0])
    assert torch.equal(sums[0][1], sums[1][1])


def test_a_scale_is_refused_where_it_matters() -> None:
    bench = array(dac=DAC(bits=8, v_max=0.2))
    with pytest.raises(OutOfRangeError, match="must be read in volts"):
        bench.read_scaled(voltages(2, 3), placement(), ReadScale(v_per_x=0.1))

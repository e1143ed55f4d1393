"""Converters against loops over chips, inputs, tiles, bit planes and lines: one thing at a time, as hardware does."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmweave.arrays import ADC, DAC, SimulatedArray, Wires, yao2020_macro
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import Cell, LinearStep, ReadNoise, SinhConduction
from ohmweave.mapping import Chip, DifferentialPair, Matrix
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

LAW = LinearStep(g_min=2e-6, g_max=20e-6, levels=1_000)
SERIAL = DAC(bits=4, v_max=0.2, bit_serial=True)
SIGNED = DAC(bits=5, v_max=0.2, signed=True, bit_serial=True)
PARALLEL = DAC(bits=4, v_max=0.2)


def written(mapping: DifferentialPair, law: object = LAW, **parts: object) -> tuple[SimulatedArray, Matrix]:
    chip = Chip(law, n_arrays=8, rows=12, cols=9, n_chips=2, seed=2, dtype=torch.float64, **parts)  # type: ignore[arg-type]
    matrix = Matrix(chip, "w", (5, 14), mapping=mapping)
    weight = torch.randn(2, 5, 14, generator=generator(4, "weights"), dtype=torch.float64)
    matrix.program(weight, BlindWrite(g_step=(LAW.g_max - LAW.g_min) / 999))
    assert isinstance(chip.array, SimulatedArray)
    return chip.array, matrix


def volts(dac: DAC | None) -> torch.Tensor:
    """`(2, 3, 14)` V for inputs of two chips: of both signs where the converter has one, some beyond full scale."""
    v = (torch.rand(2, 3, 14, generator=generator(0, "v"), dtype=torch.float64) - 0.3) * 0.25
    return v if dac is None or dac.signed else v.abs() * 1.3


def ohm(v: torch.Tensor) -> torch.Tensor:
    return v


def by_loops(
    array: SimulatedArray, matrix: Matrix, v: torch.Tensor, law: Callable[[torch.Tensor], torch.Tensor] = ohm
) -> torch.Tensor:
    """The order of the hardware: tile, bit plane, line, conversion; shift-and-add; subtraction; sum over tiles.

    A cell's current is its conductance times `law` of its voltage.
    """
    adc, dac, placement = array.adc, array.dac, matrix.placement
    assert adc is not None
    h, c = len(placement.row_gain), len(placement.col_gain)
    low, high = adc.codes
    step = array.full_scale(placement) / high
    g, _ = array._reader.seen.at(matrix.cells)
    out = torch.zeros(*v.shape[:-1], placement.n_out, dtype=torch.float64)
    for n in range(v.shape[0]):
        for b in range(v.shape[1]):
            intervals = [(v[n, b], 1.0)]
            if dac is not None:
                codes = (v[n, b].clamp(-dac.v_max if dac.signed else 0.0, dac.v_max) / dac.v_lsb).round().int().tolist()
                if dac.bit_serial:
                    intervals = []
                    for k in range(dac.n_planes):
                        drive = [dac.v_max * (1 if code > 0 else -1) * (abs(code) >> k & 1) for code in codes]
                        intervals.append((torch.tensor(drive, dtype=torch.float64), 2**k * dac.v_lsb / dac.v_max))
                else:
                    intervals = [(torch.tensor(codes, dtype=torch.float64) * dac.v_lsb, 1.0)]
            for tile in placement.tiles:
                for drive, weight in intervals:
                    current = torch.zeros(tile.cols, dtype=torch.float64)
                    for r in range(tile.rows):
                        line = tile.row_line + r
                        cells = g[n, line, tile.col_line : tile.col_line + tile.cols]
                        current += law(drive[line // h] * placement.row_gain[line % h]) * cells
                    sensed = [
                        (tile.col + k, (tile.col_line + k) // c, placement.col_gain[k % c], float(current[k]))
                        for k in range(tile.cols)
                    ]
                    if adc.subtract == "analogue":
                        sensed = [
                            (sensed[k][0], sensed[k][1], 1.0, sum(s[2] * s[3] for s in sensed[k : k + c]))
                            for k in range(0, tile.cols, c)
                        ]
                    for col, output, gain, amperes in sensed:
                        converter = [float(part[n, tile.array, col]) for part in array._columns.faults]
                        x = amperes / step * converter[0]
                        x += converter[2] * 4 * (x / high) * (1 - abs(x) / high) + converter[1]
                        code = min(max(round(x), low), high)
                        out[n, b, output] += weight * gain * code * step
    return out


FAULTS = {"offset": 0.7, "gain": 0.05, "inl": 1.5}


@pytest.mark.parametrize(
    ("mapping", "dac", "adc"),
    [
        (DifferentialPair(), SERIAL, ADC(bits=6)),
        (DifferentialPair(), SERIAL, ADC(bits=6, columns_per_adc=4, **FAULTS)),
        (DifferentialPair(), SIGNED, ADC(bits=6, signed=True, columns_per_adc=2, **FAULTS)),
        (DifferentialPair(), SERIAL, ADC(bits=6, signed=True, subtract="analogue", **FAULTS)),
        (DifferentialPair(lines="rows"), SERIAL, ADC(bits=6, signed=True, **FAULTS)),
        (DifferentialPair(copies=(2, 2)), PARALLEL, ADC(bits=6, **FAULTS)),
        (DifferentialPair(), None, ADC(bits=6, signed=True, i_max=10e-6)),
    ],
    ids=["serial", "shared", "signed", "analogue", "rows", "parallel", "no dac"],
)
def test_conversions_agree_with_loops(mapping, dac, adc):
    array, matrix = written(mapping, dac=dac, adc=adc)
    v = volts(dac)
    i_col = array.read(v, matrix.placement)
    expected = by_loops(array, matrix, v)
    assert_close(i_col, expected, rtol=1e-12, scale=float(expected.abs().max()))


def test_conversions_behind_wires_agree_with_loops():
    array, matrix = written(DifferentialPair(), dac=SERIAL, adc=ADC(bits=6), wires=Wires(r_row=50.0, r_col=20.0))
    v = torch.rand(2, 3, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.2
    expected = by_loops(array, matrix, v)
    assert_close(array.read(v, matrix.placement), expected, rtol=1e-12, scale=float(expected.abs().max()))


@pytest.mark.parametrize(
    ("mapping", "dac", "adc"),
    [
        (DifferentialPair(), SERIAL, ADC(bits=6, columns_per_adc=4, **FAULTS)),
        (DifferentialPair(), SIGNED, ADC(bits=6, signed=True, subtract="analogue", **FAULTS)),
        (DifferentialPair(lines="rows"), PARALLEL, ADC(bits=6, signed=True, **FAULTS)),
        (DifferentialPair(copies=(2, 2)), None, ADC(bits=8, signed=True, i_max=1e-4)),
    ],
    ids=["serial", "analogue", "rows", "no dac"],
)
@pytest.mark.filterwarnings("ignore:.*beyond the full scale of its ADC")  # by the data sheet; sinh carries more
def test_conversions_of_cells_beyond_ohm_agree_with_loops(mapping, dac, adc):
    array, matrix = written(mapping, Cell(LAW, conduction=SinhConduction(v0=0.05)), dac=dac, adc=adc)
    v = volts(dac)
    expected = by_loops(array, matrix, v, lambda v: 0.05 * torch.sinh(v / 0.05))
    assert_close(array.read(v, matrix.placement), expected, rtol=1e-12, scale=float(expected.abs().max()))


def test_a_fine_converter_sees_what_cells_beyond_ohm_carry_through_wires():
    parts = {"wires": Wires(r_row=40.0, r_col=20.0), "dac": PARALLEL}
    v = torch.rand(2, 3, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.2
    reads = []
    for adc in (None, ADC(bits=30, i_max=1e-2)):
        array, matrix = written(DifferentialPair(), Cell(LAW, conduction=SinhConduction(v0=0.05)), adc=adc, **parts)
        reads.append(array.read(v, matrix.placement))
    assert_close(reads[1], reads[0], rtol=1e-5, scale=float(reads[0].abs().max()))


def test_noise_of_cells_beyond_ohm_is_a_fraction_of_their_currents():
    law = Cell(LAW, read_noise=ReadNoise(fraction=0.02), conduction=SinhConduction(v0=0.05))
    array, matrix = written(DifferentialPair(), law, adc=ADC(bits=30, i_max=1e-2))
    v = torch.full((2, 4_000, 14), 0.15, dtype=torch.float64)
    found = array.read(v, matrix.placement).std(dim=1)
    i_cell = array.bank.conductance_at(matrix.cells)[0] * 0.05 * math.sinh(3.0)
    assert_close(found, (0.02 * i_cell).square().sum(1).unflatten(-1, (-1, 2)).sum(-1).sqrt(), rtol=0.06)


@settings(max_examples=12)
@given(bits=st.integers(2, 10), signed=st.booleans(), seed=st.integers(0, 100))
def test_bit_serial_input_with_an_ideal_converter_is_one_product(bits, signed, seed):
    """The same numbers as a parallel DAC, and as a fine ADC behind the bit planes."""
    v = (torch.rand(2, 3, 14, generator=generator(seed, "v"), dtype=torch.float64) - 0.5 * signed) * 0.25
    parallel, serial = (DAC(bits=bits, v_max=0.2, signed=signed, bit_serial=how) for how in (False, True))
    currents = []
    for dac, adc in ((parallel, None), (serial, None), (serial, ADC(bits=40, signed=True))):
        array, matrix = written(DifferentialPair(), dac=dac, adc=adc)
        currents.append(array.read(v, matrix.placement))
    scale = float(currents[0].abs().max()) or 1.0
    assert torch.equal(currents[0], currents[1])
    assert_close(currents[2], currents[0], rtol=1e-9, scale=scale)


def test_read_noise_of_bit_planes_collapses_exactly():
    """Variance of one product against that of real planes behind a fine converter, by sampling and by formula."""
    law = Cell(LAW, read_noise=ReadNoise(floor=1e-6))
    v = torch.full((2, 4_000, 14), 0.2 * 11 / 15, dtype=torch.float64)  # code 1011
    spreads = []
    for adc in (None, ADC(bits=30)):
        array, matrix = written(DifferentialPair(), law, dac=SERIAL, adc=adc)
        spreads.append(array.read(v, matrix.placement).std(1))
    sigma = 1e-6 * (0.2 / 15) * (64 + 4 + 1) ** 0.5 * (14 * 2) ** 0.5
    for spread in spreads:
        assert_close(spread, torch.full_like(spread, sigma), rtol=0.06)
        assert_close(spread.mean(), sigma, rtol=0.015)


def test_read_noise_reaches_a_coarse_converter_before_it_rounds():
    array, matrix = written(
        DifferentialPair(), Cell(LAW, read_noise=ReadNoise(floor=1e-6)), dac=SERIAL, adc=ADC(bits=6)
    )
    v = torch.full((2, 500, 14), 0.2, dtype=torch.float64)
    step = array.full_scale(matrix.placement) / 63 * (0.2 / 15) / 0.2
    codes = array.read(v, matrix.placement) / step
    assert_close(codes, codes.round(), rtol=1e-9, scale=1.0)
    assert float(codes.std(1).min()) > 1


def test_noise_of_the_converter():
    array, matrix = written(DifferentialPair(), dac=PARALLEL, adc=ADC(bits=12, noise=3.0))
    v = torch.full((2, 4_000, 14), 0.2, dtype=torch.float64)
    step = array.full_scale(matrix.placement) / 4095
    spread = array.read(v, matrix.placement).std(1) / step
    n_conversions = 2 * 2  # two lines a weight, two tiles above one another
    assert_close(spread.mean(), (n_conversions * (9 + 1 / 12)) ** 0.5, rtol=0.02)


def test_ranging_finds_the_largest_current_of_a_line():
    array, matrix = written(DifferentialPair(), dac=SERIAL, adc=ADC(bits=6))
    v = torch.rand(2, 6, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.2
    with array.ranging(headroom=0.8):
        watched = array.read(v, matrix.placement)
    ideal, twin = written(DifferentialPair(), dac=SERIAL)
    assert_close(watched, ideal.read(v, twin.placement), rtol=1e-9, scale=float(watched.abs().max()))
    largest = 0.0
    g, _ = array._reader.seen.at(matrix.cells)
    for plane, _ in RowVoltages.of(v, SERIAL).intervals():
        for tile in matrix.placement.tiles:
            rows = slice(tile.row_line, tile.row_line + tile.rows)
            largest = max(
                largest, float((plane[..., rows] @ g[:, rows, tile.col_line : tile.col_line + tile.cols]).max())
            )
    assert_close(array.full_scale(matrix.placement), 0.8 * largest, rtol=1e-9)
    expected = by_loops(array, matrix, v)
    assert_close(array.read(v, matrix.placement), expected, rtol=1e-12, scale=float(expected.abs().max()))


def test_before_ranging_the_data_sheet_gives_the_range():
    array, matrix = written(DifferentialPair(), dac=SERIAL, adc=ADC(bits=6))
    assert_close(array.full_scale(matrix.placement), 12 * 20e-6 * 0.2, rtol=1e-12)
    array, matrix = written(DifferentialPair(), dac=SERIAL, adc=ADC(bits=6, i_max=3e-6))
    assert_close(array.full_scale(matrix.placement), 3e-6, rtol=1e-12)


def test_state_holds_faults_and_ranges():
    parts = {"dac": SERIAL, "adc": ADC(bits=6, **FAULTS)}
    v = torch.rand(2, 6, 14, generator=generator(0, "v"), dtype=torch.float64) * 0.2
    array, matrix = written(DifferentialPair(), **parts)
    with array.ranging():
        array.read(v, matrix.placement)
    other = Chip(LAW, n_arrays=8, rows=12, cols=9, n_chips=2, seed=99, dtype=torch.float64, **parts)
    twin = Matrix(other, "w", (5, 14), mapping=DifferentialPair())
    other.load_state_dict(matrix.chip.state_dict())
    twin.g_per_w = matrix.g_per_w
    assert torch.equal(other.array.read(v, twin.placement), array.read(v, matrix.placement))


def test_columns_that_share_a_converter_share_its_faults():
    array, _ = written(DifferentialPair(), adc=ADC(bits=6, columns_per_adc=4, offset=1.0))
    assert array._columns is not None
    offset = array._columns.faults.offset
    assert offset.shape == (2, 8, 9)
    assert torch.equal(offset[..., 0], offset[..., 3])
    assert not torch.equal(offset[..., 3], offset[..., 4])
    assert torch.equal(offset[..., 4], offset[..., 7])
    assert float(offset.std()) > 0.5


def test_macro_of_yao():
    macro = yao2020_macro()
    assert (macro.dac.n_planes, macro.dac.bit_serial, macro.adc.bits, macro.adc.columns_per_adc) == (8, True, 8, 4)


def test_reads_count_every_interval():
    array, matrix = written(DifferentialPair(), dac=SERIAL)
    before = array.books.activity.n_reads
    array.read(torch.zeros(2, 3, 14, dtype=torch.float64), matrix.placement)
    assert array.books.activity.n_reads - before == 2 * 3 * len(matrix.placement.tiles) * 4


def test_bad_arguments():
    with pytest.raises(OutOfRangeError, match="`bits` must be an integer >= 1"):
        ADC(bits=0)
    with pytest.raises(OutOfRangeError, match="`i_max` must be > 0 A"):
        ADC(bits=4, i_max=0.0)
    with pytest.raises(OutOfRangeError, match="`offset` must be >= 0"):
        ADC(bits=4, offset=-1.0)
    with pytest.raises(OutOfRangeError, match="`subtract` must be 'digital' or 'analogue'"):
        ADC(bits=4, subtract="both")  # type: ignore[arg-type]
    with pytest.raises(OutOfRangeError, match="`signed` must be true where differences are converted"):
        ADC(bits=4, subtract="analogue")
    v = torch.full((2, 1, 14), 0.1, dtype=torch.float64)
    array, matrix = written(DifferentialPair(), adc=ADC(bits=4))
    with pytest.raises(OutOfRangeError, match="`signed` of the ADC must be true for negative row voltages"):
        array.read(-v, matrix.placement)
    with pytest.raises(OutOfRangeError, match="`read_transposed` needs"):
        array.read_transposed(v[..., :5], matrix.placement)
    rows, on_rows = written(DifferentialPair(lines="rows"), adc=ADC(bits=4))
    with pytest.raises(OutOfRangeError, match="where rows are driven both ways"):
        rows.read(v, on_rows.placement)
    with (
        pytest.raises(OutOfRangeError, match="must have an ADC"),
        written(DifferentialPair())[0].ranging(),
    ):
        pass
    with pytest.raises(OutOfRangeError, match="`headroom` must be > 0"), array.ranging(headroom=0.0):
        pass


def test_tiles_must_keep_the_lines_of_an_output_together():
    from ohmweave.arrays import Placement, Tile, cells_of

    tiles = (
        Tile(array=0, row=0, col=0, rows=2, cols=3, row_line=0, col_line=0),
        Tile(array=0, row=0, col=3, rows=2, cols=1, row_line=0, col_line=3),
    )
    placement = Placement(tiles=tiles, cells=cells_of(tiles, rows=4, cols=4), col_gain=(1.0, -1.0))
    array = SimulatedArray(LAW, rows=4, cols=4, adc=ADC(bits=4))
    with pytest.raises(ShapeError, match="tiles must keep the 2 lines of an output together"):
        array.read(torch.zeros(1, 2), placement)


def test_a_converter_is_printed_in_a_line():
    assert repr(ADC(bits=8, columns_per_adc=4)) == "ADC(bits=8, unsigned, range from data, columns_per_adc=4)"
    assert repr(ADC(bits=6, signed=True, i_max=1e-6, inl=0.5, subtract="analogue")) == (
        "ADC(bits=6, signed, i_max=1e-06 A, inl=0.5, analogue subtraction)"
    )


def test_a_failed_ranging_leaves_all_ranges():
    array, matrix = written(DifferentialPair(), dac=SERIAL, adc=ADC(bits=6))
    before = array.full_scale(matrix.placement)

    def watched(*sizes: int) -> None:
        with array.ranging():
            for n_in in sizes:
                array.read(torch.full((2, 3, n_in), 0.1, dtype=torch.float64), matrix.placement)

    with pytest.raises(ShapeError):
        watched(14, 13)  # the first read is watched, the second fails
    assert array.full_scale(matrix.placement) == before


@pytest.mark.parametrize("serial", [True, False])
def test_negative_codes_into_an_unsigned_converter_are_refused(serial: bool) -> None:
    """Their currents were cut at code 0 without a word where the bits are sent one after another."""
    dac = DAC(bits=5, v_max=0.2, signed=True, bit_serial=serial)
    array, matrix = written(DifferentialPair(), dac=dac, adc=ADC(bits=6))
    v = torch.full((2, 1, 14), 0.1, dtype=torch.float64)
    array.read(v, matrix.placement)
    with pytest.raises(OutOfRangeError, match="`signed` of the ADC must be true for negative row voltages"):
        array.read(torch.where(torch.arange(14) == 3, -v, v), matrix.placement)

"""The row converter against the nearest of its codes, searched one by one."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.arrays import DAC, SimulatedArray
from ohmweave.arrays.converters.row_voltages import RowVoltages
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import LinearStep
from tests.helpers import assert_close

CELL = LinearStep(g_min=2e-6, g_max=20e-6)


def codes(dac: DAC) -> list[float]:
    if not dac.signed:
        return [dac.v_max * k / (2**dac.bits - 1) for k in range(2**dac.bits)]
    top = 2 ** (dac.bits - 1) - 1
    return [dac.v_max * k / top for k in range(-top, top + 1)]


@given(st.integers(2, 8), st.booleans(), st.floats(0.05, 3.0), st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=20))
def test_the_nearest_code_is_driven(bits: int, signed: bool, v_max: float, at: list[float]) -> None:
    dac = DAC(bits=bits, v_max=v_max, signed=signed)
    v = torch.tensor(at, dtype=torch.float64) * v_max
    if not signed:
        v = v.abs()
    out = dac.convert(v)
    for asked, driven in zip(v.tolist(), out.tolist(), strict=True):
        assert min(abs(driven - code) for code in codes(dac)) <= 1e-12 * v_max
        best = min(abs(asked - code) for code in codes(dac))
        assert abs(asked - driven) <= best + 1e-12 * v_max
    assert_close(dac.convert(out), out, rtol=1e-12, scale=v_max)  # a code stays


def test_codes_of_the_paper() -> None:
    dac = DAC(bits=8, v_max=0.2)
    v = torch.tensor([-0.0003, 0.0, 0.0003, 0.0004, 0.1001, 0.2, 0.3], dtype=torch.float64)
    expected = [0.0, 0.0, 0.0, 0.2 / 255, 0.2 * 128 / 255, 0.2, 0.2]
    assert_close(dac.convert(v), expected, rtol=1e-12)
    assert_close(dac.v_lsb, 0.2 / 255, rtol=1e-12)


def test_signed_codes_are_even_about_zero() -> None:
    v = torch.tensor([-1.0, -0.2, -0.06, 0.0, 0.06, 1.0], dtype=torch.float64)
    out = DAC(bits=4, v_max=0.7, signed=True).convert(v)
    assert_close(out, [-0.7, -0.2, -0.1, 0.0, 0.1, 0.7], rtol=1e-9)


def test_what_is_given_is_not_changed() -> None:
    v = torch.tensor([0.123])
    DAC(bits=2, v_max=0.2).convert(v)
    assert v.tolist() == torch.tensor([0.123]).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 0}, "`bits` must be an integer >= 1"),
        ({"bits": 1, "signed": True}, "`bits` must be an integer >= 2"),
        ({"v_max": 0.0}, "`v_max` must be > 0 V"),
    ],
)
def test_bad_arguments(changes: dict[str, object], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        DAC(**({"bits": 8, "v_max": 0.2} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("wrong", [-0.1, float("nan")])
def test_an_unsigned_converter_refuses_what_it_cannot_drive(serial: bool, wrong: float) -> None:
    """It used to drive 0 V in place of a negative voltage, without a word."""
    v = torch.tensor([[0.1, wrong], [0.0, 0.2]], dtype=torch.float64)
    with pytest.raises(OutOfRangeError, match=r"`v_row` must be >= 0 V for a DAC without sign, .*DAC\(signed=True\)"):
        DAC(bits=8, v_max=0.2, bit_serial=serial).codes(v)
    if wrong < 0:
        assert_close(DAC(bits=8, v_max=0.2, signed=True).convert(v), v, rtol=0.01, scale=0.2)


def test_an_empty_batch_has_no_negative_voltage() -> None:
    assert DAC(bits=8, v_max=0.2).codes(torch.empty(0, 3)).shape == (0, 3)


def test_a_converter_must_reach_the_read_voltage() -> None:
    with pytest.raises(OutOfRangeError, match=r"`v_max` of the DAC must be >= v_read = 0.2 V.*but is 0.1 V"):
        SimulatedArray(CELL, rows=2, cols=2, dac=DAC(bits=4, v_max=0.1))
    SimulatedArray(CELL, rows=2, cols=2, v_read=0.1, dac=DAC(bits=4, v_max=0.1))


@pytest.mark.parametrize("bits", [1, 5, 8])
@pytest.mark.parametrize("signed", [False, True])
def test_codes_volts_and_intervals_of_one_drive_agree(bits: int, signed: bool) -> None:
    """Codes are made once; volts, bit planes and what multiplies a variance follow from them."""
    bits += signed
    v = (torch.rand(3, 7, dtype=torch.float64, generator=generator(0, "v")) - 0.5 * signed) * 0.3
    for serial in (False, True):
        dac = DAC(bits=bits, v_max=0.2, signed=signed, bit_serial=serial)
        row = RowVoltages.of(v, dac)
        assert_close(row.v, dac.convert(v), rtol=1e-12, scale=0.2)
        assert len(row.intervals()) == dac.n_planes
        assert_close(sum(drive * weight for drive, weight in row.intervals()), row.v, rtol=1e-12, scale=0.2)
        square = row.square(dac.square_table(v) if serial else None)
        # Noise of independent reads adds up in squares: of each interval's voltage, times its weight.
        assert_close(square, sum((drive * weight) ** 2 for drive, weight in row.intervals()), rtol=1e-12, scale=0.04)
    plain = RowVoltages.of(v, None)
    assert plain.v is v
    assert plain.v_per_number == 1.0
    assert plain.intervals() == [(v, 1.0)]


def test_converters_are_printed_in_a_line() -> None:
    assert repr(DAC(bits=8, v_max=0.2, bit_serial=True)) == "DAC(bits=8, v_max=0.2 V, unsigned, bit-serial)"
    assert repr(DAC(bits=4, v_max=1.0, signed=True)) == "DAC(bits=4, v_max=1 V, signed)"

"""The row converter against the nearest of its codes, searched one by one."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from ohmweave.arrays import DAC
from ohmweave.base import OutOfRangeError
from tests.helpers import assert_close


def codes(dac: DAC) -> list[float]:
    if not dac.signed:
        return [dac.v_max * k / (2**dac.bits - 1) for k in range(2**dac.bits)]
    top = 2 ** (dac.bits - 1) - 1
    return [dac.v_max * k / top for k in range(-top, top + 1)]


@given(st.integers(2, 8), st.booleans(), st.floats(0.05, 3.0), st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=20))
def test_the_nearest_code_is_driven(bits: int, signed: bool, v_max: float, at: list[float]) -> None:
    dac = DAC(bits=bits, v_max=v_max, signed=signed)
    v = torch.tensor(at, dtype=torch.float64) * v_max
    out = dac.convert(v)
    for asked, driven in zip(v.tolist(), out.tolist(), strict=True):
        assert min(abs(driven - code) for code in codes(dac)) <= 1e-12 * v_max
        best = min(abs(asked - code) for code in codes(dac))
        assert abs(asked - driven) <= best + 1e-12 * v_max
    assert_close(dac.convert(out), out, rtol=1e-12, scale=v_max)  # a code stays


def test_codes_of_the_paper() -> None:
    dac = DAC(bits=8, v_max=0.2)
    v = torch.tensor([-0.1, 0.0, 0.0003, 0.0004, 0.1001, 0.2, 0.3], dtype=torch.float64)
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

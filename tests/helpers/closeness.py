"""Relative comparison without an absolute tolerance.

In SI units the usual absolute tolerances (1e-8 and the like) accept a conductance or an energy that is wrong by
any factor, so `torch.allclose`, `np.isclose`, `pytest.approx` and friends are banned here (ruff: TID251).
"""

from typing import Any

import numpy as np
import torch


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)


def assert_close(actual: Any, expected: Any, *, rtol: float, scale: float | None = None) -> None:
    """Fail unless |actual - expected| <= rtol * |expected| everywhere, or rtol * `scale` where `scale` is given.

    `scale` is a physical size in the unit of the values (the largest current, say), for entries that cancel to
    nearly zero. Shapes must be equal: nothing is broadcast.
    """
    a, e = _array(actual), _array(expected)
    assert a.shape == e.shape, f"shapes differ: {a.shape} and {e.shape}"
    assert scale is None or abs(scale) > 0, "`scale` is zero: nothing was compared with it"
    assert np.isfinite(a).all(), "`actual` is not finite everywhere"
    assert np.isfinite(e).all(), "`expected` is not finite everywhere"
    limit = rtol * (np.abs(e) if scale is None else np.full_like(e, abs(scale)))
    error = np.abs(a - e)
    if (error > limit).any():
        worst = np.unravel_index(np.argmax(error - limit), error.shape)
        raise AssertionError(
            f"{int((error > limit).sum())} of {error.size} entries differ; worst at {tuple(map(int, worst))}: "
            f"{a[worst]!r} against {e[worst]!r}, error {error[worst]:.3e}, allowed {limit[worst]:.3e}"
        )

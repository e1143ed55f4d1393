"""`Conv2d` on ideal fine cells against `torch.nn.Conv2d`, and its patches against a loop over pixels."""

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from ohmweave.arrays import DAC
from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling
from ohmweave.nn import Conv2d, OnChip, patches
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
EXACT = BlindWrite(g_step=FINE.g_step)


def chip(n_chips: int | None = None, **changes: Any) -> Chip:
    return Chip(FINE, n_arrays=4, rows=64, cols=32, n_chips=n_chips, dtype=torch.float64, **changes)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed))


GEOMETRIES = [
    {},
    {"kernel_size": (2, 3)},
    {"stride": 2},
    {"stride": (2, 1), "padding": (0, 2)},
    {"padding": 1, "dilation": 2},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (2, 1), "dilation": (1, 2)},
    {"padding": "same"},
    {"padding": "same", "kernel_size": (4, 3), "dilation": (1, 2)},
    {"padding": "valid", "kernel_size": 1},
    {"kernel_size": 3, "stride": 3, "padding": 1},
]


def compare(
    n_chips: int | None, bias: bool, geometry: dict[str, Any], size: tuple[int, int] = (7, 8), **options: Any
) -> None:
    """Forward, and the gradients of image, weight and bias, chip by chip."""
    arguments: dict[str, Any] = {"kernel_size": 3} | geometry
    chips = () if n_chips is None else (n_chips,)
    ours = Conv2d(2, 3, **arguments, bias=bias, chip=chip(n_chips), name="c", on_chip=OnChip(**options))
    weight, offset = randn(*ours.weight.shape, seed=1), randn(*chips, 3, seed=2)
    ours.program(weight, EXACT)
    if bias:
        ours.bias.data.copy_(offset)
    x = randn((n_chips or 1) * 4, 2, *size, seed=3).requires_grad_()
    y = ours(x)
    grad = randn(*y.shape, seed=4)
    y.backward(grad)
    for k in range(n_chips or 1):
        pick, at = (k,) if chips else (), slice(4 * k, 4 * k + 4)
        theirs = torch.nn.Conv2d(2, 3, **arguments, bias=bias, dtype=torch.float64)
        theirs.weight.data.copy_(weight[pick])
        if bias:
            theirs.bias.data.copy_(offset[pick])
        x_k = x.detach()[at].clone().requires_grad_()
        y_k = theirs(x_k)
        y_k.backward(grad[at])
        assert_close(y[at], y_k, rtol=1e-6, scale=10.0)
        assert x.grad is not None
        assert_close(x.grad[at], x_k.grad, rtol=1e-6, scale=10.0)
        assert_close(ours.weight.grad[pick], theirs.weight.grad, rtol=1e-9, scale=50.0)
        if bias:
            assert_close(ours.bias.grad[pick], theirs.bias.grad, rtol=1e-9, scale=50.0)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's own, about the memory of an even kernel
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("n_chips", [None, 2])
def test_it_is_torchs_convolution(geometry: dict[str, Any], n_chips: int | None) -> None:
    compare(n_chips, bias=n_chips is not None, geometry=geometry)


@pytest.mark.parametrize(
    "options",
    [
        {"scaling": FixedScaling(10.0)},
        {"mapping": DifferentialPair(lines="rows", copies=(1, 2))},
        {"tile_rows": 9},
    ],
    ids=["fixed scaling", "pairs on rows, two copies", "a slice a tile"],
)
def test_however_it_is_placed_and_driven(options: dict[str, Any]) -> None:
    compare(2, bias=True, geometry={"padding": 1}, **options)


@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(5, 9), st.integers(5, 9)),
)
def test_any_geometry(kernel_size: Any, stride: Any, padding: Any, dilation: Any, size: tuple[int, int]) -> None:
    geometry = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    compare(None, bias=False, geometry=geometry, size=size)


def test_patches_are_a_loop_over_pixels() -> None:
    x = randn(2, 3, 6, 7)
    out = patches(x, (2, 3), (2, 1), (1, 2))
    assert out.shape == (2, 3, 3, 18)
    for n, row, col in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(3)).tolist():
        line = [
            float(x[n, channel, 2 * row + i, col + 2 * j]) for channel in range(3) for i in range(2) for j in range(3)
        ]
        assert out[n, row, col].tolist() == line


def test_each_patch_is_one_read_of_every_tile() -> None:
    ours = Conv2d(2, 3, 3, chip=chip(2), name="c", on_chip=OnChip(tile_rows=9))
    ours(randn(2 * 5, 2, 7, 6))
    assert len(ours.matrix.placement.tiles) == 2
    assert ours.matrix.chip.array.books.activity.n_reads == 2 * 5 * (5 * 4) * 2


def test_an_image_has_one_scale() -> None:
    """The largest pixel of an image gets the full read voltage, and no patch is stretched beyond."""
    seen: list[float] = []
    one = chip(dac=DAC(bits=8, v_max=0.2, signed=True))
    read = one.array.read_patches

    def watch(v: torch.Tensor, *where: Any) -> torch.Tensor:
        seen.append(float(v.abs().max()))
        return read(v, *where)

    one.array.read_patches = watch  # type: ignore[method-assign]
    ours = Conv2d(2, 3, 3, chip=one, name="c")
    ours(randn(4, 2, 5, 5))
    assert_close(seen, [0.2], rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 0}, "`in_channels` must be an integer >= 1"),
        ({"out_channels": 0}, "`out_channels` must be an integer >= 1"),
        ({"groups": 2}, "`groups` must divide `out_channels`, 3, but is 2"),
        ({"padding": "reflect"}, "`padding` must be a number, 2 numbers, 'same' or 'valid'"),
        ({"padding": "same", "stride": 2}, "`stride` must be 1 with padding 'same'"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        Conv2d(**({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "chip": chip(), "name": "c"} | changes))


def test_bad_calls() -> None:
    ours = Conv2d(2, 3, 3, chip=chip(), name="c")
    with pytest.raises(ShapeError, match=r"`x` must have the shape \(..., any, 2, any, any\)"):
        ours(randn(4, 3, 5, 5))
    with pytest.raises(ShapeError, match=r"`weight` must have the shape \(..., 3, 2, 3, 3\)"):
        ours.program(randn(2, 3, 3, 3), EXACT)
    with pytest.raises(ShapeError, match="`x` must have an image"):
        ours(randn(4, 2, 2, 5))


def test_it_says_where_it_is() -> None:
    assert repr(Conv2d(2, 3, 3, chip=chip(), name="c")) == "Conv2d(2, 3, kernel_size=(3, 3), on 'c')"

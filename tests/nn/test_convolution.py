"""The convolution on the array against torch's own convolution on the dense weights."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ohmweave.arrays import ConvGeometry
from ohmweave.base import generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, PerSampleScaling
from ohmweave.nn import Conv2d, OnChip, patches
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

IDEAL = LinearStep(g_min=1e-6, g_max=101e-6, levels=2**24)
WRITE = BlindWrite(g_step=IDEAL.g_step)
N_CHIPS = 2


def _wide() -> FixedScaling:
    """Wide enough for normal numbers, which the drivers must not cut."""
    return FixedScaling(20.0)


def layer(n_chips, scaling, *args, **kwargs):
    chip = Chip(IDEAL, rows=256, cols=64, n_chips=n_chips, dtype=torch.float64, n_arrays=4)
    conv = Conv2d(
        *args, **kwargs, bias=False, chip=chip, name="conv", on_chip=OnChip(scaling=scaling, mapping=DifferentialPair())
    )
    weight = torch.randn(conv.weight.shape, generator=generator(1, "w"), dtype=torch.float64)
    conv.program(weight, WRITE)
    return conv


def dense(conv, x):
    """The same by torch, chip by chip, from the weights read back."""
    weights = conv.weight.detach().unflatten(0, (-1,)) if conv.weight.dim() == 5 else conv.weight.detach()[None]
    left, right, top, bottom = conv.padding
    leaves = [weight.clone().requires_grad_() for weight in weights]
    outs = [
        F.conv2d(F.pad(part, (left, right, top, bottom)), leaf, stride=conv.stride, dilation=conv.dilation)
        for part, leaf in zip(x.chunk(len(leaves)), leaves, strict=True)
    ]
    return torch.cat(outs), leaves


CASES = [
    ((3, 4, 3), {}),
    ((1, 5, 3), {"padding": "same"}),
    ((3, 2, 2), {"padding": "same"}),
    ((2, 3, (2, 3)), {"padding": (1, 2), "stride": (2, 1)}),
    ((2, 3, (3, 2)), {"padding": 1, "stride": 3, "dilation": (1, 2)}),
    ((2, 3, 2), {"padding": 4}),
    ((3, 4, 3), {"padding": "valid", "stride": 2, "dilation": 2}),
]


@pytest.mark.parametrize("n_chips", [None, N_CHIPS])
@pytest.mark.parametrize("scaling", [PerSampleScaling, _wide])
@pytest.mark.parametrize(("args", "kwargs"), CASES)
def test_values_and_gradients_equal_torch(args, kwargs, scaling, n_chips):
    conv = layer(n_chips, scaling(), *args, **kwargs)
    x = torch.randn((n_chips or 1) * 3, args[0], 9, 8, generator=generator(2, "x"), dtype=torch.float64)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = conv(mine)
    expected, leaves = dense(conv, theirs)
    assert_close(y, expected, rtol=1e-9, scale=1.0)
    error = torch.randn(y.shape, generator=generator(3, "e"), dtype=torch.float64)
    (y * error).sum().backward()
    (expected * error).sum().backward()
    assert_close(mine.grad, theirs.grad, rtol=1e-9, scale=1.0)
    want = torch.stack([leaf.grad for leaf in leaves])
    assert_close(conv.weight.grad, want if n_chips else want[0], rtol=1e-9, scale=1.0)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("scaling", [PerSampleScaling, _wide])
@pytest.mark.parametrize(("args", "kwargs"), CASES)
def test_images_that_all_chips_share(args, kwargs, scaling, same):
    """As data come to a first layer, which gives no gradient back: worked on once, and only where they are the same."""
    conv = layer(N_CHIPS, scaling(), *args, **kwargs)
    x = torch.randn(3, args[0], 9, 8, generator=generator(2, "x"), dtype=torch.float64).repeat(N_CHIPS, 1, 1, 1)
    if not same:
        x[-1, -1, -1, -1] += 1
    y = conv(x)
    expected, leaves = dense(conv, x)
    assert_close(y, expected, rtol=1e-9, scale=1.0)
    error = torch.randn(y.shape, generator=generator(3, "e"), dtype=torch.float64)
    (y * error).sum().backward()
    (expected * error).sum().backward()
    assert_close(conv.weight.grad, torch.stack([leaf.grad for leaf in leaves]), rtol=1e-9, scale=1.0)


def test_layout_of_the_input_does_not_matter():
    conv = layer(None, None, 3, 4, 3)
    x = torch.randn(2, 3, 6, 5, dtype=torch.float64, generator=generator(2, "x"))
    assert_close(conv(x.contiguous(memory_format=torch.channels_last)), conv(x), rtol=1e-12, scale=1.0)


def test_a_black_image_stays_black():
    conv = layer(None, None, 1, 2, 3)
    assert (conv(torch.zeros(2, 1, 5, 5, dtype=torch.float64)) == 0).all()


WALKS = {
    "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
}


@given(**WALKS)
def test_lines_are_the_patches(kernel, stride, dilation):
    x = torch.randn(2, 3, 2, 7, 8, generator=generator(4, "x"), dtype=torch.float64)
    padding = (1, 0, 2, 1)
    geometry = ConvGeometry(kernel_size=kernel, stride=stride, dilation=dilation, padding=padding)
    expected = torch.stack([patches(F.pad(part, padding), kernel, stride, dilation) for part in x])
    assert geometry.out_size((7, 8)) == expected.shape[2:4]
    lines = geometry.im2col(x.movedim(-3, -1))
    assert torch.equal(lines.mT, expected.flatten(1, 3))
    assert_close(geometry.patch_sums(x.movedim(-3, -1)).sum(1), lines.sum(-1), rtol=1e-12, scale=1.0)


@given(**WALKS)
def test_scatter_is_the_adjoint_of_collect(kernel, stride, dilation):
    geometry = ConvGeometry(kernel_size=kernel, stride=stride, dilation=dilation, padding=(1, 0, 2, 1))
    chance = generator(5, "x")
    products = torch.randn(*kernel, 2, 3, 7, 8, generator=chance, dtype=torch.float64)
    collected = geometry.collect(products.clone())
    error = torch.randn(collected.shape, generator=chance, dtype=torch.float64)
    assert_close((collected * error).sum(), (products * geometry.scatter(error, (7, 8))).sum(), rtol=1e-9, scale=1.0)


@st.composite
def same_size(draw):
    """A geometry whose outputs are as many as the pixels, and an image, often smaller than the kernel's reach."""
    kernel, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    reach_h, reach_w = ((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
    left, top = draw(st.integers(0, reach_w)), draw(st.integers(0, reach_h))
    padding = (left, reach_w - left, top, reach_h - top)
    return ConvGeometry(kernel_size=kernel, dilation=dilation, padding=padding), draw(
        st.tuples(*2 * [st.integers(1, 6)])
    )


@given(same_size())
def test_shifted_runs_are_the_patches(walk_and_size):
    geometry, size = walk_and_size
    x = torch.randn(2, 3, 2, *size, generator=generator(4, "x"), dtype=torch.float64)
    taps = geometry.kernel_size, geometry.stride, geometry.dilation
    expected = torch.stack([patches(F.pad(part, geometry.padding), *taps) for part in x])
    assert geometry.out_size(size) == size
    lines = geometry.im2col(x.movedim(-3, -1))
    assert torch.equal(lines.mT, expected.flatten(1, 3))
    assert_close(geometry.patch_sums(x.movedim(-3, -1)).sum(1), lines.sum(-1), rtol=1e-12, scale=1.0)


@given(same_size())
def test_shifted_runs_collect_as_taps_do(walk_and_size):
    """Against patch by patch, the other order of the same sum."""
    geometry, size = walk_and_size
    chance = generator(5, "x")
    x = torch.randn(3, *size, 1, generator=chance, dtype=torch.float64)
    weight = torch.randn(*geometry.kernel_size, 2, generator=chance, dtype=torch.float64)
    products = weight[..., None, None, None] * x[..., 0]
    expected = weight.flatten(0, 1).mT @ geometry.im2col(x)
    collected = geometry.collect(products.clone())
    assert_close(collected.flatten(-3), expected, rtol=1e-9, scale=1.0)
    error = torch.randn(collected.shape, generator=chance, dtype=torch.float64)
    assert_close((collected * error).sum(), (products * geometry.scatter(error, size)).sum(), rtol=1e-9, scale=1.0)


def test_reads_are_one_a_patch():
    conv = layer(None, None, 1, 2, 3)
    array = conv.matrix.chip.array
    before = array.books.activity.n_reads
    conv(torch.ones(5, 1, 6, 7, dtype=torch.float64))
    assert array.books.activity.n_reads - before == 5 * 4 * 5

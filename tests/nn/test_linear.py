"""`Linear` on ideal fine cells against `torch.nn.Linear`: forward, gradients, chips."""

import copy
from typing import Any

import pytest
import torch

from ohmweave.base import OutOfRangeError, ShapeError, WeightOnChipError, generator
from ohmweave.cells import Cell, LinearStep, ReadNoise
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling
from ohmweave.nn import ArrayWeight, Linear, OnChip, matrix_of
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
EXACT = BlindWrite(g_step=FINE.g_step)


def chip(n_chips: int | None = None, device: Any = FINE) -> Chip:
    return Chip(device, n_arrays=4, rows=16, cols=16, n_chips=n_chips, dtype=torch.float64)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed))


def layer(n_chips: int | None = None, **options: Any) -> Linear:
    """5 to 3, with other weights and biases on every chip."""
    layer_options = {key: options.pop(key) for key in ("bias", "backward") if key in options}
    made = Linear(5, 3, chip=chip(n_chips), name="fc", on_chip=OnChip(**options), **layer_options)
    chips = () if n_chips is None else (n_chips,)
    made.program(randn(*chips, 3, 5, seed=1), EXACT)
    if made.bias is not None:
        made.bias.data.copy_(randn(*chips, 3, seed=2))
    return made


@pytest.mark.parametrize("n_chips", [None, 1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inner", [(), (4,)], ids=["vectors", "sequences"])
@pytest.mark.parametrize("mapping", [DifferentialPair(), DifferentialPair(lines="rows", copies=(2, 1))], ids=str)
def test_it_is_torchs_layer_chip_by_chip(
    n_chips: int | None, bias: bool, inner: tuple[int, ...], mapping: DifferentialPair
) -> None:
    ours = layer(n_chips, bias=bias, mapping=mapping)
    chips = n_chips or 1
    x = randn(chips * 6, *inner, 5, seed=3).requires_grad_()
    y = ours(x)
    grad = randn(*y.shape, seed=4)
    y.backward(grad)
    for k in range(chips):
        at = slice(6 * k, 6 * k + 6)
        theirs = torch.nn.Linear(5, 3, bias=bias, dtype=torch.float64)
        pick = (k,) if n_chips is not None else ()
        theirs.weight.data.copy_(randn(*(n_chips,) * (n_chips is not None), 3, 5, seed=1)[pick])
        if bias:
            theirs.bias.data.copy_(randn(*(n_chips,) * (n_chips is not None), 3, seed=2)[pick])
        x_k = x.detach()[at].clone().requires_grad_()
        y_k = theirs(x_k)
        y_k.backward(grad[at])
        assert_close(y[at], y_k, rtol=1e-6, scale=5.0)
        assert x.grad is not None
        assert_close(x.grad[at], x_k.grad, rtol=1e-6, scale=5.0)
        assert ours.weight.grad is not None
        assert_close(ours.weight.grad[pick], theirs.weight.grad, rtol=1e-9, scale=20.0)
        if bias:
            assert ours.bias is not None
            assert_close(ours.bias.grad[pick], theirs.bias.grad, rtol=1e-9, scale=20.0)


def test_the_backward_pass_uses_the_readout_of_its_forward_pass() -> None:
    ours = layer()
    x = randn(2, 5, seed=3).requires_grad_()
    ours.weight.refresh()
    y = ours(x)
    with torch.no_grad():
        before = ours.weight.clone()
    reads = ours.matrix.chip.array.books.activity.copy()
    y.sum().backward()
    assert x.grad is not None
    assert_close(x.grad, before.sum(0).expand(2, 5), rtol=1e-9)
    assert ours.matrix.chip.array.books.activity == reads  # no read on the way back


def test_or_reads_the_array_backwards() -> None:
    ours = layer(backward="array")
    x = randn(2, 5, seed=3).requires_grad_()
    y = ours(x)
    reads = ours.matrix.chip.array.books.activity.n_reads
    y.sum().backward()
    assert x.grad is not None
    assert_close(x.grad, ours.weight.detach().sum(0).expand(2, 5), rtol=1e-6, scale=3.0)
    assert ours.matrix.chip.array.books.activity.n_reads == reads + 2 * len(ours.matrix.placement.tiles)


def test_no_gradient_where_none_is_asked_for() -> None:
    ours = layer()
    ours.weight.requires_grad_(False)
    x = randn(2, 5, seed=3).requires_grad_()
    ours(x).sum().backward()
    assert ours.weight.grad is None
    assert x.grad is not None


def test_the_weight_is_the_last_readout() -> None:
    ours = layer(2)
    assert isinstance(ours.weight, torch.nn.Parameter)
    assert isinstance(ours.weight, ArrayWeight)
    assert matrix_of(ours.weight) is ours.matrix
    assert ours.bias is not None
    assert matrix_of(ours.bias) is None
    assert [name for name, _ in ours.named_parameters()] == ["weight", "bias"]
    assert_close(ours.weight, randn(2, 3, 5, seed=1), rtol=1e-6, scale=1.0)


def test_reads_are_noisy_and_the_weight_is_a_noisy_readout() -> None:
    device = Cell(FINE, read_noise=ReadNoise(fraction=0.02))
    ours = Linear(5, 3, bias=False, chip=chip(device=device), name="fc")
    x = randn(1, 5).expand(2_000, 5)
    y = ours(x).detach()
    assert float(y.std(0).min()) > 0
    assert len(set(y[:, 0].tolist())) > 1_900  # a number in 2^16 may come twice


def test_a_fixed_scale() -> None:
    ours = layer(scaling=FixedScaling(10.0))
    x = randn(4, 5, seed=3)
    assert_close(ours(x), x @ randn(3, 5, seed=1).T + randn(3, seed=2), rtol=1e-6, scale=5.0)


def test_what_is_refused() -> None:
    with pytest.raises(OutOfRangeError, match="`in_features` must be an integer >= 1"):
        Linear(0, 3, chip=chip(), name="fc")
    with pytest.raises(OutOfRangeError, match="`out_features` must be an integer >= 1"):
        Linear(3, -1, chip=chip(), name="fc")
    with pytest.raises(OutOfRangeError, match="`backward` must be 'readout' or 'array', but is 'magic'"):
        Linear(5, 3, chip=chip(), name="fc", backward="magic")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"`x` must have the shape \(..., any, 5\), but has \(2, 4\)"):
        layer()(randn(2, 4))
    with pytest.raises(ShapeError, match=r"`weight` must have the shape \(..., 3, 5\)"):
        layer().program(randn(5, 3), EXACT)
    with pytest.raises(WeightOnChipError, match="cannot be copied"):
        copy.deepcopy(layer())


def test_it_says_where_it_is() -> None:
    assert repr(layer()) == "Linear(in_features=5, out_features=3, on 'fc')"

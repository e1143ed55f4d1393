"""One- and two-bit layers against the printed conditions, neuron by neuron."""

import pytest
import torch

from ohmweave.base import OutOfRangeError
from ohmweave.cells import LinearStep
from ohmweave.mapping import CentredPair, Chip
from ohmweave.nn import AlwaysOn, BinaryStep, ErrorLoss, Linear, MarginError, OnChip, ThresholdError
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close


def test_a_comparator_gives_one_bit_and_lets_two_bits_back():
    z = torch.tensor([-1.5, -0.5, -0.5, 0.0, 0.5, 0.5, 1.5], requires_grad=True)
    y = BinaryStep(threshold=0.1, half_width=1.0)(z)
    assert y.tolist() == [0, 0, 0, 1, 1, 1, 1]
    y.backward(torch.tensor([5.0, 5.0, 0.1, -0.2, 0.05, -5.0, 5.0]))
    assert z.grad.tolist() == [0, 1, 0, -1, 0, -1, 0]


def test_the_bias_row_is_always_on():
    x = torch.tensor([[0.0, 2.0], [3.0, 4.0]])
    assert AlwaysOn()(x).tolist() == [[0, 2, 1], [3, 4, 1]]


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_margin_error_by_its_definition(margin):
    z = torch.tensor([[-1.0, -0.3, 0.0], [0.3, 0.6, -0.6]])
    labels = torch.tensor([1, 1])
    expected = []
    for row, label in zip(z.tolist(), labels.tolist(), strict=True):
        expected.append(
            [1 if j == label and v < margin else -1 if j != label and v >= -margin else 0 for j, v in enumerate(row)]
        )
    z.requires_grad_()
    loss = ErrorLoss(MarginError(margin))(z, labels)
    loss.backward()
    assert (-z.grad).tolist() == expected
    assert float(loss.detach()) == sum(abs(v) for row in expected for v in row)


def test_without_a_margin_the_error_is_target_minus_binary_output():
    z = torch.linspace(-1, 1, 30).view(10, 3)
    labels = torch.arange(10) % 3
    one_hot = torch.nn.functional.one_hot(labels, 3)
    assert torch.equal(MarginError(0.0)(z, one_hot), one_hot - (z >= 0).float())


def test_threshold_error_counts_large_errors_of_rectified_outputs():
    z = torch.tensor([[-3.0, 4.0, 6.0, 2.0]])
    one_hot = torch.tensor([[1, 0, 0, 0]])
    assert ThresholdError(5.0, 10.0)(z, one_hot).tolist() == [[1, 0, -1, 0]]
    assert ThresholdError(4.0, 10.0)(z, one_hot).tolist() == [[1, -1, -1, 0]]
    assert ThresholdError(5.0, 10.0)(torch.tensor([[5.0, 0, 0, 0]]), one_hot).tolist() == [[1, 0, 0, 0]]
    assert ThresholdError(5.0, 10.0)(torch.tensor([[16.0, 0, 0, 0]]), one_hot).tolist() == [[-1, 0, 0, 0]]


def test_errors_go_back_through_the_cells_as_they_are():
    """A transposed read costs a read; the product with the weight costs a readout, where pulses made it stale."""
    for backward in ("array", "readout"):
        chip = Chip(LinearStep(g_min=2e-6, g_max=20e-6, levels=100), rows=4, cols=8, dtype=torch.float64)
        layer = Linear(3, 2, bias=False, chip=chip, name="w", on_chip=OnChip(mapping=CentredPair()), backward=backward)
        old = torch.tensor([[0.5, -0.25, 0.1], [0.0, 0.3, -0.4]], dtype=torch.float64)
        layer.program(old, BlindWrite(g_step=18e-6 / 99))
        layer.weight.refresh()
        new = torch.tensor([[0.1, 0.1, 0.4], [0.2, -0.3, 0.0]], dtype=torch.float64)
        layer.matrix.program(new, BlindWrite(g_step=18e-6 / 99))
        before = chip.array.books.activity.copy()
        x = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
        layer(x).backward(torch.tensor([[1.0, -2.0]], dtype=torch.float64))
        spent = chip.array.books.activity - before
        assert (spent.n_reads, spent.n_readouts) == ((2, 0) if backward == "array" else (1, 12))
        used = layer.matrix.readout()
        assert_close(x.grad[0], used[0] - 2 * used[1], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: BinaryStep(threshold=-1), "`threshold`"),
        (lambda: BinaryStep(half_width=0), "`half_width`"),
        (lambda: MarginError(-1), "`margin`"),
        (lambda: ThresholdError(-1), "`threshold`"),
        (lambda: ThresholdError(target=0), "`target`"),
        (lambda: Linear(2, 2, chip=None, name="w", backward="none"), "`backward`"),
    ],
)
def test_wrong_arguments_are_named(make, named):
    with pytest.raises(OutOfRangeError, match=named):
        make()

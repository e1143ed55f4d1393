"""Arguments of layers, losses and records of `nn` that are refused by name, with nothing changed."""

from typing import Any

import pytest
import torch

import ohmweave as ow
from ohmweave.base import OutOfRangeError, ShapeError
from ohmweave.cells import LinearStep
from ohmweave.nn import (
    CalibratedLayer,
    CalibrationTable,
    ChipLayer,
    ConvLSTM,
    ErrorLoss,
    Linear,
    MarginError,
    NoiseAware,
    OnChip,
    array_convolution,
    array_product,
    measured,
    recalibrate_batch_norm,
)

ROW: dict[str, Any] = {
    "name": "fc", "kind": "Linear", "x_max": (1.0, 0.9), "inputs_clipped": (0.0, 0.01), "i_max": ((1e-6,), (2e-6,)),
    "currents_clipped": (0.1, 0.0), "error": (0.2, 0.05),
}  # fmt: skip


def chip(n_chips: int | None = None) -> ow.Chip:
    return ow.Chip(LinearStep(g_min=2e-6, g_max=20e-6), n_arrays=2, rows=16, cols=16, n_chips=n_chips)


@pytest.mark.parametrize(
    ("name", "value", "inside"),
    [
        ("x_max", (1.0, float("nan")), "x_max[1]"),
        ("x_max", (1.0,), "x_max"),
        ("inputs_clipped", (0.0, 1.5), "inputs_clipped[1]"),
        ("currents_clipped", (-0.1, 0.0), "currents_clipped[0]"),
        ("i_max", ((1e-6,), (-1e-6,)), "i_max[1][0]"),
        ("i_max", ((), ()), "i_max"),
        ("error", (0.1, float("inf")), "error[1]"),
        ("kind", 3, "kind"),
    ],
)
def test_a_calibrated_layer_holds_sound_numbers(name: str, value: Any, inside: str) -> None:
    with pytest.raises(OutOfRangeError) as caught:
        CalibratedLayer(**ROW | {name: value})
    assert str(caught.value).startswith(f"`{inside}` must ")


def test_a_calibration_table_holds_layers() -> None:
    row = CalibratedLayer(**ROW)
    assert "fc" in repr(CalibrationTable(rows=(row,), title="t"))
    with pytest.raises(TypeError, match=r"`rows\[1\]` must be a CalibratedLayer"):
        CalibrationTable(rows=(row, None), title="t")  # type: ignore[arg-type]


def test_labels_of_an_error_loss_are_class_numbers_one_for_each_output() -> None:
    loss, z = ErrorLoss(MarginError(margin=1.0)), torch.zeros(2, 3)
    for labels, error in (
        (torch.tensor([0, 3]), OutOfRangeError),
        (torch.tensor([-1, 0]), OutOfRangeError),
        (torch.tensor([0.0, 1.0]), OutOfRangeError),
        (torch.tensor([0]), ShapeError),
        (torch.tensor([[0, 1]]), ShapeError),
    ):
        with pytest.raises(error, match="`labels` must"):
            loss(z, labels)
    with pytest.raises(OutOfRangeError, match="`z` must be a floating point tensor"):
        loss(z.bool(), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="`error` must be a function"):
        ErrorLoss("margin")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3, 3), (3, 2, 3), (3, 2, 1.5), (3, -2, -2), "abc"])
def test_a_weight_shape_that_does_not_fit_leaves_the_matrix_placed_and_the_books_as_they_were(shape: Any) -> None:
    made = chip()
    matrix = OnChip().matrix(made, "fc", (3, 4))
    before = made.array.books.activity.copy()
    with pytest.raises(OutOfRangeError, match="`weight_shape"):
        ChipLayer(matrix, weight_shape=shape)
    assert "fc" in made.placed
    assert made.array.books.activity == before
    assert ChipLayer(matrix, weight_shape=(3, 2, 2)).weight.shape == (3, 2, 2)


def test_products_take_weights_on_a_chip() -> None:
    layer = Linear(5, 3, chip=chip(), name="fc")
    with pytest.raises(TypeError, match="`weight` must be a ArrayWeight"):
        array_product(torch.ones(2, 5), layer.weight.T)  # type: ignore[arg-type]
    conv = ow.nn.Conv2d(2, 3, 2, chip=chip(), name="conv")
    with pytest.raises(ShapeError, match="`x` must have 4 dimensions"):
        array_convolution(torch.ones(2, 4, 4), conv.weight, conv.geometry)


def test_other_objects_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="`cell` must be a ConvLSTMCell"):
        ConvLSTM(torch.nn.LSTMCell(2, 2))  # type: ignore[arg-type]
    for name, value in (("generator", 3), ("mapping", "pair"), ("layers", {"0": {}})):
        given: dict[str, Any] = {"generator": torch.Generator(), name: value}
        with pytest.raises(TypeError, match=f"`{name}"):
            NoiseAware(torch.nn.Sequential(torch.nn.Linear(2, 2)), chip(), **given)


def test_the_chip_of_measured_is_an_index() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3))
    net = ow.deploy(model, chip(2), write=ow.BlindWrite(g_step=1e-6))
    for value in (-1, 2, 0.5, True, None):
        with pytest.raises(OutOfRangeError, match="`chip` must be"):
            measured(net, model, chip=value)  # type: ignore[arg-type]


def test_statistics_that_are_not_finite_are_not_kept() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3)).eval()
    before = {name: leaf.clone() for name, leaf in model.state_dict().items()}
    with pytest.raises(OutOfRangeError, match="`batches` must give finite statistics"):
        recalibrate_batch_norm(model, [torch.tensor([[1.0, 2.0, float("inf")], [0.0, 1.0, 2.0]])])
    assert all(torch.equal(leaf, before[name]) for name, leaf in model.state_dict().items())
    assert not model[0].training

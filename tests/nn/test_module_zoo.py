"""Every class of `torch.nn` is decided: placed and equal to torch, digital, or refused with its remedy."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from ohmweave.base import ChipsMixedError, UnplaceableLayerError, WeightOnChipError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.nn import deploy, plan
from ohmweave.nn.nests import tree_leaves
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**24)
EXACT = BlindWrite(g_step=FINE.g_step)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A module, and the shapes of its inputs without the batch."""

    make: Callable[[], nn.Module]
    inputs: tuple[tuple[int, ...], ...]


def case(make: Callable[[], nn.Module], *inputs: tuple[int, ...]) -> Case:
    return Case(make=make, inputs=inputs)


ATTENTION = {"dim_feedforward": 12, "dropout": 0.0, "batch_first": True}

PLACED: dict[str, Case] = {
    "Linear": case(lambda: nn.Linear(4, 3), (4,)),
    "Bilinear": case(lambda: nn.Bilinear(4, 3, 2), (4,), (3,)),
    "Conv1d": case(lambda: nn.Conv1d(4, 6, 3, groups=2, padding=1), (4, 5)),
    "Conv2d": case(lambda: nn.Conv2d(4, 4, 3, groups=4, padding="same", padding_mode="circular"), (4, 4, 5)),
    "Conv3d": case(lambda: nn.Conv3d(2, 3, 2, stride=2, padding=1), (2, 4, 3, 3)),
    "ConvTranspose1d": case(lambda: nn.ConvTranspose1d(4, 2, 3, stride=2), (4, 5)),
    "ConvTranspose2d": case(lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1), (4, 3, 3)),
    "ConvTranspose3d": case(lambda: nn.ConvTranspose3d(2, 2, 2, stride=2), (2, 2, 3, 2)),
    "RNN": case(lambda: nn.RNN(4, 3, batch_first=True), (5, 4)),
    "LSTM": case(lambda: nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True), (5, 4)),
    "GRU": case(lambda: nn.GRU(4, 3, batch_first=True), (5, 4)),
    "RNNCell": case(lambda: nn.RNNCell(4, 3), (4,), (3,)),
    "LSTMCell": case(lambda: nn.LSTMCell(4, 3), (4,)),
    "GRUCell": case(lambda: nn.GRUCell(4, 3), (4,), (3,)),
    "MultiheadAttention": case(lambda: nn.MultiheadAttention(8, 2, batch_first=True), *((5, 8),) * 3),
    "TransformerEncoderLayer": case(lambda: nn.TransformerEncoderLayer(8, 2, **ATTENTION), (5, 8)),  # type: ignore[arg-type]
    "TransformerDecoderLayer": case(lambda: nn.TransformerDecoderLayer(8, 2, **ATTENTION), (5, 8), (4, 8)),  # type: ignore[arg-type]
    "TransformerEncoder": case(
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, **ATTENTION),  # type: ignore[arg-type]
            2,
            enable_nested_tensor=False,
        ),
        (5, 8),
    ),
    "TransformerDecoder": case(
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, **ATTENTION), 1),  # type: ignore[arg-type]
        (5, 8),
        (4, 8),
    ),
    "Transformer": case(
        lambda: nn.Transformer(8, 2, 1, 1, **ATTENTION),  # type: ignore[arg-type]
        (5, 8),
        (4, 8),
    ),
}

DIGITAL: dict[str, Case] = {
    "BatchNorm1d": case(lambda: nn.BatchNorm1d(4), (4, 2)),
    "BatchNorm2d": case(lambda: nn.BatchNorm2d(2), (2, 2, 2)),
    "BatchNorm3d": case(lambda: nn.BatchNorm3d(1), (1, 2, 2, 2)),
    "InstanceNorm1d": case(lambda: nn.InstanceNorm1d(2, affine=True), (2, 4)),
    "InstanceNorm2d": case(lambda: nn.InstanceNorm2d(2, affine=True), (2, 2, 2)),
    "InstanceNorm3d": case(lambda: nn.InstanceNorm3d(1, affine=True), (1, 2, 2, 2)),
    "LayerNorm": case(lambda: nn.LayerNorm(8), (8,)),
    "GroupNorm": case(lambda: nn.GroupNorm(2, 4), (4, 2)),
    "RMSNorm": case(lambda: nn.RMSNorm(8), (8,)),
    "PReLU": case(lambda: nn.PReLU(2), (2, 4)),
    "SyncBatchNorm": case(lambda: nn.SyncBatchNorm(4), ()),  # its forward needs processes on GPUs
}

REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "EmbeddingBag": (lambda: nn.EmbeddingBag(5, 4), r"EmbeddingBag: no layer on a chip.*`digital=\('one',\)`"),
    "ParameterList": (lambda: nn.ParameterList([torch.ones(2)]), r"ParameterList: no layer.*`digital=\('one',\)`"),
    "ParameterDict": (lambda: nn.ParameterDict({"a": torch.ones(2)}), r"ParameterDict: no layer.*`digital=\('one',\)`"),
    **{
        name: (lambda name=name: _lazy(name), "call the model once before it is deployed")  # type: ignore[misc]
        for name in dir(nn)
        if name.startswith("Lazy")
    },
}


def _lazy(name: str) -> nn.Module:
    kind = getattr(nn, name)
    made: nn.Module = kind(4, 3) if "Conv" in name else kind(4) if "Linear" in name else kind(affine=True)
    return made


# Base classes that cannot be called, and wrappers whose parameters are those of the modules inside.
ABSTRACT = {"Module", "Container", "RNNBase", "RNNCellBase", "DataParallel", "Sequential", "ModuleList", "ModuleDict"}

WITHOUT_PARAMETERS = set(
    """
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d
    AlphaDropout AvgPool1d AvgPool2d AvgPool3d BCELoss BCEWithLogitsLoss CELU CTCLoss ChannelShuffle
    CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d CosineEmbeddingLoss
    CosineSimilarity CrossEntropyLoss CrossMapLRN2d Dropout Dropout1d Dropout2d Dropout3d ELU
    FeatureAlphaDropout Flatten Fold FractionalMaxPool2d FractionalMaxPool3d GELU GLU GaussianNLLLoss Hardshrink
    Hardsigmoid Hardswish Hardtanh HingeEmbeddingLoss HuberLoss Identity KLDivLoss L1Loss LPPool1d LPPool2d
    LPPool3d LeakyReLU LocalResponseNorm LogSigmoid LogSoftmax MSELoss MarginRankingLoss MaxPool1d MaxPool2d
    MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d Mish MultiLabelMarginLoss MultiLabelSoftMarginLoss
    MultiMarginLoss NLLLoss NLLLoss2d PairwiseDistance PixelShuffle PixelUnshuffle PoissonNLLLoss RReLU ReLU
    ReLU6 ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d
    SELU SiLU Sigmoid SmoothL1Loss SoftMarginLoss Softmax Softmax2d Softmin Softplus Softshrink Softsign Tanh
    Tanhshrink Threshold TripletMarginLoss TripletMarginWithDistanceLoss Unflatten Unfold Upsample
    UpsamplingBilinear2d UpsamplingNearest2d ZeroPad1d ZeroPad2d ZeroPad3d
    """.split()  # noqa: SIM905 - a hundred names, one after the other
)

# Decided by a test of their own below.
APART = {"Embedding", "AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss"}


def test_every_class_is_decided() -> None:
    """A new class of torch fails here until somebody has decided what becomes of it."""
    found = {name for name, kind in vars(nn).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)}
    decided = [set(PLACED), set(DIGITAL), set(REFUSED), ABSTRACT, WITHOUT_PARAMETERS, APART]
    assert not found - set.union(*decided), "classes of torch.nn that nobody has decided"
    assert sum(map(len, decided)) == len(set.union(*decided)), "a class is decided twice"


@pytest.mark.parametrize("name", sorted(WITHOUT_PARAMETERS & set(vars(nn))))
def test_classes_without_parameters_have_none(name: str) -> None:
    kind = getattr(nn, name)
    needed = [
        one
        for one in list(inspect.signature(kind.__init__).parameters.values())[1:]
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    try:
        made = kind(*(2 for _ in needed))
    except Exception:  # noqa: BLE001 - an argument of another kind than a number
        pytest.skip("other arguments than numbers")
    assert not list(made.parameters())


def chip(n_chips: int | None) -> Chip:
    return Chip(FINE, n_arrays=16, rows=64, cols=64, n_chips=n_chips, dtype=torch.float64)


def inputs(shapes: tuple[tuple[int, ...], ...], batch: int) -> list[torch.Tensor]:
    same = len(set(shapes)) == 1
    made = [
        torch.randn(batch, *shape, dtype=torch.float64, generator=generator(0 if same else index, "zoo"))
        for index, shape in enumerate(shapes)
    ]
    return made[:1] * len(made) if same else made


def assert_equal_to_torch(net: nn.Module, software: nn.Module, given: list[Any]) -> None:
    ours, theirs = tree_leaves(net(*given)), tree_leaves(software(*given))
    assert len(ours) == len(theirs)
    for y, expected in zip(ours, theirs, strict=True):
        assert y.shape[y.dim() - expected.dim() :] == expected.shape
        assert_close(y, expected.expand(y.shape), rtol=1e-5, scale=float(expected.detach().abs().max()))


@pytest.mark.parametrize("name", PLACED)
@pytest.mark.parametrize("n_chips", [None, 1, 3])
def test_placed(name: str, n_chips: int | None) -> None:
    """On ideal chips the outputs are torch's, for one sample and seven, in training and evaluation."""
    torch.manual_seed(0)
    software = PLACED[name].make().double()
    planned = plan(software, chip(n_chips))
    assert any(row.on == "chip" for row in planned.rows)
    assert not planned.refused
    assert not planned.problems
    net = deploy(software, chip(n_chips), write=EXACT)
    for batch in (1, 7):
        for training in (True, False):
            given = inputs(PLACED[name].inputs, batch)
            assert_equal_to_torch(net.train(training), software.train(training), given)


class Shaped(nn.Module):
    """A linear layer of 8 outputs, which are the input of another layer."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.fc, self.one, self.shape = nn.Linear(4, 8), layer, shape

    def forward(self, x: torch.Tensor) -> Any:
        return self.one(self.fc(x).view(len(x), *self.shape))


@pytest.mark.parametrize("name", DIGITAL)
def test_digital(name: str) -> None:
    torch.manual_seed(0)
    shapes = DIGITAL[name].inputs
    software = Shaped(DIGITAL[name].make(), shapes[0]).double()
    (row,) = [row for row in plan(software, chip(None)).rows if row.name == "one"]
    assert (row.on, row.note) == ("digital", "no matrix")
    for n_chips in (None, 3):
        net = deploy(software, chip(n_chips), write=EXACT)
        assert net.digital == ("one",)
        for training in (True, False) if shapes[0] else ():
            assert_equal_to_torch(net.train(training), software.train(training), inputs(((4,),), 7))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, message = REFUSED[name]
    one = chip(None)
    with pytest.raises(UnplaceableLayerError, match=message):
        deploy(Shaped(make(), (8,)), one, write=EXACT)
    assert one.n_taken == 0
    assert plan(Shaped(make(), (8,)), one).refused == ("one",)


def test_an_embedding_is_digital_unless_it_is_asked_for() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3)).double()
    (row,) = [row for row in plan(model, chip(None)).rows if row.name == "0"]
    assert (row.on, row.note) == ("digital", "on the chip if asked: `layers={'0': OnChip()}`")
    for n_chips in (None, 3):
        net = deploy(model, chip(n_chips), write=EXACT)
        assert net.digital == ("0",)
        assert_equal_to_torch(net, model, [torch.arange(4)])


def test_losses_with_layers_inside() -> None:
    """Their layers are placed; their mean over the batch is no output of one chip among several."""
    torch.manual_seed(0)
    software = nn.AdaptiveLogSoftmaxWithLoss(8, 6, [2, 4], div_value=2.0).double()
    x, target = torch.randn(7, 8, dtype=torch.float64, generator=generator(0)), torch.arange(7) % 6
    assert_equal_to_torch(deploy(software, chip(None), write=EXACT), software, [x, target])
    with pytest.raises(ChipsMixedError, match=r"losses: `net\.loss`"):
        deploy(software, chip(3), write=EXACT)(x, target)


def test_a_loss_that_takes_the_weight_of_its_layer_is_refused_when_it_is_called() -> None:
    if "LinearCrossEntropyLoss" not in vars(nn):
        pytest.skip("this torch has no such class")
    software = nn.LinearCrossEntropyLoss(4, 3).double()
    x, target = torch.randn(7, 4, dtype=torch.float64, generator=generator(0)), torch.arange(7) % 3
    with pytest.raises(WeightOnChipError, match="would pass by the array"):
        deploy(software, chip(None), write=EXACT)(x, target)
    model = nn.ModuleDict({"fc": nn.Linear(4, 4).double(), "loss": software})
    assert deploy(model, chip(None), write=EXACT, digital=("loss.linear",)).on_chip == ("fc",)

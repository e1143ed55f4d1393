"""Reads of time steps that are checked once, against calls of the layer in each step."""

import pytest
import torch

import ohmweave as ow
from ohmweave.arrays import DAC
from ohmweave.arrays.reads.prepared_reads import StepReads
from ohmweave.base import OutOfRangeError
from ohmweave.cost import ledger
from ohmweave.mapping import Matrix
from ohmweave.nn import recurrent
from ohmweave.programming import BlindWrite

KINDS = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "RNN": torch.nn.RNN}


def deployed(model: torch.nn.Module, n_chips: int | None, **parts: DAC) -> ow.nn.Deployed:
    law = ow.cells.Cell(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ow.cells.ReadNoise(fraction=0.01))
    chip = ow.Chip(law, n_arrays=4, rows=64, cols=64, n_chips=n_chips, **parts)
    scaling = ow.mapping.FixedScaling(4.0)
    return ow.deploy(model, chip, write=BlindWrite(g_step=1e-7), scaling=lambda: scaling).eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_chips", [None, 2])
@torch.no_grad()
def test_outputs_and_counts_are_those_of_the_layers(
    kind: str, n_chips: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, with hooks that see each step's output as it was, and under a meter."""
    torch.manual_seed(0)
    model, x = KINDS[kind](5, 6, batch_first=True), torch.randn(3, 7, 5)
    seen: list[torch.Tensor] = []
    found = []
    for way in ("fast", "called", "hooked"):
        net = deployed(model, n_chips)
        seen.clear()
        if way == "called":
            monkeypatch.setattr(recurrent, "step_read", lambda layer: layer)
        else:
            monkeypatch.undo()
        if way == "hooked":
            layer = net.model.weight_hh_l0
            layer.register_forward_hook(lambda module, args, y: seen.append(y))
        net(x)  # the check that chips are apart
        seen.clear()
        with ledger(net) as bill:
            y = net(x)[0]
        found.append((y, bill.usage, net.chip.array.books._activity.n_reads, [one.clone() for one in seen]))
    (fast, usage, n_reads, _), called, hooked = found
    for other in (called, hooked):
        assert torch.equal(fast, other[0])
        assert usage == other[1]
        assert n_reads == other[2]
    assert len(hooked[3]) == 7


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_an_error_of_a_later_step_names_the_layer() -> None:
    """The state becomes negative, which a DAC without sign cannot drive."""
    torch.manual_seed(0)
    net = deployed(torch.nn.LSTM(5, 6, batch_first=True), None, dac=DAC(bits=6, v_max=0.2))
    with pytest.raises(OutOfRangeError, match=r"weight_hh_l0.*`v_row` must be >= 0 V"):
        net(torch.rand(3, 7, 5))


SCALINGS = {
    "fixed": lambda: ow.mapping.FixedScaling(4.0),
    "cut": lambda: ow.mapping.FixedScaling(0.1),  # states are beyond it
    "each vector": lambda: ow.mapping.PerSampleScaling(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("n_chips", [None, 2])
@torch.no_grad()
def test_prepared_reads_have_the_bits_and_counts_of_reads(
    kind: str, scaling: str, noise: float, n_chips: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a meter, with the first state given, and after cells have changed between two calls."""
    torch.manual_seed(0)
    model, x = KINDS[kind](5, 6, batch_first=True), torch.randn(3, 7, 5)
    read_noise = ow.cells.ReadNoise(fraction=noise) if noise else None
    law = ow.cells.Cell(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), read_noise=read_noise)
    found = []
    n_prepared = [0]

    def counted(reads: StepReads, h: torch.Tensor) -> torch.Tensor | None:
        y = read(reads, h)
        n_prepared[0] += y is not None
        return y

    read = StepReads.read
    monkeypatch.setattr(StepReads, "read", counted)
    for prepared in (True, False):
        chip = ow.Chip(law, n_arrays=4, rows=64, cols=64, n_chips=n_chips)
        net = ow.deploy(model, chip, write=BlindWrite(g_step=1e-7), scaling=SCALINGS[scaling]).eval()
        if not prepared:
            monkeypatch.setattr(Matrix, "step_reads", lambda matrix: None)
        outputs = [net(x)[0]]
        matrix = net.matrix("weight_hh_l0")
        matrix.program(-matrix.readout()[0] if n_chips else -matrix.readout(), BlindWrite(g_step=1e-7))
        outputs.append(net(x)[0])
        found.append((outputs, chip.array.books.activity.n_reads))
    assert all(torch.equal(a, b) for a, b in zip(found[0][0], found[1][0], strict=True))
    assert found[0][1] == found[1][1]
    assert not torch.equal(*found[0][0])
    assert n_prepared[0] > 0 or scaling == "cut"


@torch.no_grad()
def test_reads_are_not_prepared_under_a_meter() -> None:
    net = deployed(torch.nn.GRU(5, 6, batch_first=True), None)
    matrix = net.matrix("weight_hh_l0")
    assert matrix.step_reads() is not None
    with ledger(net):
        assert matrix.step_reads() is None

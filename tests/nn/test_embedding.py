"""An embedding is digital, or one-hot reads if it is asked for."""

import pytest
import torch
from torch import nn

from ohmweave.base import OutOfRangeError, UnplaceableLayerError
from ohmweave.nn import OnChip
from tests.helpers import assert_close
from tests.nn.sequence_models import F64, RTOL, normal, on_ideal_chips


def model(**how: object) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(9, 4, dtype=F64, **how), nn.Linear(4, 2, dtype=F64))  # type: ignore[arg-type]


TOKENS = torch.arange(14).view(7, 2) % 9
ASKED = {"0": OnChip()}


def test_it_is_digital_without_being_named() -> None:
    net = on_ideal_chips(model(), 3)
    assert (net.on_chip, net.digital) == (("1",), ("0",))
    assert_close(net(TOKENS), model()(TOKENS).expand(3, 7, 2, 2), rtol=RTOL, scale=1.0)


@pytest.mark.parametrize("n_chips", [None, 1, 3])
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_on_the_chip_it_is_torchs(padding_idx: int | None, n_chips: int | None) -> None:
    software = model(padding_idx=padding_idx)
    net = on_ideal_chips(software, n_chips, layers=ASKED)
    assert net.on_chip == ("0", "1")
    for tokens in (TOKENS, TOKENS[:1].int()):
        y, want = net(tokens), software(tokens)
        assert_close(y, want.expand(y.shape), rtol=RTOL, scale=1.0)
        error = normal(*want.shape)
        net.zero_grad()
        software.zero_grad()
        (y * error).sum().backward()
        (want * error).sum().backward()
        mine = net.weights["0"]
        assert_close(mine.grad, software[0].weight.grad.T.expand(mine.shape), rtol=RTOL, scale=1.0)


def test_reads_are_counted_and_tokens_checked() -> None:
    net = on_ideal_chips(model(), None, layers=ASKED, digital=["1"])
    before = net.chip.array.books.activity.copy()
    with torch.no_grad():
        net(TOKENS)
    assert (net.chip.array.books.activity - before).n_reads == 14
    for bad, message in ((torch.tensor([9]), "from 0 to 8"), (torch.tensor([-1]), "from 0 to 8")):
        with pytest.raises(OutOfRangeError, match=message):
            net(bad)
    with pytest.raises(OutOfRangeError, match="must be integers"):
        net(torch.zeros(2, dtype=F64))


def test_options_that_cells_cannot_have_are_refused() -> None:
    for how in ({"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}):
        with pytest.raises(UnplaceableLayerError, match=rf"0 \(Embedding: {next(iter(how))} cannot be kept"):
            on_ideal_chips(model(**how), None, layers=ASKED)

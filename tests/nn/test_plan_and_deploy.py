"""`plan` refuses what `deploy` refuses, with the same error, and nothing else."""

from typing import Any

import pytest
import torch
from torch import nn

import ohmweave as ow
from ohmweave.base import OutOfRangeError, UnplaceableLayerError
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import OnChip, deploy, plan
from tests.nn.networks import ViT
from tests.nn.test_plan import EXACT, FINE, Standardised, Unchanged, chip


def _nan(model: nn.Sequential) -> nn.Sequential:
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan
    return model


def _small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def _taken(name: str) -> Chip:
    one = chip(n_arrays=2)
    one.place(name, (6, 5))
    return one


def _converters(**parts: Any) -> Chip:
    return Chip(FINE, n_arrays=2, rows=64, cols=64, dtype=torch.float64, **parts)


class _Uncopied(nn.Linear):
    def __deepcopy__(self, memo: Any) -> Any:
        raise OutOfRangeError("`model` must be copied, but refuses")


RAMP: dict[str, Any] = {"v_set": 1.0, "v_reset": 1.2, "v_step": 0.1, "v_max": 2.0}
BEHIND_WIRES = ow.programming.CompensatedWrite(
    write=ow.WriteVerify(tolerance=1e-3), wires=ow.circuit.Wires(r_row=1.0, r_col=1.0)
)
ARRAY = {"0": OnChip(backward="array")}
DEPLOYMENTS: dict[str, Any] = {
    "right": lambda: (_small(), chip(), {}),
    "right, on several chips": lambda: (_small(), chip(n_chips=3), {"name": "net"}),
    "a name that is on the chip": lambda: (_small(), _taken("2"), {}),
    "a name with its prefix": lambda: (_small(), _taken("net.2"), {"name": "net"}),
    "a name without its prefix": lambda: (_small(), _taken("2"), {"name": "net"}),
    "a weight that is NaN": lambda: (_nan(_small()), chip(), {}),
    "backward by the array": lambda: (_small(), chip(), {"layers": ARRAY}),
    "backward that a convolution lacks": lambda: (nn.Sequential(nn.Conv2d(1, 2, 3)), chip(), {"layers": ARRAY}),
    "backward that an embedding lacks": lambda: (nn.Sequential(nn.Embedding(4, 3)), chip(), {"layers": ARRAY}),
    "no room": lambda: (nn.Sequential(nn.Linear(64, 64)), chip(n_arrays=1), {}),
    "no room on the arrays that are given": lambda: (_small(), chip(), {"layers": {"0": OnChip(arrays=())}}),
    "an array that is not there": lambda: (_small(), chip(), {"layers": {"0": OnChip(arrays=(24,))}}),
    "corners of other tiles": lambda: (_small(), chip(), {"layers": {"0": OnChip(corners=[(0, 0, 0), (1, 0, 0)])}}),
    "corners": lambda: (_small(), chip(), {"layers": {"0": OnChip(corners=[(1, 0, 0)])}}),
    "a corner that is taken": lambda: (_small(), _taken("w"), {"layers": {"0": OnChip(corners=[(0, 0, 0)])}}),
    "a layer that is not there": lambda: (_small(), chip(), {"layers": {"1": OnChip()}}),
    "a digital layer that is not there": lambda: (_small(), chip(), {"digital": ["3"]}),
    "all digital": lambda: (_small(), chip(), {"digital": ["*"]}),
    "a class token": lambda: (ViT().double(), chip(), {}),
    "a class of one's own": lambda: (nn.Sequential(Unchanged(3, 2)), chip(), {}),
    "a class that computes something else": lambda: (
        nn.Sequential(Standardised(1, 2, 3)),
        chip(),
        {"as_known": {Standardised: nn.Conv2d}},
    ),
    "nothing to place": lambda: (nn.ReLU(), chip(), {}),
    "a window that the cells lack": lambda: (_small(), chip(), {"mapping": DifferentialPair(g_high=1e-3)}),
    "too many lines for an array": lambda: (_small(), chip(), {"mapping": DifferentialPair(copies=(1, 40))}),
    "no model": lambda: ("model", chip(), {}),
    "no chip": lambda: (_small(), None, {}),
    "no mapping": lambda: (_small(), chip(), {"mapping": "pair"}),
    "an empty mapping": lambda: (_small(), chip(), {"mapping": 0}),
    "no write": lambda: (_small(), chip(), {"write": 5}),
    "a tolerance in uS": lambda: (_small(), chip(), {"write": ow.WriteVerify(tolerance=0.5)}),
    "a step above the window": lambda: (_small(), chip(), {"write": ow.BlindWrite(g_step=1e-3)}),
    "a tolerance of one layer": lambda: (
        _small(),
        chip(n_chips=2),
        {"layers": {"2": OnChip(write=ow.programming.IncrementalWrite(**RAMP, tolerance=1e-3))}},
    ),
    "a tolerance behind wires": lambda: (_small(), chip(), {"write": BEHIND_WIRES}),
    "no scaling": lambda: (_small(), chip(), {"scaling": int}),
    "no name": lambda: (_small(), chip(), {"name": 3}),
    "signs that do not fit": lambda: (
        _small(),
        _converters(dac=ow.arrays.DAC(bits=4, v_max=0.2, signed=True), adc=ow.arrays.ADC(bits=4)),
        {},
    ),
    "rows both ways": lambda: (
        _small(),
        _converters(dac=ow.arrays.DAC(bits=4, v_max=0.2), adc=ow.arrays.ADC(bits=4)),
        {"mapping": DifferentialPair(lines="rows")},
    ),
    "sizes not known": lambda: (nn.Sequential(nn.LazyLinear(3)), chip(), {}),
    "a copy that is refused": lambda: (nn.Sequential(_Uncopied(3, 2)), chip(), {"as_known": {_Uncopied: nn.Linear}}),
    "tied to a layer that stays digital": lambda: (_tied(), chip(), {"digital": ["1"]}),
    "on a chip already": lambda: (deploy(_small(), chip(), write=EXACT).model, chip(), {}),
}


RIGHT = ("right", "right, on several chips", "a name without its prefix", "backward by the array", "corners")


def _tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    model[1].weight = model[0].weight
    return model


def _raised(call: Any) -> Any:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, both must raise it
        return type(error), str(error)
    return None


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("what", DEPLOYMENTS)
def test_a_plan_refuses_exactly_what_deploy_refuses(what: str) -> None:
    model, one, options = DEPLOYMENTS[what]()
    options = {"write": EXACT} | options
    planned = _raised(lambda: plan(model, one, **options).check())
    if one is not None:
        activity = one.array.books.activity
        assert (activity.n_reads, activity.n_readouts, activity.n_set, activity.n_reset) == (0, 0, 0, 0)
    assert planned == _raised(lambda: deploy(model, one, **options))
    assert (planned is None) == (what in RIGHT)


def test_a_plan_shows_what_deploy_would_raise() -> None:
    planned = plan(_nan(_small()), chip())
    assert planned.problems == ("`weight` of '2' must be finite, but 1 entries are NaN or infinite",)
    assert "cannot be deployed: `weight` of '2' must be finite" in repr(planned)
    assert isinstance(planned.error, OutOfRangeError)


def test_a_refusal_of_many_layers_is_short() -> None:
    """Five layers and the number of others; the table of `plan` has all of them."""
    model = nn.Sequential(*(Unchanged(3, 3) for _ in range(12)))
    with pytest.raises(UnplaceableLayerError) as caught:
        deploy(model, chip(), write=EXACT)
    text = str(caught.value)
    assert "; and 7 more. Name them in `digital`" in text
    assert "`as_known={Unchanged: torch.nn.Linear}`" in text
    assert len(text) < 800
    assert len(plan(model, chip()).refused) == 12

"""A weight on a chip is read-only data: every habit that would change it, copy it or compute past it is refused."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
from torch import nn

import ohmweave as ow
from ohmweave.base import OhmweaveError, WeightOnChipError, generator
from ohmweave.cells import LinearStep
from ohmweave.mapping import Chip
from ohmweave.nn import Deployed, deploy
from ohmweave.nn.weight import Derived, Readout, WeightView
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

FINE = LinearStep(g_min=2e-6, g_max=20e-6, levels=2**16)
EXACT = BlindWrite(g_step=FINE.g_step)


def network(n_chips: int | None = None) -> Deployed:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    return deploy(model, Chip(FINE, rows=32, cols=32, n_arrays=2, n_chips=n_chips), write=EXACT)


def batch() -> torch.Tensor:
    return torch.rand(5, 6, generator=generator(0))


def weight_of(net: Deployed) -> Any:
    return net.model[0].weight


def pulse_one(net: Deployed) -> None:
    """One pulse on a cell of each layer, by the layer's matrix."""
    for name in net.on_chip:
        matrix = net.matrix(name)
        matrix.pulse(matrix.cells.flatten()[:1], ow.cells.Pulse(torch.tensor([1])))


CHANGES: list[Callable[[Any], Any]] = [
    lambda w: w.zero_(),
    lambda w: w.add_(1.0),
    lambda w: w.copy_(torch.zeros_like(w)),
    lambda w: w.data.mul_(0.5),
    lambda w: w.detach().fill_(1.0),
    lambda w: setattr(w, "data", torch.zeros(4, 6)),
    lambda w: w.set_(torch.zeros(4, 6)),
    lambda w: w.__setitem__(0, 1.0),
    lambda w: w[0].zero_(),
    lambda w: w.view(-1).zero_(),
    lambda w: w.T.zero_(),
    lambda w: w.__iadd__(1.0),
    lambda w: torch.add(torch.ones(4, 6), 1.0, out=w),
    lambda w: torch._foreach_add_([w], 1.0),
    lambda w: F.relu(w, inplace=True),
    lambda w: w.share_memory_(),
    nn.init.normal_,
    nn.init.zeros_,
    nn.init.xavier_uniform_,
    nn.init.kaiming_normal_,
    nn.init.orthogonal_,
    lambda w: nn.utils.vector_to_parameters(torch.zeros(24), [w]),
]


@pytest.mark.parametrize("change", CHANGES, ids=range(len(CHANGES)))
def test_changes_in_place_are_refused_and_change_nothing(change: Callable[[Any], Any]) -> None:
    net = network()
    before = net(batch()), weight_of(net).clone()
    with pytest.raises(WeightOnChipError, match=r"no cell would change.*chip_parameters"), torch.no_grad():
        change(weight_of(net))
    assert torch.equal(net(batch()), before[0])
    assert torch.equal(weight_of(net), before[1])


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop, torch.optim.LBFGS])
@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}], ids=str)
def test_optimizers_of_torch_are_refused(kind: Any, options: dict[str, Any]) -> None:
    if options and (kind is torch.optim.LBFGS or ("fused" in options and kind is torch.optim.RMSprop)):
        pytest.skip("torch has no such option")
    net = network()
    net(batch()).square().sum().backward()
    before = weight_of(net).clone()
    rule = kind(net.chip_parameters(), lr=0.1, **options)
    with pytest.raises(WeightOnChipError, match="must not be changed by"):
        rule.step(lambda: net(batch()).square().sum())
    assert torch.equal(weight_of(net), before)


PRODUCTS: list[Callable[[Any], Any]] = [
    lambda w: F.linear(torch.ones(2, 6), w),
    lambda w: torch.ones(2, 6) @ w.T,
    lambda w: w @ torch.ones(6),
    lambda w: torch.mm(w, torch.ones(6, 2)),
    lambda w: torch.einsum("oi,bi->bo", w, torch.ones(2, 6)),
    lambda w: torch.addmm(torch.ones(2, 4), torch.ones(2, 6), w.t()),
    lambda w: F.embedding(torch.tensor([0]), w),
    lambda w: F.conv2d(torch.ones(1, 6, 3, 3), w[:, :, None, None]),
    lambda w: F.bilinear(torch.ones(1, 4), torch.ones(1, 6), w[None]),
    lambda w: torch.tensordot(w, torch.ones(6), 1),
    lambda w: F.linear(torch.ones(2, 6), F.normalize(w)),
    lambda w: F.linear(torch.ones(2, 6), w * torch.ones(4, 6)),
    lambda w: torch.ones(2, 6) @ (-w).T,
    lambda w: torch.ones(2, 6) @ (w + 0).T,
    lambda w: torch.ones(2, 6).double() @ w.to(torch.float64).T,
    lambda w: torch.ones(2, 6) @ torch.cat([w, w]).T,
    lambda w: torch.ones(2, 6) @ torch.stack(list(w)).T,
    lambda w: torch.ones(2, 6) @ w.clone().t(),
    lambda w: torch.ones(2, 6) @ w.t().contiguous(),
    lambda w: torch.ones(2, 6) @ w.sort(dim=0).values.T,
    lambda w: torch.ones(2, 4) @ (w @ w.T),
    lambda w: torch.ones(2, 6) @ (w.detach() + w).T,
    lambda w: torch.linalg.multi_dot([torch.ones(2, 6), w.T]),
    lambda w: (torch.ones(2, 1, 6) * w).sum(-1),
    lambda w: F.cosine_similarity(torch.ones(2, 1, 6), w[None], dim=-1),
]


@pytest.mark.parametrize("product", PRODUCTS, ids=range(len(PRODUCTS)))
def test_products_past_the_array_are_refused(product: Callable[[Any], Any]) -> None:
    with pytest.raises(WeightOnChipError, match="would pass by the array"):
        product(weight_of(network()))


def test_looks_and_regularisers_work_and_give_plain_tensors() -> None:
    net = network()
    weight = weight_of(net)
    values = weight.detach()
    assert isinstance(values, Readout)
    assert isinstance(weight.T, WeightView)
    plain = values.clone()
    assert type(plain) is torch.Tensor
    assert type(weight.square()) is Derived
    assert type(weight.square().sum()) is torch.Tensor
    assert type(weight > 0) is torch.Tensor
    assert_close(torch.ones(2, 6) @ values.T, torch.ones(2, 6) @ plain.T, rtol=1e-6)
    assert values.numpy().shape == (4, 6)
    (net(batch()).sum() + 0.5 * weight.square().sum() + weight.T[0].sum()).backward()
    with_penalty = weight.grad.clone()
    net.zero_grad()
    net(batch()).sum().backward()
    extra = plain.clone()
    extra[:, 0] += 1
    assert_close(with_penalty - weight.grad, extra, rtol=1e-5, scale=1.0)


def test_regularisers_have_the_gradients_of_plain_weights() -> None:
    net = network()
    weight = weight_of(net)
    plain = weight.detach().clone().requires_grad_()
    penalties: list[Callable[[Any], Any]] = [
        lambda w: w.square().sum(),
        lambda w: w.abs().mean(),
        lambda w: (w @ w.T - torch.eye(4)).square().sum(),
        lambda w: w.norm(dim=1).std(),
        lambda w: (w * torch.arange(6.0)).sum(),
        lambda w: torch.linalg.matrix_norm(w, 2),
        lambda w: (w[:, None] - w[None]).abs().sum(),
        lambda w: torch.nn.utils.parameters_to_vector([w, torch.ones(3)]).norm(),
    ]
    for penalty in penalties:
        (ours,) = torch.autograd.grad(penalty(weight), weight)
        (theirs,) = torch.autograd.grad(penalty(plain), plain)
        assert type(ours) is torch.Tensor
        assert_close(ours, theirs, rtol=1e-5, scale=1.0)
    assert_close(weight.detach() @ weight.detach().T, plain @ plain.T, rtol=1e-6, scale=1.0)
    changed = 2 * weight
    with torch.no_grad():
        changed[0] = 0.0  # memory of its own
    assert type(pickle.loads(pickle.dumps(changed.detach()))) is torch.Tensor


def test_copies_are_private() -> None:
    net = network()
    before = weight_of(net).clone()
    weight_of(net).detach().numpy()[:] = 7.0
    net.state_dict()["model.0.weight"].clone().zero_()
    with pytest.raises(WeightOnChipError, match="a readout of a weight"):
        net.state_dict()["model.0.weight"].zero_()
    assert torch.equal(weight_of(net), before)


def test_changes_that_torch_cannot_intercept_are_noticed_at_the_next_use() -> None:
    net = network()
    before = weight_of(net).clone()
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():
        weight_of(net).zero_()
    with pytest.raises(WeightOnChipError, match="was changed in place; it has been read out again"):
        weight_of(net).square()
    assert torch.equal(weight_of(net), before)


def test_stale_weights_are_read_out_when_they_are_used_and_not_before() -> None:
    net = network()
    activity = net.chip.array.books.activity
    net.refresh()
    pulse_one(net)
    counted = activity.n_readouts
    with torch.no_grad():
        net(batch())  # no gradient, no need
    assert activity.n_readouts == counted
    net(batch()).sum().backward()  # the first layer's input takes no gradient: only the second weight is needed
    assert activity.n_readouts - counted == 3 * 4 * 2
    assert weight_of(net).is_stale
    assert "stale" in repr(weight_of(net))
    weight_of(net).square()
    assert activity.n_readouts - counted == 3 * 4 * 2 + 4 * 6 * 2
    net(batch()).sum().backward()
    assert activity.n_readouts - counted == 3 * 4 * 2 + 4 * 6 * 2  # nothing new


@pytest.mark.parametrize("what", ["matrix", "wait", "array", "program", "chip state"])
def test_whatever_changes_cells_makes_weights_stale(what: str) -> None:
    net = network()
    net.refresh()
    weight, other = net.model[0].weight, net.model[2].weight
    matrix = weight.matrix
    one = matrix.cells.flatten()[:1]
    if what == "matrix":
        matrix.pulse(one, ow.cells.Pulse(torch.tensor([1])))
    elif what == "wait":
        net.chip.wait(1.0)
    elif what == "array":
        net.chip.array.pulse(one, ow.cells.Pulse(torch.tensor([1])))
    elif what == "program":
        net.model[0].program(torch.ones(4, 6), EXACT)
    else:
        net.chip.load_state_dict(net.chip.state_dict())
    assert weight.is_stale
    assert other.is_stale == (what in ("wait", "array", "chip state"))
    assert_close(weight.detach(), matrix.readout(), rtol=1e-7, scale=1.0)
    assert not weight.is_stale


def test_gradients_of_an_old_graph_use_the_readout_of_that_graph() -> None:
    net = network()
    second = net.model[2]
    x = torch.rand(2, 4, requires_grad=True)
    y = second(x)
    before = second.weight.clone()
    second.program(torch.zeros(3, 4), EXACT)
    second.weight.refresh()
    y.sum().backward()
    assert_close(x.grad, before.sum(0).expand(2, 4), rtol=1e-6, scale=1.0)


REFUSED: dict[str, Callable[[Deployed], Any]] = {
    "load_state_dict": lambda net: net.load_state_dict(net.state_dict()),
    "load_state_dict of the model": lambda net: net.model.load_state_dict(net.model.state_dict()),
    "load_state_dict of one layer, not strict": lambda net: net.model[0].load_state_dict({}, strict=False),
    "setattr": lambda net: setattr(net.model[0], "weight", nn.Parameter(torch.zeros(4, 6))),
    "delattr": lambda net: delattr(net.model[0], "weight"),
    "functional_call": lambda net: torch.func.functional_call(
        net.model, {"0.weight": torch.zeros(4, 6)}, (torch.ones(1, 6),)
    ),
    "half": lambda net: net.half(),
    "double": lambda net: net.double(),
    "to meta": lambda net: net.to("meta"),
    "to_empty": lambda net: net.to_empty(device="cpu"),
    "share_memory": lambda net: net.share_memory(),
    "one layer's dtype": lambda net: net.model[0].to(torch.float64),
    "deepcopy": copy.deepcopy,
    "deepcopy of a layer": lambda net: copy.deepcopy(net.model[0]),
    "deepcopy of a weight": lambda net: copy.deepcopy(net.model[0].weight),
    "copy": copy.copy,
    "pickle": pickle.dumps,
    "pickle of the model": lambda net: pickle.dumps(net.model),
    "torch.save": lambda net: torch.save(net, io.BytesIO()),
    "jit.trace": lambda net: torch.jit.trace(net, batch()),
    "jit.script": lambda net: torch.jit.script(net),
    "jit.script of a layer": lambda net: torch.jit.script(net.model[0]),
    "export": lambda net: torch.export.export(net, (batch(),), strict=False),
    "vmap": lambda net: torch.vmap(net.model)(batch()),
    "func.grad": lambda net: torch.func.grad(lambda x: net.model(x).sum())(batch()),
    "jacrev": lambda net: torch.func.jacrev(net.model)(batch()[0]),
    "replicas": lambda net: net.model[0]._replicate_for_data_parallel(),
    "parametrization": lambda net: nn.utils.parametrize.register_parametrization(net.model[0], "weight", nn.Tanh()),
    "averaged model": lambda net: torch.optim.swa_utils.AveragedModel(net),
    "deploy again": lambda net: deploy(net, net.chip, write=EXACT, name="twice"),
}


@pytest.mark.filterwarnings("ignore:.*(torch.jit|LeafSpec).*")  # torch's own plans
@pytest.mark.parametrize("habit", REFUSED, ids=str)
def test_habits_that_would_part_the_weights_from_the_cells_are_refused(habit: str) -> None:
    net = network()
    before = net(batch()).detach()
    with pytest.raises(OhmweaveError, match=r"chip|deployed"):
        REFUSED[habit](net)
    assert torch.equal(net(batch()), before)
    assert net.chip.n_taken == (6 * 4 + 4 * 3) * 2


def test_a_strict_export_is_refused_and_harms_nothing() -> None:
    net = network()
    before = net(batch()).detach()
    with pytest.raises(Exception, match=r"disable|chip"):
        torch.export.export(net, (batch(),), strict=True)
    assert torch.equal(net(batch()), before)


def test_moves_that_move_nothing_pass() -> None:
    net = network()
    before = net(batch()).detach()
    for same in (
        net.float(),
        net.to("cpu"),
        net.cpu(),
        net.to(torch.float32),
        net.to(memory_format=torch.channels_last),
    ):
        assert same is net
    assert torch.equal(net(batch()), before)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch looks at outputs that are no leaves
def test_compiling_breaks_the_graph_at_the_array() -> None:
    net = network(2)
    fast = torch.compile(net, backend="eager")
    reads = net.chip.array.books.activity.n_reads
    y = fast(batch())
    assert net.chip.array.books.activity.n_reads - reads == 2 * 5 * 2
    assert_close(y, net(batch()), rtol=1e-6, scale=1.0)
    y.sum().backward()
    assert weight_of(net).grad is not None


def test_another_weight_put_in_place_is_refused_when_the_layer_is_called() -> None:
    net = network()
    before = net(batch())
    with pytest.raises(WeightOnChipError, match="'0' is on a chip"):
        nn.utils.prune.l1_unstructured(net.model[0], "weight", 0.5)
    assert torch.equal(net(batch()), before)
    net.model[0]._parameters["weight"] = nn.Parameter(torch.zeros(4, 6))
    with pytest.raises(WeightOnChipError, match="another weight"):
        net(batch())


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")  # torch wants its new way used
@pytest.mark.parametrize(
    "change",
    [
        nn.utils.parametrizations.weight_norm,
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        lambda layer: nn.utils.prune.l1_unstructured(layer, "weight", 0.5),
        lambda layer: nn.utils.parametrize.register_parametrization(layer, "weight", nn.Tanh()),
    ],
)
def test_norms_and_pruning_are_refused_and_leave_the_layer_as_it_was(change: Callable[[Any], Any]) -> None:
    net = network()
    before, state = net(batch()), set(net.state_dict())
    with pytest.raises(WeightOnChipError, match="chip"):
        change(net.model[0])
    assert set(net.state_dict()) == state
    assert torch.equal(net(batch()), before)


def test_functional_call_with_the_parameters_themselves_works() -> None:
    net = network()
    y = torch.func.functional_call(net, dict(net.named_parameters()), (batch(),))
    assert_close(y, net(batch()), rtol=1e-7, scale=1.0)


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_fused_transformer_layer_does_not_skip_the_array(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=norm_first).eval()
    chip = Chip(FINE, rows=32, cols=32, n_arrays=2)
    net = deploy(layer, chip, write=EXACT, digital=["self_attn"])
    x = torch.rand(3, 10, 8, generator=generator(1))
    before = chip.array.books.activity.n_reads
    with torch.no_grad():
        y = net(x)
    assert chip.array.books.activity.n_reads - before == 60  # 30 tokens, two layers
    assert_close(y, layer(x), rtol=1e-3, scale=1.0)


def test_weight_is_out_by_in_as_in_torch() -> None:
    """The one transposition: rows are inputs, columns are outputs; by a matrix that is not square."""
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 1.0]]))
    net = deploy(layer, Chip(FINE, rows=4, cols=8), write=EXACT)
    g = net.matrix("").conductance()
    assert g.shape == (3, 4)
    assert_close(g[:, 0::2], 2e-6 + 18e-6 * layer.weight.detach().T, rtol=1e-3)
    assert_close(net.model.weight, layer.weight, rtol=1e-3)


def test_one_line_reprs() -> None:
    net = network(2)
    assert repr(weight_of(net)).startswith("ArrayWeight((2, 4, 6) of '0', torch.float32, cpu")
    assert len(repr(net).splitlines()) == 4
    assert repr(net.matrix("0")).startswith("Matrix('0', 4 x 6 (out x in)")
    assert repr(net.reports["0"]).startswith("WriteReport(96 cells, 0 not converged")
    assert repr(ow.OnChip(tile_rows=3)) == "OnChip(tile_rows=3)"

"""Files of networks on a chip: what is saved is all of it, and what does not fit changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import ohmweave as ow
from ohmweave.base import DataError, OhmweaveError, generator
from ohmweave.nn.checkpoint import _widened
from ohmweave.nn.fingerprint import differences
from ohmweave.nn.packed import pack, unpack
from tests.helpers import assert_close

WRITE = ow.WriteVerify(tolerance=0.5e-6, t_settle=1.0)
STEP = 18e-6 / 99


def deployed(seed: int = 1, *, out: int = 5, n_chips: int | None = 3, **chip: Any) -> ow.nn.Deployed:
    torch.manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Linear(12, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, out)
    )
    options = {"n_arrays": 8, "rows": 16, "cols": 32, "n_chips": n_chips, "seed": seed} | chip
    cell = options.pop("cell", None) or ow.cells.yao2020(read_noise=0.01)
    return ow.deploy(model, ow.Chip(cell, **options), write=WRITE, scaling=ow.mapping.FixedScaling)


def thresholded(weights: list[Any]) -> torch.optim.Optimizer:
    return ow.optim.ThresholdedWriteVerify(weights, lr=1e-6, threshold=0.5e-6, write=WRITE)


def tiki_taka(weights: list[Any]) -> torch.optim.Optimizer:
    return ow.optim.TikiTakaV2(
        weights, fast_lr=0.05, lr=0.5, g_step=STEP, generator=generator(1, "tt"), columns=3, write=WRITE, n_zeroing=2
    )


def gate_controlled(weights: list[Any]) -> torch.optim.Optimizer:
    return ow.optim.GateControlled(weights, torch.optim.Adam, lr=0.01)


RULES: dict[str, Callable[[list[Any]], torch.optim.Optimizer]] = {
    "sign": lambda weights: ow.optim.SignPulse(weights),
    "stellar": lambda weights: ow.optim.Stellar(weights),
    "manhattan": lambda weights: ow.optim.Manhattan(weights, g_step=STEP),
    "sgd": lambda weights: ow.optim.PulsedSGD(weights, lr=0.05, g_step=STEP, generator=generator(1, "sgd")),
    "mixed": lambda weights: ow.optim.MixedPrecision(weights, lr=0.01, g_step=STEP),
    "thresholded": thresholded,
    "tiki-taka": tiki_taka,
    "gate": gate_controlled,
}


class Run:
    """A network with a rule, and Adam for what is digital."""

    def __init__(self, rule: str, seed: int) -> None:
        if rule == "gate":
            torch.manual_seed(3)
            chip = ow.Chip(ow.cells.wang2019(), n_arrays=2, rows=32, cols=32, n_chips=3, seed=seed)
            model = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5))
            mapping = ow.DifferentialPair(lines="rows", g_unit=1e-4)
            self.net = ow.deploy(model, chip, write=None, mapping=mapping)
        else:
            self.net = deployed(seed)
        self.rule = RULES[rule](list(self.net.weights.values()))
        digital = [one for one in self.net.parameters() if not isinstance(one, ow.nn.ArrayWeight)]
        self.adam = torch.optim.Adam(digital, lr=0.01)

    @property
    def rules(self) -> list[torch.optim.Optimizer]:
        return [self.rule, self.adam]

    def train(self, first: int, last: int) -> None:
        for n in range(first, last):
            for one in self.rules:
                one.zero_grad()
            x = torch.rand(6, 12, generator=generator(n, "x"))
            self.net(x).square().sum().backward()
            for one in self.rules:
                one.step()
            self.net.chip.wait(1.0)

    def all(self) -> dict[str, torch.Tensor]:
        """Every number that can differ; no cell is read."""
        state = {f"chip.{name}": leaf for name, leaf in self.net.chip.state_dict().items()}
        for name, leaf in self.net.state_dict(keep_vars=True).items():
            on_chip = isinstance(leaf, ow.nn.ArrayWeight)
            state[f"net.{name}"] = leaf.last_readout() if on_chip else leaf.detach().clone()
            state[f"stale.{name}"] = torch.tensor(on_chip and leaf.is_stale)
        for i, one in enumerate(self.rules):
            leaves, structure = pack(one.state_dict())
            state |= {f"rule{i}.{name}": leaf.clone() for name, leaf in leaves.items()}
            state[f"structure{i}"] = torch.tensor(list(json.dumps(structure).encode()))
        return state


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.parametrize("rule", RULES)
def test_a_resumed_run_equals_the_undisturbed_one(rule: str, tmp_path: Path) -> None:
    """Noisy pulses and reads, batch norm, Adam beside the rule, time: not one number differs."""
    run, twin = Run(rule, seed=1), Run(rule, seed=2)
    run.train(0, 3)
    ow.save(run.net, tmp_path / "net.safetensors", rule=run.rules)
    ow.load(twin.net, tmp_path / "net.safetensors", rule=twin.rules)
    assert differing(run.all(), twin.all()) == []
    run.train(3, 6)
    twin.train(3, 6)
    assert differing(run.all(), twin.all()) == []


def test_scales_and_calibration_are_loaded(tmp_path: Path) -> None:
    x = torch.rand(4, 12)
    first, second = deployed(1), deployed(2)
    ow.nn.calibrate_inputs(first, 3 * x)
    first.matrix("3").g_per_w *= 1.1
    ow.save(first, tmp_path / "net")
    ow.load(second, tmp_path / "net")
    assert second.matrix("3").g_per_w == first.matrix("3").g_per_w
    assert second.matrix("0").scaling.x_max == first.matrix("0").scaling.x_max != 1.0
    assert torch.equal(first.eval()(x), second.eval()(x))
    assert torch.equal(first.weights["0"], second.weights["0"])


def test_a_network_made_by_hand_is_saved_too(tmp_path: Path) -> None:
    def made(seed: int) -> torch.nn.Module:
        chip = ow.Chip(ow.cells.yao2020(), rows=16, cols=32, seed=seed)
        layer = ow.nn.Linear(4, 3, chip=chip, name="fc")
        layer.program(torch.rand(3, 4), WRITE)
        return torch.nn.Sequential(layer, torch.nn.ReLU())

    one, other = made(1), made(2)
    ow.save(one, tmp_path / "net")
    ow.load(other, tmp_path / "net")
    assert torch.equal(one[0].matrix.conductance(), other[0].matrix.conductance())


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda: deployed(out=4), "layers.model.3.weight.shape"),
        (lambda: deployed(n_chips=2), "n_chips is 3 in the file, but 2 here"),
        (lambda: deployed(rows=32), "rows is 16 in the file, but 32 here"),
        (lambda: deployed(v_read=0.1), "v_read is 0.2 in the file, but 0.1 here"),
        (lambda: deployed(cell=ow.cells.yao2020(read_noise=0.02)), "cell"),
        (lambda: deployed(dtype=torch.float64), "dtype"),
        (lambda: deployed(adc=ow.arrays.ADC(bits=8)), "adc"),
        (lambda: deployed(dac=ow.arrays.DAC(bits=8, v_max=0.2)), "dac"),
        (lambda: deployed(wires=ow.arrays.Wires(r_row=1.0, r_col=1.0)), "wires"),
    ],
)
def test_other_networks_and_chips_are_named_and_refused(other: Any, named: str, tmp_path: Path) -> None:
    ow.save(deployed(1), tmp_path / "net")
    net = other()
    before = net.chip.state_dict()
    with pytest.raises(DataError, match=named):
        ow.load(net, tmp_path / "net")
    assert differing(before, net.chip.state_dict()) == []


def test_other_placements_are_refused(tmp_path: Path) -> None:
    net = deployed(1)
    ow.save(net, tmp_path / "net")
    net.chip.place("more", (2, 2))
    with pytest.raises(DataError, match=r"placed.more is missing in the file"):
        ow.load(net, tmp_path / "net")
    ow.save(net, tmp_path / "more")
    with pytest.raises(DataError, match=r"placed.more is .* but missing here"):
        ow.load(deployed(2), tmp_path / "more")


@pytest.mark.parametrize(("saved", "given"), [("sign", "stellar"), ("mixed", "sgd"), ("tiki-taka", "sign")])
def test_another_rule_is_refused(saved: str, given: str, tmp_path: Path) -> None:
    run, twin = Run(saved, seed=1), Run(given, seed=2)
    ow.save(run.net, tmp_path / "net", rule=run.rule)
    before = twin.all()
    with pytest.raises(DataError, match=r"rules\[0\] is"):
        ow.load(twin.net, tmp_path / "net", rule=twin.rule)
    assert differing(before, twin.all()) == []


def test_a_rule_is_neither_left_out_nor_made_up_silently(tmp_path: Path) -> None:
    run, twin = Run("tiki-taka", seed=1), Run("sign", seed=2)
    run.train(0, 2)
    ow.save(run.net, tmp_path / "with", rule=run.rule)
    ow.save(twin.net, tmp_path / "without")
    with pytest.raises(DataError, match=r"`rule` must be given for each of the 1 .*`ignore_rule=True`"):
        ow.load(twin.net, tmp_path / "with")
    with pytest.raises(DataError, match=r"`rule` must be given for each of the 0"):
        ow.load(twin.net, tmp_path / "without", rule=twin.rule)
    with pytest.raises(DataError, match="`ignore_rule` must be False"):
        ow.load(twin.net, tmp_path / "with", rule=twin.rule, ignore_rule=True)
    ow.load(twin.net, tmp_path / "with", ignore_rule=True)
    assert torch.equal(run.net.matrix("0").conductance(), twin.net.matrix("0").conductance())


def rewritten(path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], None]) -> None:
    """The file with its tensors and what it says changed."""
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["ohmweave"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about.pop("sha256")  # as in files of earlier releases, so that the other checks are tested
    change(tensors, about)
    save_file(tensors, path, metadata={"ohmweave": json.dumps(about)})


def changed(name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    def change(tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
        tensors[name] = function(tensors[name])

    return change


CRAFTED: dict[str, tuple[Any, str]] = {
    "a tensor is missing": (lambda t, _: t.pop("held.model.0.weight"), "lacks"),
    "one more tensor": (lambda t, _: t.update({"chip0.more": torch.zeros(1)}), "more"),
    "another shape": (changed("digital.model.0.bias", lambda x: x[:, :-1].contiguous()), "must be"),
    "another type": (changed("digital.model.0.bias", lambda x: x.double()), "must be"),
    "NaN in cells": (changed("held.model.0.weight", lambda x: x / 0), "finite"),
    "a scale of 0": (changed("scale.model.0.weight", lambda x: x * 0), "> 0"),
    "a later version": (lambda _, about: about.update(version=99), "`version` must be"),
    "no format": (lambda _, about: about.pop("format"), "says nothing of its kind"),
    "no fingerprint": (lambda _, about: about.pop("fingerprint"), "fingerprint"),
    "a rule's tensor is missing": (lambda t, _: t.pop("rule0.rule.n_steps"), "rules"),
    "a rule's generator": (changed("rule0.rule.generator", lambda x: x[:-1].contiguous()), "generator"),
    "a rule's counter": (changed("rule0.rule.n_steps", lambda x: x.double()), "n_steps"),
    "NaN in a filter": (changed("rule0.state.0.filtered", lambda x: x / 0), "finite"),
    "a scale of A": (changed("rule0.rule.fast_g_per_w", lambda x: -x), "fast_g_per_w"),
    "a rule's structure": (lambda _, about: about["rules"].__setitem__(0, [1]), "rules"),
    "another rule's structure": (lambda _, about: about["rules"].__setitem__(0, {"dict": []}), "rule"),
    "Adam's groups": (
        lambda _, about: about["rules"].__setitem__(1, {"dict": []}),
        "must be the state of an optimizer",
    ),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_files_that_were_changed_are_refused_and_change_nothing(name: str, tmp_path: Path) -> None:
    run, twin = Run("tiki-taka", seed=1), Run("tiki-taka", seed=2)
    run.train(0, 2)
    twin.train(0, 1)
    ow.save(run.net, tmp_path / "net", rule=run.rules)
    change, named = CRAFTED[name]
    rewritten(tmp_path / "net", change)
    before = twin.all()
    with pytest.raises(DataError, match=named):
        ow.load(twin.net, tmp_path / "net", rule=twin.rules)
    assert differing(before, twin.all()) == []


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    net = deployed()
    with pytest.raises(DataError, match="is not there"):
        ow.load(net, tmp_path / "none")
    save_file({"chip.cells.g": torch.zeros(2)}, tmp_path / "old")
    with pytest.raises(DataError, match="the version that wrote them"):
        ow.load(net, tmp_path / "old")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(DataError, match="cannot be read"):
        ow.load(net, tmp_path / "text")
    ow.save(net, tmp_path / "net")
    whole = (tmp_path / "net").read_bytes()
    (tmp_path / "torn").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        ow.load(net, tmp_path / "torn")


def test_a_driver_that_fails_while_its_state_is_taken_over_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, twin = Run("mixed", seed=1), Run("mixed", seed=2)
    run.train(0, 2)
    ow.save(run.net, tmp_path / "net", rule=run.rule)
    before, load, calls = twin.all(), twin.net.chip.load_state_dict, []

    def failing(state: Any) -> None:
        calls.append(1)
        load(state)
        if len(calls) == 1:
            raise RuntimeError("the line was cut")

    monkeypatch.setattr(twin.net.chip, "load_state_dict", failing)
    with pytest.raises(RuntimeError, match="the line was cut"):
        ow.load(twin.net, tmp_path / "net", rule=twin.rule)
    assert differing(before, twin.all()) == []


def test_nets_without_a_chip_and_foreign_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layer on a chip"):
        ow.save(torch.nn.Linear(2, 2), tmp_path / "net")

    class Foreign:
        """Another array behind the protocol."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    array = Foreign(ow.Chip(ow.cells.yao2020(), rows=8, cols=8).array)
    layer = ow.nn.Linear(2, 2, chip=ow.Chip(array=array), name="fc")
    with pytest.raises(DataError, match="Foreign has none: save the readouts"):
        ow.save(layer, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_packed_states_come_back_as_they_were() -> None:
    state = {
        "state": {0: {"step": torch.tensor(3.0)}, 1: {"step": None}},
        "groups": [{"lr": 0.1, "betas": (0.9, float("inf")), "params": [0, 1], "nan": float("nan")}],
        "a.b": torch.ones(2),
        "a": {"b": torch.zeros(2)},
        "flag": True,
    }
    tensors, structure = pack(state)
    back = unpack(json.loads(json.dumps(structure)), tensors, where="x")
    assert back.keys() == state.keys()
    assert back["state"][0]["step"] == 3.0
    assert back["state"][1] == {"step": None}
    assert back["groups"][0]["betas"] == (0.9, float("inf"))
    assert back["groups"][0]["nan"] != back["groups"][0]["nan"]
    assert back["groups"][0]["params"] == [0, 1]
    assert_close(back["a.b"], torch.ones(2), rtol=0.0)
    assert torch.equal(back["a"]["b"], torch.zeros(2))
    assert back["flag"] is True
    with pytest.raises(DataError, match=r"'state\.0'"):
        pack({"state": [object()]})
    with pytest.raises(DataError, match="keys"):
        pack({(1, 2): 3})


def test_differences_are_named_by_place() -> None:
    saved = {"a": {"b": 1, "c": [1, {"d": 2}]}, "e": True}
    assert differences(saved, saved) == []
    assert differences({"x": float("nan"), "y": 1}, {"x": float("nan"), "y": 1.0}) == []
    here = {"a": {"b": 1, "c": [1, {"d": 3}]}, "e": 1}
    assert differences(saved, here) == ["a.c[1].d is 2 in the file, but 3 here", "e is True in the file, but 1 here"]
    assert differences({"a": 1}, {}) == ["a is 1 in the file, but missing here"]
    assert differences({"c": [1]}, {"c": [1, 2]}) == ["c is [1] in the file, but [1, 2] here"]
    five = differences({str(i): i for i in range(5)}, {})
    assert len(five) == 5
    assert five[-1].startswith("4 is")
    many = differences({str(i): i for i in range(9)}, {})
    assert len(many) == 6
    assert many[-1] == "and 4 more"


def test_a_flipped_bit_in_a_tensor_is_found(tmp_path: Path) -> None:
    """A damaged number that is still finite used to be loaded."""
    path = tmp_path / "chip.safetensors"
    chip = ow.Chip(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), rows=8, cols=8)
    net = ow.deploy(torch.nn.Linear(3, 2), chip, write=ow.WriteVerify(tolerance=1e-6))
    ow.save(net, path)
    damaged = bytearray(path.read_bytes())
    damaged[-2] ^= 1
    path.write_bytes(damaged)
    before = chip.state_dict()
    with pytest.raises(DataError, match="sha256 differs"):
        ow.load(net, path)
    after = chip.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_float32_ages_of_earlier_versions_are_converted() -> None:
    def network(seed: int) -> ow.nn.Deployed:
        relaxing = ow.cells.Cell(
            ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), retention=ow.cells.Relaxation(sigma_slow=1e-7)
        )
        chip = ow.Chip(relaxing, rows=8, cols=8, seed=seed)
        torch.manual_seed(seed)
        net = ow.deploy(torch.nn.Linear(3, 2), chip, write=ow.WriteVerify(tolerance=1e-6))
        chip.wait(1024.5)  # float32 holds it exactly
        return net

    net, other = network(1), network(2)
    state = net.chip.state_dict()
    (age,) = (name for name in state if name.endswith(".age"))
    old = state | {age: state[age].float()}
    other.chip.load_state_dict(old)
    loaded = other.chip.state_dict()
    assert loaded[age].dtype == torch.float64
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    with pytest.raises(OhmweaveError, match="age"):
        other.chip.load_state_dict(state | {age: state[age].half()})

    tensors = {f"chip0.{name}": leaf for name, leaf in state.items()}
    old = {name: leaf.float() if name.endswith(".age") else leaf for name, leaf in tensors.items()}
    wide = _widened(old, tensors)
    assert wide.keys() == tensors.keys()
    assert all(torch.equal(wide[name], leaf) and wide[name].dtype == leaf.dtype for name, leaf in tensors.items())

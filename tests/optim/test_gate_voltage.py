"""The gate-controlled rule against a loop over cells that keeps voltages in plain numbers."""

import copy

import pytest
import torch

from ohmweave.arrays import SimulatedArray
from ohmweave.base import OutOfRangeError, generator
from ohmweave.cells import GateCompliance, LinearGate, wang2019
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import Linear, OnChip
from ohmweave.optim import GateControlled
from tests.helpers import assert_close

EXACT = GateCompliance(gate=LinearGate(slope=100e-6), v_gate=1.6, v_gate_max=2.5)
ROWS, COLS = 16, 8


def layer(device=EXACT, *, n_chips=2, copies=(1, 2), lines="rows", seed=0, dtype=torch.float64):
    chip = Chip(device, rows=ROWS, cols=COLS, n_chips=n_chips, seed=seed, dtype=dtype)
    mapping = DifferentialPair(lines=lines, copies=copies, g_unit=1e-4)
    return Linear(4, 3, bias=False, chip=chip, name="fc", on_chip=OnChip(mapping=mapping))


class Recorder(SimulatedArray):
    """An array that remembers what it was asked to do."""

    calls: list

    def pulse(self, cells, pulse):
        self.calls.append((cells.clone(), pulse))
        super().pulse(cells, pulse)


@pytest.mark.parametrize(("lines", "copies"), [("rows", (1, 2)), ("rows", (2, 1)), ("columns", (1, 1))])
def test_updates_agree_with_a_loop_over_cells(lines, copies):
    fc = layer(lines=lines, copies=copies)
    rule = GateControlled(fc.parameters(), torch.optim.RMSprop, lr=0.1, alpha=0.9, eps=1e-8)
    matrix = fc.matrix
    sign_rows = [1, -1] * copies[0] if lines == "rows" else [1] * copies[0]
    sign_cols = [1, -1] * copies[1] if lines == "columns" else [1] * copies[1]
    v_gate = [[[1.6] * len(sign_cols) * 3 for _ in range(len(sign_rows) * 4)] for _ in range(2)]
    square = [[[0.0] * 4 for _ in range(3)] for _ in range(2)]
    chance = generator(0, "grads")
    for step in range(60):
        grad = torch.randn(2, 3, 4, generator=chance, dtype=torch.float64) + (1.5 if step > 20 else -1.5)
        grad[:, 0, 0] = 0.0
        fc.weight.grad = grad
        rule.step()
        for k in range(2):
            for out in range(3):
                for into in range(4):
                    g = grad[k, out, into].item()
                    square[k][out][into] = 0.9 * square[k][out][into] + 0.1 * g * g
                    dw = -0.1 * g / (square[k][out][into] ** 0.5 + 1e-8)
                    for r, sign_r in enumerate(sign_rows):
                        for c, sign_c in enumerate(sign_cols):
                            row, col = into * len(sign_rows) + r, out * len(sign_cols) + c
                            v = v_gate[k][row][col] + sign_r * sign_c * 1.5e4 * 1e-4 * dw
                            v_gate[k][row][col] = min(max(v, 0.5), 2.5)
    assert min(min(map(min, part)) for part in v_gate) == 0.5
    assert max(max(map(max, part)) for part in v_gate) == 2.5
    assert_close(rule.state[fc.weight]["v_gate"], v_gate, rtol=1e-9)
    # Cells without noise stand where their gate voltage says: RESET was sent wherever a cell had to fall.
    assert_close(matrix.conductance(), 100e-6 * torch.tensor(v_gate, dtype=torch.float64), rtol=1e-9)
    assert_close(fc.weight, matrix.readout(), rtol=1e-12, scale=1.0)


def test_first_step_of_rmsprop():
    fc = layer()
    rule = GateControlled(fc.parameters(), torch.optim.RMSprop, lr=0.01, alpha=0.9, eps=1e-8)
    fc.weight.grad = torch.full_like(fc.weight, 3.0)
    rule.step()
    # lr / sqrt(0.1) a weight; both cells of a pair move by 1.5 V a unit at 100 uS/V: three times as far.
    assert_close(fc.weight, torch.full((2, 3, 4), -3 * 0.01 / 0.1**0.5), rtol=1e-6)


def test_which_cells_get_which_pulse():
    chip = Chip(array=recorder(), seed=0)
    fc = Linear(
        2, 1, bias=False, chip=chip, name="fc", on_chip=OnChip(mapping=DifferentialPair(lines="rows", g_unit=1e-4))
    )
    rule = GateControlled(fc.parameters(), torch.optim.SGD, lr=1.0)
    chip.array.calls.clear()
    fc.weight.grad = torch.tensor([[0.1, 0.0]], dtype=torch.float64)
    rule.step()
    (reset_cells, reset), (set_cells, set_) = chip.array.calls
    assert reset_cells.tolist() == set_cells.tolist() == fc.matrix.cells.flatten().tolist()
    # The weight falls: its plus cell gets both pulses, its minus cell SET alone; the other weight's get none.
    assert reset.polarity.tolist() == [-1, 0, 0, 0]
    assert set_.polarity.tolist() == [1, 1, 0, 0]
    assert_close(set_.v_gate, [1.45, 1.75, 1.6, 1.6], rtol=1e-6)


def recorder():
    array = Recorder(EXACT, rows=ROWS, cols=COLS, dtype=torch.float64)
    array.calls = []
    return array


def test_one_reset_and_one_set_call_for_all_layers_of_an_array():
    array = recorder()
    chip = Chip(array=array)
    mapping = DifferentialPair(lines="rows", g_unit=1e-4)
    layers = [Linear(2, 3, bias=False, chip=chip, name=name, on_chip=OnChip(mapping=mapping)) for name in "ab"]
    rule = GateControlled([{"params": one.parameters()} for one in layers], torch.optim.SGD, lr=0.1)
    assert len(array.calls) == 2
    for one in layers:
        one.weight.grad = torch.ones_like(one.weight)
    rule.step()
    assert len(array.calls) == 4
    assert array.calls[-1][0].numel() == 2 * 2 * 2 * 3


def test_start_is_chance_alone_and_every_cell_is_set():
    fc = layer(wang2019(), n_chips=200, dtype=torch.float32)
    GateControlled(fc.parameters(), torch.optim.RMSprop, lr=0.01)
    g = fc.matrix.conductance()
    assert_close((g == 10e-6).double().mean(), 0.11, rtol=0.1)
    assert_close(g[g != 10e-6].mean(), 150e-6, rtol=0.02)
    assert fc.weight.std() > 0.1


def test_bounds_hold_and_cells_there_are_pulsed_again():
    fc = layer()
    rule = GateControlled(fc.parameters(), torch.optim.SGD, lr=1.0)
    for _ in range(3):
        fc.weight.grad = torch.full_like(fc.weight, -10.0)
        before = fc.matrix.chip.array.books.activity.copy()
        rule.step()
    done = fc.matrix.chip.array.books.activity - before
    assert (done.n_set, done.n_reset) == (2 * 48, 2 * 24)
    assert_close(fc.weight, torch.full((2, 3, 4), 2.0), rtol=1e-9)


def test_an_optimizer_of_its_own_moves_digital_parameters():
    """And the rule does not take them."""
    fc, bias = layer(), torch.nn.Parameter(torch.ones(3))
    rule, plain = GateControlled(fc.parameters(), torch.optim.SGD, lr=0.5), torch.optim.SGD([bias], lr=0.5)
    bias.grad = torch.full((3,), 0.2)
    rule.step()
    plain.step()
    assert_close(bias, [0.9] * 3, rtol=1e-6)
    with pytest.raises(OutOfRangeError, match="`params` must be weights on a chip"):
        GateControlled([*fc.parameters(), bias], torch.optim.SGD, lr=0.5)


def test_a_scheduler_and_zero_grad_reach_the_proposer():
    fc = layer()
    rule = GateControlled(fc.parameters(), torch.optim.SGD, lr=0.4)
    schedule = torch.optim.lr_scheduler.StepLR(rule, step_size=1, gamma=0.25)
    fc.weight.grad = torch.zeros_like(fc.weight)
    rule.step()
    schedule.step()
    fc.weight.grad = torch.ones_like(fc.weight)
    rule.step()
    assert_close(rule.state[fc.weight]["v_gate"][0, :2, 0], [1.6 - 0.15, 1.6 + 0.15], rtol=1e-9)
    rule.zero_grad()
    assert fc.weight.grad is None


def test_closure_is_called_with_gradients():
    fc = layer()
    rule = GateControlled(fc.parameters(), torch.optim.SGD, lr=0.1)
    x = torch.ones(2, 4, dtype=torch.float64)

    def closure():
        rule.zero_grad()
        loss = fc(x).sum()
        loss.backward()
        return loss

    assert rule.step(closure) is not None
    assert (fc.weight < 0).all()


def test_state_resumes_bit_for_bit():
    def grads(step):
        return torch.randn(2, 3, 4, generator=generator(step, "g"))

    def go_on(fc, rule, first, last):
        for step in range(first, last):
            fc.weight.grad = grads(step)
            rule.step()

    def fresh(initialise):
        fc = layer(wang2019(), dtype=torch.float32)
        return fc, GateControlled(fc.parameters(), torch.optim.RMSprop, lr=0.01, initialise=initialise)

    fc, rule = fresh(True)
    go_on(fc, rule, 0, 5)
    chip_state, rule_state = fc.matrix.chip.state_dict(), copy.deepcopy(rule.state_dict())
    rule_state["param_groups"][0]["lr"] = 0.02
    rule.param_groups[0]["lr"] = 0.02
    twin, twin_rule = fresh(False)
    twin.matrix.chip.load_state_dict(chip_state)
    twin.weight.refresh()
    twin_rule.load_state_dict(rule_state)
    go_on(fc, rule, 5, 9)
    go_on(twin, twin_rule, 5, 9)
    assert torch.equal(fc.weight, twin.weight)
    assert twin_rule.param_groups[0]["lr"] == twin_rule.proposer.optimizer.param_groups[0]["lr"] == 0.02
    assert torch.equal(twin_rule.state[twin.weight]["v_gate"], rule.state[fc.weight]["v_gate"])


@pytest.mark.parametrize(
    ("changes", "name"), [({"r_vg": 0.0}, "`r_vg`"), ({"v_min": -0.1}, "`v_min`"), ({"v_start": 2.6}, "`v_start`")]
)
def test_bad_voltages_are_named(changes, name):
    with pytest.raises(OutOfRangeError, match=name):
        GateControlled(layer().parameters(), torch.optim.SGD, lr=0.1, **changes)


def test_a_rule_for_chips_needs_a_weight_on_one():
    with pytest.raises(OutOfRangeError, match="`params`"):
        GateControlled([torch.nn.Parameter(torch.ones(2))], torch.optim.SGD, lr=0.1)

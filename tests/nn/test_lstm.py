"""LSTM cells on the array against torch's own cell, and the convolutional one against loops over pixels."""

import pytest
import torch

from ohmweave.base import OutOfRangeError, ShapeError, generator
from ohmweave.cells import GateCompliance, LinearGate, LinearStep
from ohmweave.mapping import Chip, DifferentialPair
from ohmweave.nn import ConvLSTM, ConvLSTMCell, LSTMCell, OnChip, deploy
from ohmweave.programming import BlindWrite
from tests.helpers import assert_close

IDEAL = LinearStep(g_min=1e-6, g_max=101e-6, levels=2**24)
WRITE = BlindWrite(g_step=IDEAL.g_step)
F64 = torch.float64


def chip(n_chips=None):
    return Chip(IDEAL, rows=256, cols=64, n_chips=n_chips, dtype=F64, n_arrays=2)


def normal(*shape, seed):
    return torch.randn(shape, generator=generator(seed, "lstm"), dtype=F64)


def torch_cell(weight, bias, n_in):
    n_hidden = weight.shape[0] // 4
    cell = torch.nn.LSTMCell(n_in, n_hidden, dtype=F64)
    with torch.no_grad():
        cell.weight_ih.copy_(weight[:, :n_in])
        cell.weight_hh.copy_(weight[:, n_in:])
        cell.bias_ih.copy_(bias)
        cell.bias_hh.zero_()
    return cell


@pytest.mark.parametrize("with_state", [True, False])
def test_lstm_cell_equals_torch_on_every_chip_through_time(with_state):
    cell = LSTMCell(3, 5, chip=chip(2), name="lstm")
    cell.program(normal(2, 20, 8, seed=1), WRITE)
    with torch.no_grad():
        cell.bias.copy_(normal(2, 20, seed=2))
    x = normal(4, 2 * 3, 3, seed=3)
    start = (normal(6, 5, seed=4), normal(6, 5, seed=5)) if with_state else None
    error = normal(6, 5, seed=6)

    def unrolled(step, state, xs):
        for frame in xs:
            state = step(frame, state)
        return state

    h, c = unrolled(cell, start, x)
    ((h * error).sum() + c.sum()).backward()
    for k in range(2):
        mine = slice(3 * k, 3 * k + 3)
        reference = torch_cell(cell.weight[k].detach(), cell.bias[k].detach(), 3)
        state = None if start is None else tuple(part[mine] for part in start)
        want_h, want_c = unrolled(reference, state, x[:, mine])
        ((want_h * error[mine]).sum() + want_c.sum()).backward()
        assert_close(h[mine], want_h, rtol=1e-9, scale=1.0)
        assert_close(c[mine], want_c, rtol=1e-9, scale=1.0)
        want = torch.cat([reference.weight_ih.grad, reference.weight_hh.grad], dim=1)
        assert_close(cell.weight.grad[k], want, rtol=1e-8, scale=1.0)
        assert_close(cell.bias.grad[k], reference.bias_ih.grad, rtol=1e-5, scale=1.0)


def test_deploy_places_an_lstm_cell():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = torch.nn.LSTMCell(3, 4, dtype=F64)
            self.out = torch.nn.Linear(4, 2, dtype=F64)

        def forward(self, x):
            h, c = self.cell(x)
            return self.out(self.cell(x, (h, c))[0])

    model = Network()
    net = deploy(model, chip(2), write=WRITE)
    assert net.on_chip == ("cell", "out")
    x = normal(5, 3, seed=1)
    assert_close(net(x), model(x).expand(2, 5, 2), rtol=1e-5, scale=1.0)


def test_deploy_without_writing_needs_a_scale():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    with pytest.raises(OutOfRangeError, match="`write`"):
        deploy(model, chip(), write=None)
    law = GateCompliance(gate=LinearGate(slope=100e-6), v_gate=1.6, v_gate_max=2.5)
    board = Chip(law, rows=16, cols=8)
    how = {"0": OnChip(corners=[(0, 3, 2)])}
    net = deploy(model, board, write=None, mapping=DifferentialPair(g_unit=1e-4), layers=how)
    assert net.on_chip == ("0",)
    assert net.reports == {}
    assert (board.array.books.activity.n_set, board.array.books.activity.n_reset) == (0, 0)
    assert board.placed["0"].tiles[0].row == 3


def reference_step(x, h, c, weight, bias, kernel, hidden_kernel):
    """One step, pixel by pixel: valid convolution of x; h padded with zeros before (k - 1) // 2 and after."""
    hidden = h.shape[1]
    (kh, kw), (rh, rw) = kernel, hidden_kernel
    n_in = x.shape[1] * kh * kw
    new_h, new_c = torch.zeros_like(h), torch.zeros_like(c)
    for b in range(x.shape[0]):
        for row in range(h.shape[2]):
            for col in range(h.shape[3]):
                total = 1.0 * bias.double()
                for k in range(4 * hidden):
                    w_x = weight[k, :n_in].reshape(-1, kh, kw)
                    w_h = weight[k, n_in:].reshape(-1, rh, rw)
                    total[k] += (w_x * x[b, :, row : row + kh, col : col + kw]).sum()
                    for i in range(rh):
                        for j in range(rw):
                            at_row, at_col = row + i - (rh - 1) // 2, col + j - (rw - 1) // 2
                            if 0 <= at_row < h.shape[2] and 0 <= at_col < h.shape[3]:
                                total[k] += (w_h[:, i, j] * h[b, :, at_row, at_col]).sum()
                i_gate, f_gate, g_gate, o_gate = total.split(hidden)
                state = f_gate.sigmoid() * c[b, :, row, col] + i_gate.sigmoid() * g_gate.tanh()
                new_c[b, :, row, col] = state
                new_h[b, :, row, col] = o_gate.sigmoid() * state.tanh()
    return new_h, new_c


@pytest.mark.parametrize("kernels", [((3, 3), (2, 2)), ((2, 3), (3, 2))])
def test_conv_lstm_equals_the_loop_over_pixels(kernels):
    kernel, hidden_kernel = kernels
    cell = ConvLSTMCell(
        2,
        3,
        kernel,
        hidden_kernel,
        padding="valid",
        chip=chip(2),
        name="cell",
        on_chip=OnChip(mapping=DifferentialPair(lines="rows")),
    )
    cell.program(normal(2, *cell.weight.shape[1:], seed=1), WRITE)
    with torch.no_grad():
        cell.bias.copy_(normal(2, 12, seed=2))
    x = normal(2 * 2, 3, 2, 5, 4, seed=3)
    outputs, (h, c) = ConvLSTM(cell)(x)
    error = normal(*h.shape, seed=4)
    (h * error).sum().backward()
    for k in range(2):
        mine = slice(2 * k, 2 * k + 2)
        weight = cell.weight[k].detach().requires_grad_()
        bias = cell.bias[k].detach().requires_grad_()
        state = (torch.zeros_like(h[mine]), torch.zeros_like(h[mine]))
        for step in range(3):
            state = reference_step(x[mine, step], *state, weight, bias, kernel, hidden_kernel)
            assert_close(outputs[mine, step], state[0], rtol=1e-9, scale=1.0)
        assert_close(c[mine], state[1], rtol=1e-9, scale=1.0)
        (state[0] * error[mine]).sum().backward()
        assert_close(cell.weight.grad[k], weight.grad, rtol=1e-8, scale=1.0)
        assert_close(cell.bias.grad[k], bias.grad, rtol=1e-5, scale=1.0)
    assert torch.equal(outputs[:, -1], h)


def test_same_padding_keeps_the_size_and_state_goes_on():
    cell = ConvLSTMCell(1, 2, 3, chip=chip(), name="cell")
    cell.program(normal(*cell.weight.shape, seed=1), WRITE)
    x = normal(2, 4, 1, 5, 6, seed=2)
    net = ConvLSTM(cell)
    whole, last = net(x)
    first, state = net(x[:, :2])
    second, end = net(x[:, 2:], state)
    assert whole.shape == (2, 4, 2, 5, 6)
    assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, scale=1.0)
    assert_close(end[1], last[1], rtol=1e-12, scale=1.0)


def test_bad_arguments_are_named():
    with pytest.raises(OutOfRangeError, match="`hidden_size`"):
        LSTMCell(2, 0, chip=chip(), name="a")
    with pytest.raises(OutOfRangeError, match="`hidden_channels`"):
        ConvLSTMCell(2, 0, 3, chip=chip(), name="a")
    with pytest.raises(OutOfRangeError, match="`padding`"):
        ConvLSTMCell(2, 1, 3, padding="full", chip=chip(), name="a")
    cell = ConvLSTMCell(1, 2, 3, chip=chip(), name="a")
    with pytest.raises(OutOfRangeError, match="`batch_first`"):
        ConvLSTM(cell, batch_first=False)
    with pytest.raises(ShapeError, match="state"):
        cell(torch.zeros(1, 1, 5, 5, dtype=F64), (torch.zeros(1, 2, 4, 5, dtype=F64),) * 2)
    with pytest.raises(ShapeError, match="`x`"):
        LSTMCell(2, 3, chip=chip(), name="a")(torch.zeros(1, 3, dtype=F64))
    with pytest.raises(OutOfRangeError, match="time step"):
        ConvLSTM(cell)(torch.zeros(1, 0, 1, 5, 5, dtype=F64))

"""Learn on the chip with one bit forward, two bits backward, and single blind pulses; then with a rule of your own.

Run it with `python examples/learning_rules.py`: about half a minute on one core, no download.
"""

import torch

import ohmweave as ow
from ohmweave.nn import AlwaysOn, BinaryStep, ErrorLoss, MarginError
from ohmweave.optim.pulses import send_pulses

data = ow.data.load("digits", size=8)
x, y = (data.train.images.flatten(1) > 0.5).float()[:600], data.train.labels[:600]
x_test, y_test = (data.test.images.flatten(1) > 0.5).float(), data.test.labels

# Cells of 1,000 levels whose steps are as noisy as they are large, and differ by 30 % from cell to cell.
law = ow.cells.linear_steps(g_min=2e-6, g_max=20e-6, levels=1_000, c2c=1.0)
cell = ow.cells.Cell(law, spread=ow.cells.Spread(d2d=0.3))


def perceptron():
    """64-50-10 with bias rows; errors go back through the same cells by a transposed read."""
    chip = ow.Chip(cell, rows=128, cols=128, seed=1)
    how = ow.OnChip(mapping=ow.mapping.CentredPair(), scaling=ow.mapping.FixedScaling(1.0))
    options = {"bias": False, "chip": chip, "on_chip": how, "backward": "array"}
    first, second = ow.nn.Linear(65, 50, name="first", **options), ow.nn.Linear(51, 10, name="second", **options)
    for layer in (first, second):
        layer.program(0.1 * torch.randn(layer.weight.shape), ow.WriteVerify(tolerance=0.1e-6))
    return torch.nn.Sequential(AlwaysOn(), first, BinaryStep(), AlwaysOn(), second), chip


class CoarseSign(ow.optim.ArrayRule):
    """A rule of your own: pulses only where the gradient of a batch is large; both cells of a pair move."""

    def __init__(self, params, share):
        super().__init__(params, {"share": share})

    def send(self, moves):
        """Send the pulses; `ArrayRule` does the rest."""
        sent = []
        for weight, grad, group in moves:
            large = grad.abs() >= group["share"] * grad.abs().max()
            sent.append(send_pulses(weight.matrix, -grad.sign() * large))
        return any(sent)


torch.manual_seed(0)
for name, rule, batch in (("sign pulses", ow.optim.SignPulse, 1), ("your own", lambda p: CoarseSign(p, 0.5), 2)):
    net, chip = perceptron()
    optimizer, loss = rule(net.parameters()), ErrorLoss(MarginError(1.0))
    before = chip.array.books.activity.copy()
    for _epoch in range(2):
        for chosen in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            loss(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
    done = chip.array.books.activity - before
    accuracy = (net(x_test).argmax(-1) == y_test).float().mean()
    print(f"{name}: test accuracy {100 * accuracy:.1f} %, {done.n_set + done.n_reset:,} pulses, {done.n_reads:,} reads")

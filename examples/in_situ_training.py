"""Train a torch network of your own on a chip whose cells are noisy, partly stuck, and written blindly.

Run it with `python examples/in_situ_training.py`: a minute on one core, no download.
"""

import torch
import torch.nn.functional as F

import ohmweave as ow

model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 12, 3, padding="same", bias=False),
    torch.nn.ReLU(),
    torch.nn.MaxPool2d(2),
    torch.nn.Flatten(),
    torch.nn.Linear(12 * 4 * 4, 10, bias=False),
)

# Ten chips that differ by chance: 11 % stuck cells, every write misses by 10 uS. The model gives the shape alone.
chip = ow.Chip(ow.cells.wang2019(), rows=128, cols=64, n_chips=10, seed=1)
mapping = ow.DifferentialPair(lines="rows", g_unit=1e-4)
net = ow.deploy(model, chip, write=None, mapping=mapping)
rule = ow.optim.GateControlled(net.parameters(), torch.optim.RMSprop, lr=0.01, alpha=0.9)

data = ow.data.wang2019_digits(ow.data.load("digits", size=8))
for _epoch in range(10):
    for x, y in data.train.batches(100):
        rule.zero_grad()
        logits = net(x).flatten(0, 1)
        F.cross_entropy(logits, y.repeat(10), reduction="sum").backward()
        rule.step()  # RESET and SET pulses on all ten chips, then a readout

with torch.no_grad():
    accuracy = (net(data.test.images).argmax(-1) == data.test.labels).double().mean(-1)
print(f"test accuracy of ten chips: {100 * accuracy.mean():.1f} % ± {100 * accuracy.std():.1f}")

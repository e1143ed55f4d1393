"""Ten CNN chips trained in situ beside one plain torch network: `python benchmarks/wang2019.py [updates]`.

Both train the CNN of Wang et al. 2019 on the same random images in turns, so that other work on the machine slows both.
Times are processor seconds of one thread, without data loading. Other work takes caches and memory from the larger of
the two, so the fastest turn of each is printed beside the whole time.
"""

import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from ohmweave.papers.wang2019.system import ConvolutionalNetwork, chip
from ohmweave.papers.wang2019.training import predict, rule

N_CHIPS, BATCH = 10, 100
TURN = 20


def plain_step() -> Callable[[torch.Tensor, torch.Tensor], None]:
    """One update of the same network in torch."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 15, 3, padding=1, bias=False),
        torch.nn.ReLU(),
        torch.nn.ZeroPad2d((0, 1, 0, 1)),
        torch.nn.Conv2d(15, 4, 2, bias=False),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10, bias=False),
    )
    optimizer = torch.optim.RMSprop(network.parameters(), lr=0.01, alpha=0.9)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y, reduction="sum").backward()
        optimizer.step()

    return step


def in_situ_step() -> Callable[[torch.Tensor, torch.Tensor], None]:
    """One update of ten chips."""
    board = chip(N_CHIPS, seed=0)
    network = ConvolutionalNetwork(board)
    optimizer = rule(network)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(predict(network, board, x).flatten(0, 1), y.repeat(N_CHIPS), reduction="sum").backward()
        optimizer.step()

    return step


def main(n_updates: int) -> None:
    """Print seconds for `n_updates` of both, and their ratio."""
    torch.set_num_threads(1)
    steps = {"plain torch, one network": plain_step(), f"in situ, {N_CHIPS} chips": in_situ_step()}
    turns: dict[str, list[float]] = {name: [] for name in steps}
    x, y = 0.4 * torch.rand(BATCH, 1, 8, 8) - 0.2, torch.randint(10, (BATCH,))
    for step in steps.values():
        step(x, y)
    for _ in range(0, n_updates, TURN):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(TURN):
                step(x, y)
            turns[name].append((time.process_time() - start) / TURN)
    for name, spent in turns.items():
        mean = sum(spent) / len(spent)
        sys.stdout.write(f"{name}: {1e3 * mean:.2f} ms an update, {1e3 * min(spent):.2f} ms in the fastest turn\n")
    plain, in_situ = turns.values()
    sys.stdout.write(f"ratio: {sum(in_situ) / sum(plain):.2f}, of the fastest turns {min(in_situ) / min(plain):.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_200)

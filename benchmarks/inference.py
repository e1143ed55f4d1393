"""How long a network on chips takes beside the same network in plain torch, in one run.

    OMP_NUM_THREADS=1 python benchmarks/inference.py          a table
    OMP_NUM_THREADS=1 python benchmarks/inference.py --json   one JSON object a line

The five-layer CNN of Yao et al. 2020 on eight 16 x 128 arrays, 1,000 images: written with write-verify, relaxed, 1 %
read noise new for every read, 8-bit inputs, no gradients. One chip is compared with one plain pass, n chips with n
plain passes. Both sides get the images in batches of `--batch`. One thread; best processor time of several runs, the
two sides in turn.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

import torch

from ohmweave.base import generator
from ohmweave.cells import yao2020
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.papers.yao2020.system import chips, transfer


def once(call: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


@torch.no_grad()
def run(net: torch.nn.Module, images: torch.Tensor, batch: int) -> None:
    """One pass over the images."""
    for part in images.split(batch):
        net(part)


def measure(n_chips: int, *, batch: int, repeats: int) -> dict[str, float | str]:
    """Seconds of both sides, in turn, and their ratio."""
    torch.manual_seed(0)
    software = FiveLayerCNN().eval()
    images = torch.rand(1_000, 1, 28, 28, generator=generator(0, "images"))
    # What lies between the layers is of the size of all chips together: fewer images a batch keep it in the cache.
    per_chip = max(1, batch // n_chips)
    on_chips = transfer(software, chips(n_chips, seed=0, cell=yao2020(read_noise=0.01)), images[:100])
    plain, noisy = [], []
    for _ in range(repeats):
        plain.append(once(lambda: run(software, images, batch)))
        noisy.append(once(lambda: run(on_chips, images, per_chip)))
    return {
        "network": f"five-layer CNN, {n_chips} chip{'s' if n_chips > 1 else ''}",
        "plain passes, s": n_chips * min(plain),
        "on chips, s": min(noisy),
        "ratio": min(noisy) / (n_chips * min(plain)),
    }


def main() -> None:
    """Print a row for each number of chips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--chips", type=int, nargs="*", default=[1, 100])
    parser.add_argument("--batch", type=int, default=100, help="images a batch of a plain pass; n chips take 1/n")
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write = sys.stdout.write
    for n_chips in options.chips:
        row = measure(n_chips, batch=options.batch, repeats=options.repeats if n_chips < 10 else 2)
        if options.json:
            write(json.dumps(row) + "\n")
        else:
            write(
                "  ".join(f"{key}: {value if isinstance(value, str) else f'{value:.3g}'}" for key, value in row.items())
            )
            write("\n")


if __name__ == "__main__":
    main()

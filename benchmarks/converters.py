"""Inference of the five-layer CNN with real converters, as multiples of the plain network in the same run.

    OMP_NUM_THREADS=1 python benchmarks/converters.py

8-bit inputs sent bit by bit, an 8-bit conversion for every read, line and tile: 1,000 images in batches of 100.
"""

import sys
import time
from collections.abc import Callable

import torch

from ohmweave.arrays import ADC, DAC, Wires, yao2020_macro
from ohmweave.base import generator
from ohmweave.cells import yao2020
from ohmweave.mapping import Chip
from ohmweave.nn import calibrate_converters
from ohmweave.papers.yao2020 import system
from ohmweave.papers.yao2020.network import FiveLayerCNN

N_IMAGES, BATCH, ROUNDS = 1_000, 100, 5


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds, the best of some rounds: other work on the machine counts little."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


@torch.no_grad()
def main() -> None:
    """Print a line for each kind of read."""
    torch.set_num_threads(1)
    chance = generator(0, "benchmark")
    net = FiveLayerCNN().eval()
    for weight in net.parameters():
        weight.normal_(0, (2 / weight[0].numel()) ** 0.5, generator=chance)
    images = torch.rand(N_IMAGES, 1, 28, 28, generator=chance)
    batches = images.split(BATCH)
    plain = seconds(lambda: [net(batch) for batch in batches])
    sys.stdout.write(f"plain network: {plain:.3f} s for {N_IMAGES} images\n")
    serial, macro = DAC(bits=8, v_max=0.2, bit_serial=True), yao2020_macro()
    kinds: dict[str, dict[str, object]] = {
        "8-bit inputs, ideal converter": {"dac": DAC(bits=8, v_max=0.2)},
        "bit-serial, ideal converter": {"dac": serial},
        "the same behind wires": {"dac": serial, "wires": Wires(r_row=2.0, r_col=2.0)},
        "bit-serial, 8-bit ADC per read": {"dac": macro.dac, "adc": macro.adc},
        "the same with faults": {"dac": serial, "adc": ADC(bits=8, columns_per_adc=4, offset=0.5, gain=0.01, inl=0.5)},
    }
    for name, parts in kinds.items():
        chip = Chip(yao2020(), n_arrays=8, rows=16, cols=128, **parts)  # type: ignore[arg-type]
        deployed = system.transfer(net, chip, images[:100])
        if "adc" in parts:
            calibrate_converters(deployed, images[:100])
        deployed(batches[0])
        taken = seconds(lambda deployed=deployed: [deployed(batch) for batch in batches])
        sys.stdout.write(f"{name}: {taken:.3f} s, {taken / plain:.1f} times the plain network\n")


if __name__ == "__main__":
    main()

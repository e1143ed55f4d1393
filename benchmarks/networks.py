"""Networks on chips beside the same networks in plain torch, in one run: inference with read noise and converters.

    OMP_NUM_THREADS=1 python benchmarks/networks.py                       a table
    OMP_NUM_THREADS=1 python benchmarks/networks.py --json                one JSON object a line
    OMP_NUM_THREADS=1 python benchmarks/networks.py --only ResNet-20      rows whose names contain one of these words

Every row is a network with 1 % read noise, written in one step: neither accuracy nor programming is timed. Converters
are an 8-bit DAC, whose inputs are not negative, and an 8-bit ADC for each column line, its range from data; bit by bit,
each bit plane is converted. Plain torch and the chips take the same float32 batch in turn,
in one thread and without gradients; a row is the median of the ratios of neighbours. n chips are compared with n plain
passes of their batch.
"""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

import ohmweave as ow
from ohmweave.arrays import ADC, DAC
from ohmweave.papers.yao2020.network import FiveLayerCNN
from ohmweave.papers.yao2020.resnet import ResNet
from ohmweave.programming import BlindWrite

NONE: Mapping[str, object] = MappingProxyType({})
PARALLEL: Mapping[str, object] = MappingProxyType({"dac": DAC(bits=8, v_max=0.2), "adc": ADC(bits=8)})
SERIAL: Mapping[str, object] = MappingProxyType({"dac": DAC(bits=8, v_max=0.2, bit_serial=True), "adc": ADC(bits=8)})


class Row(NamedTuple):
    """One network, the shape of its batch, and its chips."""

    name: str
    make: Callable[[], torch.nn.Module]
    size: tuple[int, ...]
    converters: Mapping[str, object] = NONE
    n_chips: int | None = None
    arrays: tuple[int, int, int] = (4, 1024, 2048)  # number, rows, columns: a layer is one tile


SMALL = (8, 256, 128)


def both(name: str, make: Callable[[], torch.nn.Module], size: tuple[int, ...]) -> list[Row]:
    """The network without and with converters."""
    return [Row(name, make, size), Row(f"{name}, 8 bit", make, size, PARALLEL)]


def many(name: str, make: Callable[[], torch.nn.Module], size: tuple[int, ...]) -> list[Row]:
    """The same on 100 chips."""
    rows = both(f"{name}, 100 chips", make, size)
    return [row._replace(n_chips=100, arrays=SMALL) for row in rows]


ROWS = [
    *both("five-layer CNN, 100 images", FiveLayerCNN, (100, 1, 28, 28)),
    Row("five-layer CNN, 100 images, bit by bit", FiveLayerCNN, (100, 1, 28, 28), SERIAL),
    *both("Linear 1024 x 1024, 256 vectors", lambda: torch.nn.Linear(1024, 1024), (256, 1024)),
    *both("ResNet-20, 50 images", lambda: ResNet(20), (50, 3, 32, 32)),
    *both("ResNet-56, 50 images", lambda: ResNet(56), (50, 3, 32, 32)),
    *many("five-layer CNN, 10 images", FiveLayerCNN, (10, 1, 28, 28)),
    *many("Conv2d 1 to 8, 1 image of 8x8", lambda: torch.nn.Conv2d(1, 8, 3), (1, 1, 8, 8)),
]


def spent(call: Callable[[], object]) -> float:
    """Processor time of a call, s."""
    start = time.process_time()
    call()
    return time.process_time() - start


def on_chips(row: Row, model: torch.nn.Module, x: torch.Tensor, *, device: str = "cpu") -> ow.nn.Deployed:
    """The network, written and calibrated, on the chips of a device."""
    law = ow.cells.Cell(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ow.cells.ReadNoise(fraction=0.01))
    n_arrays, rows, cols = row.arrays
    parts: Any = row.converters
    chip = ow.Chip(law, n_arrays=n_arrays, rows=rows, cols=cols, n_chips=row.n_chips, device=device, **parts)
    write = BlindWrite(g_step=law.switching.g_step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one step does not reach the targets
        net = ow.deploy(model, chip, write=write, scaling=lambda: ow.mapping.FixedScaling(4.0)).eval()
        if row.converters:
            ow.nn.calibrate_converters(net, x[:4])
        net(x)
    return net


@torch.no_grad()
def measure(row: Row, seconds: float) -> tuple[float, float]:
    """Median seconds of a plain pass, and the median ratio of neighbouring passes."""
    torch.manual_seed(0)
    model = row.make().eval()
    x = torch.rand(*row.size)
    net = on_chips(row, model, x)
    first = spent(lambda: model(x)), spent(lambda: net(x))
    n = max(3, min(200, int(seconds / sum(first))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = [(spent(lambda: model(x)), spent(lambda: net(x))) for _ in range(n)]
    return statistics.median(a for a, _ in pairs), statistics.median(b / a for a, b in pairs) / (row.n_chips or 1)


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="*", default=[""], help="words of the names of rows")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for row in ROWS:
        if not any(word.lower() in row.name.lower() for word in options.only):
            continue
        plain, ratio = measure(row, options.seconds)
        found = {"network": row.name, "plain, ms": round(plain * 1e3, 3), "chips over plain": round(ratio, 2)}
        words = "  ".join(f"{key}: {value}" for key, value in found.items())
        sys.stdout.write((json.dumps(found) if options.json else words) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

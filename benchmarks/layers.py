"""Layers of other networks on a chip beside the same layers in plain torch, in one run: inference with read noise.

    OMP_NUM_THREADS=1 python benchmarks/layers.py                     a table
    OMP_NUM_THREADS=1 python benchmarks/layers.py --json              one JSON object a line
    OMP_NUM_THREADS=1 python benchmarks/layers.py --only LSTM GRU     rows whose names contain one of these words
    OMP_NUM_THREADS=1 python benchmarks/layers.py --profile           where the time goes, by torch operation

Every row is one layer, deployed alone with 1 % read noise, fixed input scaling and no converters. The plain layer and
the deployed one take the same float32 batch in turn, in one thread and without gradients; a row is the median of the
ratios of neighbours, so that the load of the machine matters little. Each of n chips gets the batch; n chips are
compared with n plain passes. Weights are random and written in one step: neither accuracy nor programming is timed.
"""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch

import ohmweave as ow
from ohmweave.programming import BlindWrite


class Case(NamedTuple):
    """One layer and the shape of its input, batch first."""

    name: str
    make: Callable[[], torch.nn.Module]
    size: tuple[int, ...]


class Attention(torch.nn.Module):
    """Self-attention, without its weights as an output."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.MultiheadAttention(256, 8, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, time, 256)` to the same."""
        y: torch.Tensor = self.layer(x, x, x, need_weights=False)[0]
        return y


def conv(channels: int, size: int, groups: int) -> Case:
    """A 3 x 3 convolution of square images; with as many groups as channels it is depthwise, as in MobileNet."""
    name = f"Conv2d 3x3, {channels} channels, {groups} groups, {size}x{size}"
    return Case(name, lambda: torch.nn.Conv2d(channels, channels, 3, padding=1, groups=groups), (channels, size, size))


CASES = (
    conv(64, 16, groups=8),
    conv(64, 16, groups=64),
    conv(128, 14, groups=128),
    conv(256, 7, groups=256),
    Case("MultiheadAttention, 256, 8 heads, 64 steps", Attention, (64, 256)),
    Case(
        "TransformerEncoderLayer, 256, 8 heads, 64 steps",
        lambda: torch.nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True),
        (64, 256),
    ),
    Case("LSTM, 128 to 256, 32 steps", lambda: torch.nn.LSTM(128, 256, batch_first=True), (32, 128)),
    Case("GRU, 128 to 256, 32 steps", lambda: torch.nn.GRU(128, 256, batch_first=True), (32, 128)),
    conv(64, 16, groups=1),
    Case("Linear, 1024 to 1024", lambda: torch.nn.Linear(1024, 1024), (1024,)),
)


def spent(call: Callable[[], object]) -> float:
    """Processor time of a call, s."""
    start = time.process_time()
    call()
    return time.process_time() - start


def on_chip(model: torch.nn.Module, n_chips: int | None) -> ow.nn.Deployed:
    """The model with 1 % read noise, on arrays large enough to hold it."""
    law = ow.cells.Cell(ow.cells.LinearStep(g_min=2e-6, g_max=20e-6), read_noise=ow.cells.ReadNoise(fraction=0.01))
    chip = ow.Chip(law, n_arrays=80, rows=256, cols=256, n_chips=n_chips)
    write = BlindWrite(g_step=law.switching.g_step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one step does not reach the targets
        return ow.deploy(model, chip, write=write, scaling=lambda: ow.mapping.FixedScaling(8.0)).eval()


@torch.no_grad()
def measure(case: Case, n_chips: int | None, *, batch: int, seconds: float) -> tuple[float, float]:
    """Median seconds of a plain pass, and the median ratio of neighbouring passes."""
    torch.manual_seed(0)
    model = case.make().eval()
    net = on_chip(model, n_chips)
    x = torch.randn(batch, *case.size)
    first = [(spent(lambda: model(x)), spent(lambda: net(x))) for _ in range(2)][1]  # the first round warms up
    pairs = [(spent(lambda: model(x)), spent(lambda: net(x))) for _ in range(max(5, int(seconds / sum(first))))]
    return statistics.median(a for a, _ in pairs), statistics.median(b / a for a, b in pairs) / (n_chips or 1)


@torch.no_grad()
def profile(case: Case, batch: int) -> str:
    """The operations of one deployed pass that take the most time."""
    net = on_chip(case.make().eval(), None)
    x = torch.randn(batch, *case.size)
    net(x)
    with torch.profiler.profile() as found:
        for _ in range(5):
            net(x)
    return str(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40))


def main() -> None:
    """Print a row for each layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--only", nargs="*", default=[""], help="words of the names of rows")
    parser.add_argument("--batch", type=int, default=100, help="samples of a pass")
    parser.add_argument("--chips", type=int, default=4, help="chips of the last column")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for case in CASES:
        if not any(word.lower() in case.name.lower() for word in options.only):
            continue
        if options.profile:
            sys.stdout.write(f"{case.name}\n{profile(case, options.batch)}\n")
            continue
        plain, one = measure(case, None, batch=options.batch, seconds=options.seconds)
        _, several = measure(case, options.chips, batch=options.batch, seconds=options.seconds)
        row = {"layer": case.name, "plain, ms": plain * 1e3, "1 chip": one, f"{options.chips} chips": several}
        text = (
            json.dumps(row)
            if options.json
            else "  ".join(
                f"{key}: {value if isinstance(value, str) else f'{value:.3g}'}" for key, value in row.items()
            )
        )
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Other simulators on the rows of `training.py` and `networks.py`, each beside plain torch in the same process.

    python benchmarks/peers.py --aihwkit PYTHON_OF_ITS_ENVIRONMENT
    python benchmarks/peers.py --aihwkit ... --rows "MLP" --batches 1

A peer is installed in an environment of its own, with a torch of its own, and found by the path of that environment's
Python (or by OHMWEAVE_AIHWKIT); a peer that is not there is skipped. This file is then its program too: it needs
nothing but torch and the peer. Figures are ratios of processor time to plain float32 torch doing the ideal computation
on one core, the two in turn; medians of the rounds, +- half the range.

What is compared, and what is not the same: aihwkit updates by trains of pulses of up to 31 bits, sample by sample, with
a cycle-to-cycle noise of 30 % of a step, as the cells of `training.py` have. Its reads are exact there
(`is_perfect`). Read noise is 1 % of the largest weight, once at the outputs alone and once for each weight.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)

Call = Callable[[], object]


def mlp() -> torch.nn.Sequential:
    """784-100-10, as in `training.py`."""
    return torch.nn.Sequential(
        torch.nn.Linear(784, 100, bias=False), torch.nn.Sigmoid(), torch.nn.Linear(100, 10, bias=False)
    )


def cnn() -> torch.nn.Sequential:
    """Two convolutions and two linear layers on 28 x 28 pixels, as in `training.py`."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, bias=False),
        torch.nn.Tanh(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 5, bias=False),
        torch.nn.Tanh(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(512, 128, bias=False),
        torch.nn.Tanh(),
        torch.nn.Linear(128, 10, bias=False),
    )


def five_layers() -> torch.nn.Sequential:
    """The five-layer CNN of Yao et al. 2020 with one convolver."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(3, ceil_mode=True),
        torch.nn.Conv2d(8, 12, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2, ceil_mode=True),
        torch.nn.Flatten(),
        torch.nn.Linear(192, 10, bias=False),
    )


def of_aihwkit(kind: str) -> Any:
    """A configuration of aihwkit by a row's kind."""
    from aihwkit.simulator import configs

    noise = {"dw_min": 1.2e-3, "dw_min_dtod": 0.0, "dw_min_std": 0.3, "w_max": 0.6, "w_min": -0.6}
    plain = {"w_max_dtod": 0.0, "w_min_dtod": 0.0, "up_down_dtod": 0.0}
    constant = configs.ConstantStepDevice(**noise, **plain)
    soft = configs.SoftBoundsDevice(**noise, **plain)
    if kind == "read noise":
        return _reads(configs, out_noise=0.01)
    if kind == "read noise a cell":
        return _reads(configs, w_noise=0.01)
    if kind == "read noise, 8 bit":
        return _reads(configs, out_noise=0.01, inp_res=2**8 - 2, out_res=2**8 - 2)
    device: Any = {"constant steps": constant, "soft bounds": soft}.get(kind)
    if kind == "mixed precision":
        config: Any = configs.DigitalRankUpdateRPUConfig(device=configs.MixedPrecisionCompound(device=constant))
    elif kind == "Tiki-Taka v2":
        transfer = configs.BufferedTransferCompound(unit_cell_devices=[soft, soft], transfer_every=1)
        config = configs.UnitCellRPUConfig(device=transfer)
    else:
        config = configs.SingleRPUConfig(device=device)
    config.forward.is_perfect = config.backward.is_perfect = True
    return _in_one_tile(config)


def _in_one_tile(config: Any) -> Any:
    config.mapping.max_input_size = config.mapping.max_output_size = 0
    return config


def _reads(configs: Any, *, w_noise: float = 0.0, inp_res: int = -1, out_res: int = -1, out_noise: float = 0.0) -> Any:
    """Noisy reads: at the outputs, or of each weight anew in each read."""
    config = configs.InferenceRPUConfig()
    config.forward.out_noise, config.forward.w_noise = out_noise, w_noise
    if w_noise:
        config.forward.w_noise_type = configs.WeightNoiseType.ADDITIVE_CONSTANT
    config.forward.inp_res = 1 / inp_res if inp_res > 0 else -1
    config.forward.out_res = 1 / out_res if out_res > 0 else -1
    config.forward.bound_management = type(config.forward.bound_management).NONE
    return _in_one_tile(config)


def steps(net: torch.nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, labels: torch.Tensor) -> None:
    """A step of cross-entropy on a batch."""
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(x), labels).backward()
    optimizer.step()


def trained(make: Callable[[], torch.nn.Module], kind: str, batch: int, n_steps: int) -> tuple[Call, Call]:
    """A pass of training of the peer, and of plain torch."""
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.optim import AnalogSGD

    random = torch.Generator().manual_seed(0)
    x = torch.rand(batch * n_steps, 784, generator=random) * (torch.rand(batch * n_steps, 784, generator=random) < 0.2)
    x = x.view(-1, 1, 28, 28) if make is cnn else x
    labels = torch.randint(10, (len(x),), generator=random)
    batches = list(zip(x.split(batch), labels.split(batch), strict=True))
    plain = make()
    peer = convert_to_analog(make(), of_aihwkit(kind))
    analog = AnalogSGD(peer.parameters(), lr=0.01)
    analog.regroup_param_groups(peer)
    digital = torch.optim.SGD(plain.parameters(), lr=0.01)
    return (
        lambda: [steps(peer, analog, *one) for one in batches],
        lambda: [steps(plain, digital, *one) for one in batches],
    )


def read(make: Callable[[], torch.nn.Module], kind: str, size: tuple[int, ...]) -> tuple[Call, Call]:
    """A pass of inference of the peer, and of plain torch."""
    from aihwkit.nn.conversion import convert_to_analog

    x = torch.rand(size, generator=torch.Generator().manual_seed(0))
    plain = make().eval()
    peer = convert_to_analog(make(), of_aihwkit(kind)).eval()

    def run(net: torch.nn.Module) -> None:
        with torch.no_grad():
            net(x)

    return lambda: run(peer), lambda: run(plain)


TRAINED = {
    "MLP, pulsed SGD, constant steps": (mlp, "constant steps"),
    "MLP, pulsed SGD, soft bounds": (mlp, "soft bounds"),
    "MLP, mixed precision": (mlp, "mixed precision"),
    "MLP, Tiki-Taka v2": (mlp, "Tiki-Taka v2"),
    "CNN, pulsed SGD, constant steps": (cnn, "constant steps"),
}
READ = {
    "Linear 1024 x 1024, 256 vectors": (lambda: torch.nn.Linear(1024, 1024, bias=False), (256, 1024)),
    "five-layer CNN, 100 images": (five_layers, (100, 1, 28, 28)),
}
KINDS = ("read noise", "read noise a cell", "read noise, 8 bit")


def spent(call: Call) -> float:
    """Processor time of a call, s."""
    start = time.process_time()
    call()
    return time.process_time() - start


def ratio(sides: tuple[Call, Call], rounds: int, repeats: int) -> dict[str, float]:
    """Median of the ratio, half its range, and the plain side's median, s; the two in turn."""
    for side in sides:
        side()
    found = [[sum(spent(side) for _ in range(repeats)) / repeats for side in sides] for _ in range(rounds)]
    ratios = [peer / plain for peer, plain in found]
    return {
        "ratio": statistics.median(ratios),
        "spread": (max(ratios) - min(ratios)) / 2,
        "plain, s": statistics.median(plain for _, plain in found),
    }


def as_peer(options: argparse.Namespace) -> None:
    """Measure in the peer's own interpreter; one JSON object a line."""
    import aihwkit

    write = sys.stdout.write
    write(json.dumps({"aihwkit": aihwkit.__version__, "torch": torch.__version__}) + "\n")
    wanted = tuple(options.rows)
    for row, (make, kind) in TRAINED.items():
        for batch in options.batches if row.startswith(wanted) else ():
            sides = trained(make, kind, batch, options.steps)
            write(json.dumps({"row": f"{row}, batch {batch}", **ratio(sides, options.rounds, 1)}) + "\n")
            sys.stdout.flush()
    for row, (make, size) in READ.items():
        for kind in KINDS if row.startswith(wanted) else ():
            sides = read(make, kind, size)
            write(json.dumps({"row": f"{row}, {kind}", **ratio(sides, options.rounds, 5)}) + "\n")
            sys.stdout.flush()


def main() -> None:
    """Print a table of every peer that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aihwkit", default=os.environ.get("OHMWEAVE_AIHWKIT"), help="Python of its environment")
    parser.add_argument("--rows", nargs="*", default=[""], help="beginnings of rows' names")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 10, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of training in a pass")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        as_peer(options)
        return
    if not options.aihwkit:
        print("no peer: give the Python of an environment with aihwkit by --aihwkit or OHMWEAVE_AIHWKIT")
        return
    command = [options.aihwkit, __file__, "--as-peer", f"--rounds={options.rounds}", f"--steps={options.steps}"]
    command += ["--rows", *options.rows, "--batches", *map(str, options.batches)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            if "row" not in found:
                print(", ".join(f"{name} {version}" for name, version in found.items()), flush=True)
                continue
            plain = 1e3 * found["plain, s"]
            print(f"{found['row']}: {found['ratio']:.2f} +- {found['spread']:.2f} (plain {plain:.2f} ms)", flush=True)
    if process.returncode:
        raise SystemExit(process.returncode)


if __name__ == "__main__":
    main()

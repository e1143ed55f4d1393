"""Long runs: `python -m tests.fuzz 100000`."""

import argparse
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial, reduce
from multiprocessing import get_context
from pathlib import Path

import torch

from tests.fuzz.cases import CASES
from tests.fuzz.commands import run_commands
from tests.fuzz.crafted import run_checkpoints, run_texts
from tests.fuzz.runner import Tally, run
from tests.fuzz.texts import cell_files, measurements, use_cell, use_measurement


def _calls(options: argparse.Namespace, folder: Path) -> Tally:
    del folder
    each = partial(_one_process, options.only, -(-options.n // options.workers), options.seconds)
    seeds = [1000 * worker + options.seed for worker in range(options.workers)]
    if options.workers == 1:
        return each(seeds[0])
    with get_context("fork").Pool(options.workers) as pool:
        return reduce(Tally.merged, pool.map(each, seeds))


def _one_process(only: str, n: int, seconds: float | None, seed: int) -> Tally:
    cases = {name: case for name, case in CASES.items() if only in name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(cases, n=n, seed=seed, seconds=seconds, watch=_told)


def _told(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _checkpoints(options: argparse.Namespace, folder: Path) -> Tally:
    return run_checkpoints(folder, n=max(1, options.n // 10), seed=options.seed)


def _cells(options: argparse.Namespace, folder: Path) -> Tally:
    n = max(1, options.n // 10)
    return run_texts("cell file", cell_files(), folder / "cell.json", use_cell, n=n, seed=options.seed)


def _measurements(options: argparse.Namespace, folder: Path) -> Tally:
    n = max(1, options.n // 10)
    return run_texts("measurement", measurements(), folder / "m.csv", use_measurement, n=n, seed=options.seed)


def _commands(options: argparse.Namespace, folder: Path) -> Tally:
    return run_commands(folder, n=max(1, options.n // 10), seed=options.seed)


FUZZERS: dict[str, Callable[[argparse.Namespace, Path], Tally]] = {
    "calls": _calls,
    "checkpoints": _checkpoints,
    "cell files": _cells,
    "measurements": _measurements,
    "commands": _commands,
}
"""The fuzzers; of files there are a tenth of the inputs."""


def main() -> int:
    """Fuzz calls and files, then print counts by kind and the failures. 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=2000, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="of the calls, after which they end with fewer inputs")
    parser.add_argument("--workers", type=int, default=1, help="processes of the calls, each with a seed of its own")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--what", choices=[*FUZZERS, "all"], default="all")
    parser.add_argument("--types", action="store_true", help="list refusals of wrong types without a name as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, hard))  # what allocates more is a failure, not a swap
    bad = 0
    for name, fuzzer in FUZZERS.items():
        if options.what not in (name, "all"):
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tally = fuzzer(options, Path(folder))
        sys.stdout.write(f"{name}: {sum(tally.counts.values()):,} inputs in {time.monotonic() - start:.0f} s\n")
        sys.stdout.write(tally.report(types=options.types) + "\n")
        bad += tally.bad
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())

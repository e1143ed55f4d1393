"""Long runs: `python -m tests.fuzz 100000`."""

import argparse
import resource
import sys
import time

import torch

from tests.fuzz.cases import CASES
from tests.fuzz.runner import run


def main() -> int:
    """Fuzz the public face, then print counts by kind and the failures. 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=2000, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--types", action="store_true", help="list refusals of wrong types without a name as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, hard))  # what allocates more is a failure, not a swap
    cases = {name: case for name, case in CASES.items() if options.only in name}
    start = time.monotonic()
    tally = run(cases, n=options.n, seed=options.seed)
    sys.stdout.write(f"{options.n:,} inputs of {len(cases)} calls in {time.monotonic() - start:.0f} s\n")
    sys.stdout.write(tally.report(types=options.types) + "\n")
    return int(tally.bad > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Rows with and without Numba: each experiment is run at smoke scale in both ways, and the results are compared.

    python -m tests.same_rows [NAME ...] [--data NAME]

NAMES are experiments, globs or papers; without one, all that run at smoke scale. Minutes to an hour, by experiment.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ohmweave.experiments import load_installed, match

RUN = """
import sys
if "no-numba" in sys.argv:
    sys.modules["numba"] = None
from ohmweave.cli import main
main(["run", *sys.argv[3:], "--out", sys.argv[1], "--scale", "smoke", "--seeds", "1"])
"""


def results_of(names: Sequence[str], how: str, *, more: Sequence[str] = (), program: str = RUN) -> dict[str, Any]:
    """Results of the rows of experiments by their ids, from a process with Numba (`how` "numba") or "no-numba"."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [sys.executable, "-c", program, out, how, *names, *more],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        found = [path.read_text().splitlines() for path in sorted(Path(out).glob("*/*/rows.jsonl"))]
    rows = [json.loads(line) for lines in found for line in lines]
    assert all((row["versions"]["numba"] == "no") == (how == "no-numba") for row in rows)
    return {f"{row['experiment']} {row['id']}": row["result"] for row in rows}


def main() -> int:
    """Run and compare; the exit code is the number of experiments that differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["*"])
    parser.add_argument("--data", default="digits")
    given = parser.parse_args()
    load_installed()
    different = 0
    for name in sorted({one.name for asked in given.names for one in match(asked)}):
        with_numba, without = (results_of([name], how, more=["--data", given.data]) for how in ("numba", "no-numba"))
        equal = with_numba == without
        different += not equal
        sys.stdout.write(f"{name}: {len(with_numba)} rows {'equal' if equal else 'DIFFERENT'}\n")
        sys.stdout.flush()
    return different


if __name__ == "__main__":
    sys.exit(main())

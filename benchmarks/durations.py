"""Makes `ohmweave/experiments/durations.json`, from which `ohmweave run --all` takes the expected time of tasks.

    python benchmarks/durations.py measured RESULTS            # from the logs of a results folder
    python benchmarks/durations.py probe mnist full SECONDS    # start one task of each experiment and extrapolate

A probe stops the first task of an experiment after so many seconds, and divides them by the part that the task reports
as done. That is rough, because parts do not take equal times. Measured durations come before extrapolated ones. Make
both and the calibration, which the first call takes, under the same load of the machine.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ohmweave.experiments import Context, Options, experiments, find, load_installed, read_log, read_results
from ohmweave.experiments.expected_time import DURATIONS, calibrate, durations
from ohmweave.experiments.running import unique_tasks

LATEST = 3.0  # a task that reports no progress for so many times its seconds is stopped from outside


class Stopped(BaseException):
    """Raised inside of a task when its time is over."""


def one(name: str, data: str, scale: str, seconds: float, out: str) -> float | None:
    """Expected seconds of the first task of an experiment with one chip; None if it reported too little progress."""
    options = Options(data=data, scale=scale, out=Path(out))
    (task, *_), start = unique_tasks(find(name), options), time.perf_counter()
    done = [(0.0, 0.0)]

    def progress(fraction: float, text: str) -> None:
        done.append((time.perf_counter() - start, fraction))
        if done[-1][0] > seconds:
            raise Stopped

    try:
        find(name).run(task, Context(options=options, progress=progress))
    except Stopped:
        elapsed, fraction = done[-1]
        return elapsed / fraction if fraction >= 0.01 else None
    return time.perf_counter() - start


def probe(data: str, scale: str, seconds: float) -> dict[str, float]:
    """`one` for each experiment, each in a process of its own."""
    found = {}
    for name in experiments():
        command = [sys.executable, __file__, "one", name, data, scale, str(seconds), tempfile.mkdtemp()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LATEST * seconds, check=False)
            value = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
        except subprocess.TimeoutExpired:
            value = None
        print(name, value, flush=True)
        if value is not None:
            found[name] = value
    return found


def main() -> None:
    """See the module's text."""
    load_installed()
    action, *rest = sys.argv[1:]
    if action == "one":
        name, data, scale, seconds, out = rest
        print(json.dumps(one(name, data, scale, float(seconds), out)))
        return
    known = json.loads(DURATIONS.read_text()) if DURATIONS.exists() else {"seconds": {}, "extrapolated": {}}
    here = calibrate()
    slower = here / known.setdefault("calibration", here)
    if action == "measured":
        found = durations(read_results(Path(rest[0])), read_log(Path(rest[0])))
        kind = "seconds"
    else:
        data, scale, seconds = rest
        found = {name: {f"{data}-{scale}": value} for name, value in probe(data, scale, float(seconds)).items()}
        kind = "extrapolated"
    for name, by_scope in found.items():
        for scope, value in by_scope.items():
            known[kind].setdefault(name, {})[scope] = float(f"{value / slower:.3g}")
    DURATIONS.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

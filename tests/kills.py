"""SIGKILL at random moments: no row is lost or doubled, no checkpoint is torn. Takes minutes; not a part of the tests.

    python -m tests.kills [N] [--seed S] [--what saves|runs]

Kills N processes of each kind. A killed process is a fork of this one, which has imported everything: so the kills
fall on the work, not on imports.
"""

import argparse
import contextlib
import hashlib
import io
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import ohmweave as ow
from ohmweave.base import generator
from ohmweave.cli import main
from ohmweave.experiments import Context, Experiment, Options, Task, load_installed, register

EXPERIMENT = "kills/write"
N_TASKS = 12
KILLS_A_FOLDER = 5
N_SAVES = 30


def forked(work: Callable[[], None]) -> int:
    """The process id of a fork that does `work`, silently."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            work()
        code = 0
    finally:
        os._exit(code)


def killed(work: Callable[[], None], after: float) -> bool:
    """Do `work` in a fork and kill it after `after` s. False if it had ended before."""
    process = forked(work)
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            assert status == 0, f"the process failed: {status}"
            return False
        time.sleep(0.0005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def tasks(options: Options) -> list[Task]:
    """Networks that are deployed and read, one a task."""
    del options
    return [Task(experiment=EXPERIMENT, params={"kind": "write-verify"}, seed=seed) for seed in range(N_TASKS)]


def run(task: Task, context: Context) -> Mapping[str, Any]:
    """Deploy a network, and return its noisy outputs."""
    net = network(task.seed)
    context.progress(0.5, "written")
    x = torch.randn(32, 16, generator=generator(task.seed, "x"), device="cpu", dtype=torch.float32)
    return {"outputs": net(x).tolist()}


register(
    Experiment(
        name=EXPERIMENT,
        title="Small networks, deployed and read",
        paper="none",
        summary="",
        claims=(),
        assumptions=(),
        tasks=tasks,
        run=run,
    )
)


def run_rows(out: Path) -> None:
    """`ohmweave run` of the experiment above."""
    with contextlib.suppress(SystemExit):
        main(["run", EXPERIMENT, "--out", str(out)])


def kill_runs(n: int, pick: random.Random, folder: Path) -> tuple[int, int, list[int]]:
    """Kill `n` runs, some of them several times in one folder; each is then run to its end and compared.

    Returns:
        Kills, folders, and the number of rows at each kill.
    """
    start = time.monotonic()
    assert os.waitpid(forked(lambda: run_rows(folder / "whole")), 0)[1] == 0
    duration = time.monotonic() - start
    whole = (folder / "whole" / EXPERIMENT / "rows.jsonl").read_bytes()
    kills, folders, rows = 0, 0, []
    while kills < n:
        out = folder / str(folders)
        folders += 1
        path = out / EXPERIMENT / "rows.jsonl"
        for _ in range(pick.randrange(1, KILLS_A_FOLDER + 1)):
            if killed(lambda out=out: run_rows(out), pick.uniform(0, duration)):  # type: ignore[misc]
                kills += 1
                found = path.read_bytes() if path.exists() else b""
                rows.append(found.count(b"\n"))
                sys.stderr.write(f"\r{kills} kills of runs")
                assert whole.startswith(found), "what is there is not the beginning of the undisturbed rows"
                if pick.randrange(2):  # as if the kill had come in the middle of a write, which it seldom does
                    path.parent.mkdir(parents=True, exist_ok=True)
                    rest = whole[found.rfind(b"\n") + 1 :]
                    path.write_bytes(found[: found.rfind(b"\n") + 1] + rest[: pick.randrange(min(len(rest), 200) or 1)])
        assert os.waitpid(forked(lambda out=out: run_rows(out)), 0)[1] == 0  # type: ignore[misc]
        assert path.read_bytes() == whole, f"the rows of {out} differ"
    return kills, folders, rows


def network(seed: int = 0) -> torch.nn.Module:
    """A small network on a chip, the same each time."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    chip = ow.Chip(ow.cells.yao2020(), n_arrays=2, rows=64, cols=64, seed=seed)
    return ow.deploy(model, chip, mapping=ow.DifferentialPair(levels=15), write=ow.WriteVerify(tolerance=0.5e-6))


def save_often(path: Path, digests: list[str] | None = None) -> None:
    """Deploy, then train and save in turn; `digests` receives the digest of each file."""
    net = network()
    random_numbers = generator(0, "x")
    for _ in range(N_SAVES):
        net(torch.randn(8, 16, generator=random_numbers, device="cpu", dtype=torch.float32))  # moves the noise's stream
        ow.save(net, path)
        if digests is not None:
            digests.append(hashlib.sha256(path.read_bytes()).hexdigest())


def kill_saves(n: int, pick: random.Random, folder: Path) -> tuple[int, int]:
    """Kill `n` processes that deploy and save. Returns the kills, and how many left a file."""
    digests: list[str] = []
    start = time.monotonic()
    save_often(folder / "whole.safetensors", digests)
    duration = time.monotonic() - start
    assert len(set(digests)) == N_SAVES
    kills = files = 0
    while kills < n:
        path = folder / f"{kills}.safetensors"
        old = ""
        if pick.randrange(2):  # over an older file
            path.write_bytes((folder / "whole.safetensors").read_bytes())
            old = digests[-1]
        if not killed(lambda path=path: save_often(path), pick.uniform(0, duration)):  # type: ignore[misc]
            continue
        kills += 1
        if not path.exists():
            assert not old, "the older file is gone"
            continue
        files += 1
        assert hashlib.sha256(path.read_bytes()).hexdigest() in digests, f"{path} is neither old nor new"
        ow.load(network(), path)
    return kills, files


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=50, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=("saves", "runs", "all"), default="all")
    options = parser.parse_args()
    load_installed()  # here once, and not in each fork
    torch.set_num_threads(1)
    pick = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what != "runs":
            kills, files = kill_saves(options.n, pick, folder)
            sys.stdout.write(f"deploy and save: {kills} kills, {files} left a file: each old or new, and loaded\n")
        if options.what != "saves":
            kills, folders, rows = kill_runs(options.n, pick, folder)
            sys.stdout.write(
                f"run: {kills} kills in {folders} folders, at {min(rows)} to {max(rows)} rows; "
                "after the resumed run all rows equal those of the undisturbed one, byte for byte\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(_main())

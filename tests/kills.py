"""SIGKILL at random moments: no row is lost or doubled, no checkpoint is torn. Takes minutes; not a part of the tests.

    python -m tests.kills [N] [--seed S] [--what saves|runs|deployments|trainings|fits|studies]

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
from ohmweave.experiments.provenance import commit

EXPERIMENT = "kills/write"
N_TASKS = 12
KILLS_A_FOLDER = 5
N_SAVES = 30
N_EPOCHS = 12


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


def network(seed: int = 0, hidden: int = 32) -> torch.nn.Module:
    """A small network on a chip, the same each time."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(16, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 4))
    chip = ow.Chip(ow.cells.yao2020(), n_arrays=hidden // 16, rows=64, cols=64, seed=seed)
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


def deploy_once(path: Path) -> None:
    """Deploy a network, unless its checkpoint is there, and save it."""
    if not path.exists():
        ow.save(network(hidden=128), path)


class Counted(torch.nn.Sequential):
    """A model that counts its epochs of training, so that a checkpoint says where to go on."""

    def __init__(self, *layers: torch.nn.Module) -> None:
        super().__init__(*layers)
        self.register_buffer("n_epochs", torch.zeros((), dtype=torch.int64, device="cpu"))


def train(path: Path) -> None:
    """Train in situ, with a checkpoint after each epoch; go on from the one that is there."""
    torch.manual_seed(0)
    model = Counted(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    chip = ow.Chip(ow.cells.yao2020(read_noise=0.01), n_arrays=2, rows=64, cols=64, seed=0)
    net = ow.deploy(model, chip, mapping=ow.DifferentialPair(), write=ow.WriteVerify(tolerance=0.5e-6))
    rules: list[torch.optim.Optimizer] = [
        ow.optim.PulsedSGD(net.chip_parameters(), lr=0.05, g_step=2e-7, generator=generator(0, "rule")),
        torch.optim.SGD(net.digital_parameters(), lr=0.05, momentum=0.9),
    ]
    if path.exists():
        ow.load(net, path, rule=rules)
    for epoch in range(int(net.n_epochs), N_EPOCHS):
        x = torch.randn(8, 16, generator=generator(epoch, "x"), device="cpu", dtype=torch.float32)
        net(x).square().mean().backward()
        for rule in rules:
            rule.step()
            rule.zero_grad()
        net.n_epochs += 1
        ow.save(net, path, rule=rules)


def fit_once(path: Path) -> None:
    """`ohmweave fit` of trains of eight cells."""
    trains = path.parent / "trains.csv"
    if not trains.exists():
        random_numbers = random.Random(0)
        lines = []
        for cell in range(8):
            for pulse in range(60):
                g = 2 + 0.3 * min(pulse, 60 - pulse) + random_numbers.gauss(0, 0.1)
                lines.append(f"{cell},{pulse},{1 if pulse < 30 else -1},{g}")
        trains.write_text("\n".join(["cell,pulse,polarity,g (uS)", *lines]) + "\n")
    with contextlib.suppress(SystemExit):
        main(["fit", str(trains), "--no-figure", "--out", str(path)])


def explore_once(path: Path) -> None:
    """Explore eight designs; the file has the rows in a fixed order and the table of designs."""
    space = {"epochs": 1, "rows": 64, "cols": 64, "wire": ["0 Ohm", "2 Ohm"], "dac_bits": 2, "adc_bits": [3, 4, 6, 8]}
    settings = {"chips": 2, "n_train": 60, "n_validation": 20, "n_test": 20}
    found = ow.explore.study(space, settings=settings, out=path.parent / "study")
    rows = (path.parent / "study" / "explore" / "study" / "rows.jsonl").read_text().splitlines()
    path.write_text("\n".join([*sorted(rows), *map(str, found.records())]))


def kill_work(n: int, pick: random.Random, folder: Path, work: Callable[[Path], None]) -> tuple[int, int]:
    """Kill `n` processes that make one file, each time until it is there; it must be that of an undisturbed process.

    Returns:
        Kills, and files.
    """
    start = time.monotonic()
    (folder / "whole").mkdir()
    assert os.waitpid(forked(lambda: work(folder / "whole" / "file.json")), 0)[1] == 0
    duration = time.monotonic() - start
    whole = (folder / "whole" / "file.json").read_bytes()
    kills = files = 0
    while kills < n:
        path = folder / str(files) / "file.json"
        path.parent.mkdir()
        files += 1
        for _ in range(pick.randrange(1, KILLS_A_FOLDER + 1)):
            kills += killed(lambda path=path: work(path), pick.uniform(0, duration))  # type: ignore[misc]
        assert os.waitpid(forked(lambda path=path: work(path)), 0)[1] == 0  # type: ignore[misc]
        assert path.read_bytes() == whole, f"{path} differs from that of an undisturbed process"
    return kills, files


WORKS: dict[str, Callable[[Path], None]] = {
    "deployments": deploy_once,
    "trainings": train,
    "fits": fit_once,
    "studies": explore_once,
}


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=50, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=("saves", "runs", *WORKS, "all"), default="all")
    options = parser.parse_args()
    load_installed()  # here once, and not in each fork
    commit()  # rows have it: it is looked up once, so that a commit during the run makes no difference
    torch.set_num_threads(1)
    pick = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for name, work in WORKS.items():
            if options.what in (name, "all"):
                (folder / name).mkdir()
                kills, files = kill_work(options.n, pick, folder / name, work)
                sys.stdout.write(f"{name}: {kills} kills, {files} files at the end, equal to those without a kill\n")
        if options.what in ("saves", "all"):
            kills, files = kill_saves(options.n, pick, folder)
            sys.stdout.write(f"deploy and save: {kills} kills, {files} left a file: each old or new, and loaded\n")
        if options.what in ("runs", "all"):
            kills, folders, rows = kill_runs(options.n, pick, folder)
            sys.stdout.write(
                f"run: {kills} kills in {folders} folders, at {min(rows)} to {max(rows)} rows; "
                "after the resumed run all rows equal those of the undisturbed one, byte for byte\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(_main())

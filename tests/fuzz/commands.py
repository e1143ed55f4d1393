"""Commands with wrong arguments and crafted files: exit 0, 1 or 2, and no file outside of the folder is touched."""

import contextlib
import io
import json
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ohmweave.cli import main
from tests.fuzz.crafted import mutated
from tests.fuzz.judge import Kind, Outcome, refusal
from tests.fuzz.runner import LIMIT, Tally
from tests.helpers.experiments import NAME, experiment, only_registered

WORDS = (
    "", "-1", "0", "1e308", "nan", "inf", "2 S", "-2 uS", "1e-400 S", "9" * 400, "µ" * 10_000, "\0", "\x1b[2J", "[/]",
    "../../victim", "/proc/self/mem", "uS", "1 uS V", "1e999 uS", "S**9**9", "--help=", "*", "[", "no such file",
    "\ud800", "2**63", "1.5", "True", "x=1",
)  # fmt: skip
"""In place of an argument. They hold no number for which a command works for long by design."""

COMMANDS: dict[str, list[str]] = {
    "list": ["list", "--json"],
    "run": [
        "run", NAME, "--scale", "smoke", "--data", "digits", "--seeds", "2", "--seed", "3", "--out", "out", "--device",
        "cpu", "--threads", "1", "--refresh",
    ],
    "claims": ["claims", "results", "--markdown", "--all"],
    "report": ["report", "results"],
    "cost": ["cost", NAME, "--results", "results", "--by", "layer", "--json"],
    "fit": [
        "fit", "m.csv", "--law", "linear", "--no-figure", "--unit", "uS", "--g-min", "1 uS", "--g-max", "30 uS",
        "--bins", "3", "--stuck-below", "0.1", "--out", "cell.json", "--json",
    ],
    "netlist": [
        "netlist", "--rows", "3", "--cols", "2", "--g-min", "2 uS", "--g-max", "20 uS", "--seed", "1", "--v-read",
        "0.2 V", "--r-row", "1 Ohm", "--r-col", "1 Ohm", "--r-driver", "1 Ohm", "--r-sense", "1 Ohm", "--r-cell",
        "1 kOhm", "--sinh-v0", "0.3 V", "--out", "x.cir",
    ],
    "netlist of files": [
        "netlist", "g.csv", "--inputs", "v.csv", "--unit", "uS", "--r-row", "1 Ohm", "--out", "x.cir",
    ],
    "netlist of .npy": ["netlist", "g.npy", "--unit", "S", "--out", "x.cir"],
}  # fmt: skip
"""Valid commands, to be changed in one or two places."""

_TRAINS = "\n".join(
    [
        "cell,pulse,polarity,g",
        *(f"{c},{p},{1 if p < 6 else -1},{5 + abs(6 - p) * -0.5}" for c in "ab" for p in range(12)),
    ]
)


def _files() -> dict[str, bytes]:
    """Sound input files, by name."""
    array = io.BytesIO()
    np.save(array, np.linspace(1e-6, 2e-5, 6).reshape(3, 2))
    rows = {"x": 1}
    return {
        "m.csv": _TRAINS.encode(),
        "g.csv": b"1,2\n3,4\n5,6\n",
        "v.csv": b"0.1\n0.2\n0.0\n",
        "g.npy": array.getvalue(),
        "results/coins/toss/rows.jsonl": json.dumps(rows).encode() + b"\n",
        "results/coins/toss/log.jsonl": b"{}\n",
        "victim": b"mine",
    }


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[Path]:
    """A working folder two levels below `folder`, whose other files are watched."""
    work = folder / "a" / "b"
    work.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(work)
    try:
        yield work
    finally:
        os.chdir(before)


def _changed(arguments: list[str], rng: random.Random) -> list[str]:
    changed = list(arguments)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(1, len(changed)) if len(changed) > 1 else 0
        kind = rng.randrange(6)
        if kind == 0:
            del changed[at]
        elif kind == 1:
            changed.insert(at, changed[rng.randrange(len(changed))])
        elif kind == 2 and not changed[at].startswith("--") and at:
            changed[at] = mutated(changed[at], rng) or "x"
        else:
            changed[at] = rng.choice(WORDS)
        if not changed:
            break
    return changed


def _damaged(data: bytes, rng: random.Random) -> bytes:
    """Text changed as text; bytes flipped, cut or put in."""
    if rng.randrange(2):
        text = data.decode("utf-8", errors="surrogateescape")
        return mutated(text, rng).encode("utf-8", errors="surrogateescape")
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 5))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _outcome(arguments: list[str]) -> tuple[Outcome, str]:
    """What the command did, and all that it printed."""
    out, err = io.StringIO(), io.StringIO()
    start, code = time.process_time(), 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("default")
            main(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the point of a fuzzer
        return Outcome(Kind.FOREIGN, refusal(error, wrong_type=False).what or repr(error)[:120]), ""
    printed = out.getvalue() + err.getvalue()
    if time.process_time() - start > 5 * LIMIT:  # the first call of a command imports what it needs
        return Outcome(Kind.HANG), printed
    if code not in (0, 1, 2):
        return Outcome(Kind.FOREIGN, f"exit status {code}"), printed
    if any(character < " " and character != "\n" for character in printed):
        return Outcome(Kind.NONSENSE, "control characters are printed"), printed
    return Outcome(Kind.REFUSED if code else Kind.OK), printed


def run_commands(folder: Path, *, n: int, seed: int) -> Tally:
    """Run `n` commands, half of them with wrong arguments and half with damaged files."""
    rng, tally, files, names = random.Random(seed), Tally(), _files(), sorted(COMMANDS)
    files.pop("victim")
    (folder / "victim").write_bytes(b"mine")
    (folder / "a").mkdir()
    (folder / "a" / "victim").write_bytes(b"mine")
    with _inside(folder) as work, only_registered(experiment()), _no_plugins():
        for k in range(n):
            name = names[k % len(names)]
            arguments = COMMANDS[name]
            damaged = ""
            if rng.randrange(2):
                arguments = _changed(arguments, rng)
            else:
                damaged = rng.choice(sorted(files))
            for file, data in files.items():
                path = work / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_damaged(data, rng) if file == damaged else data)
            outcome, printed = _outcome(list(arguments))
            if (folder / "victim").read_bytes() != b"mine" or (folder / "a" / "victim").read_bytes() != b"mine":
                outcome = Outcome(Kind.HALF, "a file outside of the folder was changed")
            tally.add(f"ohmweave {name}", outcome, f"{arguments!r:.200} {damaged} {printed[-80:]!r}")
    return tally


@contextlib.contextmanager
def _no_plugins() -> Iterator[None]:
    """Within this block commands find no experiments but those that are registered: the others are not under test."""
    import ohmweave.experiments as experiments

    before: Callable[[], object] = experiments.load_installed
    experiments.load_installed = list  # type: ignore[assignment]
    try:
        yield
    finally:
        experiments.load_installed = before  # type: ignore[assignment]

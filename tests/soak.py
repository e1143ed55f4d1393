"""Long use: memory stays flat, counters and bills exact, calls as fast as at first. No part of the tests.

    python -m tests.soak [SHARE] [--only reads|updates|epochs|placements|rows]

SHARE of 1,000,000 reads, 100,000 updates of each rule, 100,000 steps of `train_epoch`, 10,000 placements and removals,
and 100,000 rows; 1 is all.
The arrays are tiny, so that nearly all of the time is that of calls. Times are those of the processor.
"""

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import ohmweave as ow
from ohmweave.cost import ledger
from ohmweave.cost.bill_items import STANDING
from ohmweave.experiments import Row, Task, read_rows
from ohmweave.experiments.rows import ROWS, open_rows
from ohmweave.mapping import Chip, DifferentialPair, FixedScaling, Matrix
from tests.fuzz.cases.arrays import CELL
from tests.fuzz.cases.rules import MADE, rule_on_layer

N_BLOCKS = 20
FLAT = 0.01
"""Largest relative growth of memory after the first fifth of the calls."""
SLOWER = 1.5
"""Largest ratio of a call's time in the last fifth to that in the second: other programs share the caches."""
GRADIENT = torch.tensor([[0.5, -0.2, 0.0], [0.1, 1.0, -1.0]])


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a number of calls took.

    Attributes:
        n: calls.
        first, last: s a call in the second fifth and in the last.
        before, after: bytes in memory after the first fifth and at the end.
    """

    n: int
    first: float
    last: float
    before: int
    after: int

    def line(self, name: str) -> str:
        """In words."""
        growth = self.after / self.before - 1
        return (
            f"{name}: {self.n:,} calls, {self.first * 1e6:.1f} us each at first and {self.last * 1e6:.1f} us at last; "
            f"memory {self.before / 2**20:.1f} MiB, {growth:+.2%}"
        )

    @property
    def flat(self) -> bool:
        """True if neither the memory nor the time of a call has grown."""
        return self.after <= (1 + FLAT) * self.before and self.last <= SLOWER * self.first


def memory() -> int:
    """Bytes of this process in memory, without garbage."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def repeated(call: Callable[[int], Any], n: int) -> Facts:
    """Call `call(k)` for k = 0, ..., n - 1."""
    size, times, before = max(1, n // N_BLOCKS), [], 0
    for block in range(N_BLOCKS):
        if block == N_BLOCKS // 5:
            before = memory()
        start = time.process_time()
        for k in range(block * size, (block + 1) * size):
            call(k)
        times.append((time.process_time() - start) / size)
    fifth = N_BLOCKS // 5
    return Facts(
        n=size * N_BLOCKS,
        first=statistics.median(times[fifth : 2 * fifth]),
        last=statistics.median(times[-fifth:]),
        before=before,
        after=memory(),
    )


def soak_reads(n: int) -> dict[str, Facts]:
    """Reads, and a tenth of them billed."""
    chip = Chip(CELL, rows=4, cols=4, seed=1)
    matrix = Matrix(chip, "fc", (2, 2), mapping=DifferentialPair(), scaling=FixedScaling())
    matrix.program(torch.tensor([[1.0, -1.0], [0.5, -0.5]]), ow.BlindWrite(g_step=18e-6 / 99))
    x = torch.tensor([[0.3, 0.7]])
    first, y = chip.array.books.activity.copy(), matrix.matmul(x)
    one = chip.array.books.activity - first
    facts = repeated(lambda k: matrix.matmul(x), n)
    found = chip.array.books.activity - first
    assert found.n_reads == (facts.n + 1) * one.n_reads, "reads were lost"
    assert found.n_set == found.n_reset == 0
    assert torch.equal(matrix.matmul(x), y), "the cells have changed"
    with ledger(chip) as alone:
        matrix.matmul(x)
    with ledger(chip) as bill:
        billed = repeated(lambda k: matrix.matmul(x), n // 10)
    for of_all, of_one in zip(bill.items(), alone.items(), strict=True):
        if of_one.phase != STANDING:
            assert of_all.count == billed.n * of_one.count, "the bill is not that of the reads"
            # Sums in double precision: a relative error of at most n 2^-53.
            assert abs(of_all.energy - billed.n * of_one.energy) <= 1e-9 * of_all.energy
    return {"reads": facts, "billed reads": billed}


def soak_updates(n: int) -> dict[str, Facts]:
    """Steps of every rule."""
    facts = {}
    for name in MADE:
        weight, rule = rule_on_layer(name)
        chip = weight.matrix.chip
        activity = chip.array.books.activity

        def step(_: int, weight: Any = weight, rule: Any = rule) -> None:
            weight.grad = GRADIENT
            rule.step()

        for k in range(200):  # until cells at their bounds have come to rest
            step(k)
        before = activity.copy()
        with ledger(chip) as bill:
            for k in range(50):
                step(k)
        sent = activity - before
        pulses = sum(one.n_set + one.n_reset for one in bill.usage.values())
        assert pulses == sent.n_set + sent.n_reset, f"the bill of {name} has {pulses} pulses, the array {sent}"
        before = activity.copy()
        facts[f"updates of {name}"] = found = repeated(step, n)
        sys.stderr.write(f"{found.line(name)}\n")  # at once: all of them take an hour
        sent_in_all = activity - before
        if name == "SignPulse":  # five weights with a gradient, a SET and a RESET each
            assert (sent_in_all.n_set, sent_in_all.n_reset) == (5 * found.n, 5 * found.n), sent_in_all
        g = chip.array.bank.conductance_of(torch.arange(chip.n_cells))  # type: ignore[attr-defined]
        assert bool(g.isfinite().all())
        assert bool((g >= 0).all())
    return facts


def soak_epochs(n: int) -> dict[str, Facts]:
    """Steps of `train_epoch`: a chain of linear layers, and a network with a convolution."""
    linear, convolution = torch.nn.Linear(16, 5, bias=False), torch.nn.Conv2d(1, 2, 3)
    chain = (torch.nn.Flatten(), linear)
    other = (convolution, torch.nn.Flatten(), torch.nn.Linear(8, 5))
    # In each step every layer is read, a convolution once a patch, and a column of the fast matrix of every layer.
    return {"steps of a chain": _epochs(n, chain, 4), "steps with a convolution": _epochs(n, other, 9)}


def _epochs(n: int, first: tuple[torch.nn.Module, ...], n_reads: int) -> Facts:
    """`n` steps in calls of 100; each must make `n_reads` reads."""
    size = 100
    x, labels = torch.rand(size, 1, 4, 4), torch.arange(size) % 3
    model = torch.nn.Sequential(*first, torch.nn.Tanh(), torch.nn.Linear(5, 3, bias=False))
    chip = Chip(CELL, n_arrays=2, rows=40, cols=40, seed=1)
    write = ow.BlindWrite(g_step=18e-6 / 99)
    net = ow.deploy(model, chip, mapping=DifferentialPair(g_unit=1e-5), write=write)
    common = {"g_step": 18e-6 / 99, "generator": torch.Generator().manual_seed(0)}
    rule = ow.optim.TikiTakaV2(net.chip_parameters(), fast_lr=0.01, lr=0.1, **common)
    for _ in range(3):
        ow.optim.train_epoch(net, rule, x, labels)
    before, n_before = chip.array.books.activity.copy(), rule.n_steps
    facts = repeated(lambda _: ow.optim.train_epoch(net, rule, x, labels), n // size)
    assert rule.n_steps - n_before == size * facts.n, "steps were lost"
    found = (chip.array.books.activity - before).n_reads
    assert found == n_reads * size * facts.n, f"{found} reads, not {n_reads * size * facts.n}"
    return facts


def soak_placements(n: int) -> dict[str, Facts]:
    """Matrices that are placed, written, read and removed; no two have the same name."""
    chip = Chip(CELL, n_arrays=2, rows=16, cols=16, seed=1)
    weight, x, write = torch.linspace(-1, 1, 12).view(3, 4), torch.rand(2, 4), ow.BlindWrite(g_step=18e-6 / 99)

    def place(k: int) -> None:
        matrix = Matrix(chip, f"matrix {k}", (3, 4), mapping=DifferentialPair(), scaling=FixedScaling())
        matrix.program(weight, write)
        matrix.matmul(x)
        matrix.readout()
        chip.remove(f"matrix {k}")

    facts = repeated(place, n)
    assert not chip.placed
    assert chip.n_taken == 0
    assert chip.array.books.activity.n_reads == 2 * facts.n
    return {"placements": facts}


def soak_rows(n: int, folder: Path) -> dict[str, Facts]:
    """Rows that are appended, and read back."""
    versions = {"ohmweave": "0.1.0", "torch": "2.6.0", "python": "3.11.7"}

    def row(seed: int) -> Row:
        task = Task(experiment="soak", params={"scale": "full"}, seed=seed)
        return Row(
            id=task.id, experiment="soak", params=task.params, seed=seed, result={"n_correct": [seed], "n": 100},
            versions=versions, commit=None,
        )  # fmt: skip

    with open_rows(folder, "soak") as rows:
        facts = repeated(lambda k: rows.append(row(k), seconds=0.1, started="2020-01-30T12:00:00+00:00"), n)
    found = read_rows(folder / "soak" / ROWS)
    assert [one.seed for one in found] == list(range(facts.n)), "rows were lost or doubled"
    assert all(one.result["n_correct"] == [one.seed] for one in found)
    return {"rows": facts}


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("share", type=float, nargs="?", default=1.0, help="of the full numbers of calls")
    parser.add_argument("--only", choices=("reads", "updates", "epochs", "placements", "rows"), help="one part")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, tuple[int, Callable[[int], dict[str, Facts]]]] = {
            "reads": (1_000_000, soak_reads),
            "updates": (100_000, soak_updates),
            "epochs": (100_000, soak_epochs),
            "placements": (10_000, soak_placements),
            "rows": (100_000, lambda n: soak_rows(n, Path(folder))),
        }
        for name, (n, soak) in parts.items():
            if options.only in (None, name):
                for what, facts in soak(max(N_BLOCKS, int(n * options.share))).items():
                    bad += not facts.flat
                    sys.stdout.write(facts.line(what) + ("" if facts.flat else "  NOT FLAT") + "\n")
                    sys.stdout.flush()
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(_main())

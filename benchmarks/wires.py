"""How long reads through wires take, each against a slower referee in the same run.

    OMP_NUM_THREADS=1 python benchmarks/wires.py                a table
    OMP_NUM_THREADS=1 python benchmarks/wires.py --json         one JSON object a line
    OMP_NUM_THREADS=1 python benchmarks/wires.py --only elimination    the groups whose name contains "elimination"
    OMP_NUM_THREADS=1 python benchmarks/wires.py --calibrate   the parts that `choose_method` weighs

One thread, float64; conductances are log-uniform from 1 to 100 uS, wires 1 Ohm a segment (`--ohm`). Times are the
best of several runs, in processor seconds, so that other work on the machine counts little. badcrossbar
takes part where it is installed; it and our sparse direct solver solve for all nodes. `error` is the largest relative
difference of a column current from that of the effective conductance matrix.
"""

import argparse
import json
import logging
import multiprocessing
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

from ohmweave.base import generator
from ohmweave.circuit import (
    Wires,
    choose_method,
    effective_conductance,
    estimated_iterations,
    read_bias,
    read_through_wires,
    solve_currents,
    solve_nodes,
)

warnings.simplefilter("ignore")
try:
    import badcrossbar

    badcrossbar.compute  # noqa: B018  importable without what its solver needs
    logging.getLogger("badcrossbar").setLevel(logging.ERROR)
except (ImportError, AttributeError):
    badcrossbar = None

Row = dict[str, Any]


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Best processor time of `call`."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def conductances(*shape: int) -> torch.Tensor:
    """Log-uniform from 1 to 100 uS."""
    return 1e-6 * 100 ** torch.rand(shape, generator=generator(0, "g"), dtype=torch.float64)


def voltages(*shape: int) -> torch.Tensor:
    """Uniform from 0 to 0.2 V."""
    return 0.2 * torch.rand(shape, generator=generator(0, "v"), dtype=torch.float64)


def peer(g: torch.Tensor, v_row: torch.Tensor, wires: Wires) -> Callable[[], object]:
    """The peer's solution for the column currents alone."""
    v, r = v_row.reshape(-1, g.shape[-2]).T.numpy(), (1 / g).numpy()
    return lambda: badcrossbar.compute(
        v, r, r_i_word_line=wires.r_row, r_i_bit_line=wires.r_col, node_voltages=False, all_currents=False
    )


def row(name: str, time_s: float, *, target_s: float | None = None, **more: Any) -> Row:
    """One measurement."""
    return {"name": name, "seconds": time_s, "target_s": target_s, **more}


def ratio(name: str, time_s: float, slow: dict[str, float], target: float | None = None, **more: Any) -> Row:
    """One measurement beside slower ones."""
    times_faster = {f"x_{who}": slow_s / time_s for who, slow_s in slow.items()}
    return {
        "name": name,
        "seconds": time_s,
        **{f"{who}_s": s for who, s in slow.items()},
        **times_faster,
        "target_x_badcrossbar": target,
        **more,
    }


def elimination(wires: Wires) -> Iterator[Row]:
    """The effective conductance matrix, alone and with its gradient."""
    for shape, target, repeats in (
        ((64, 64), 0.03, 15),
        ((128, 128), 0.15, 9),
        ((100, 64, 64), 1.5, 3),
        ((16, 128), None, 9),
        ((128, 16), None, 9),
    ):
        g = conductances(*shape)
        leaf = g.clone().requires_grad_()
        name = "elimination " + " x ".join(map(str, shape))
        yield row(name, seconds(lambda g=g: effective_conductance(g, wires), repeats), target_s=target)
        both_ways = seconds(lambda leaf=leaf: effective_conductance(leaf, wires).sum().backward(), max(2, repeats // 3))
        yield row(f"{name}, with gradient", both_ways)


def against_referees(wires: Wires) -> Iterator[Row]:
    """128 x 128: one input and a thousand, against solvers that set up all nodes."""
    g = conductances(128, 128)
    for n_inputs, target in ((1, 50.0), (1000, 15.0)):
        v_row = voltages(n_inputs, 128)
        exact = v_row @ effective_conductance(g, wires)
        slow = {}
        if n_inputs == 1:
            slow["sparse"] = seconds(lambda v=v_row: solve_nodes(g, read_bias(v[0], wires), wires), 2)
            call, method = (lambda v=v_row: solve_currents(g, v, wires)), "cg"
        else:
            call, method = (lambda v=v_row: v @ effective_conductance(g, wires)), "elimination"
        if badcrossbar is not None:
            slow["badcrossbar"] = seconds(peer(g, v_row, wires), 2)
        error = float(((call() - exact) / exact).abs().max())
        yield ratio(f"{method} 128 x 128, {n_inputs} inputs", seconds(call, 9), slow, target, error=error)


def large(wires: Wires) -> Iterator[Row]:
    """512 x 512 beside badcrossbar, by the method that is chosen by itself; each in a process of its own."""
    for n_inputs, target_s, target in ((1, 0.3, None), (100, None, 1.0)):
        chosen = choose_method(512, 512, n_inputs, wires, g_mean=float(conductances(512, 512).mean()))
        ours = alone(large_read, wires, n_inputs, "auto")
        theirs = alone(large_read, wires, n_inputs, "badcrossbar") if badcrossbar is not None else None
        yield ratio(
            f"{chosen} 512 x 512, {n_inputs} inputs",
            ours["seconds"],
            {} if theirs is None else {"badcrossbar": theirs["seconds"]},
            target,
            target_s=target_s,
            peak_gb=ours["peak_gb"],
            badcrossbar_peak_gb=None if theirs is None else theirs["peak_gb"],
        )


def large_read(wires: Wires, n_inputs: int, who: str) -> Row:
    """One read, its time, and the most memory that its process ever had (torch itself takes 0.3 GB)."""
    torch.set_num_threads(1)
    g, v_row = conductances(512, 512), voltages(n_inputs, 512)
    call = peer(g, v_row, wires) if who == "badcrossbar" else (lambda: read_through_wires(g, v_row, wires))
    time_s = seconds(call, 3 if n_inputs == 1 and who == "auto" else 1)
    return {"seconds": time_s, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def alone(call: Callable[..., Row], *arguments: object) -> Row:
    """`call` in a fresh process, so that its peak of memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def calibration(wires: Wires) -> Iterator[Row]:
    """What a line and a step cost, and whether the choice between the methods is right."""
    for side in (16, 32, 64, 128, 256):
        g, v_row = conductances(side, side), voltages(side)
        iterations = estimated_iterations(side, side, wires, g_mean=float(g.mean()))
        eliminated = seconds(lambda g=g: effective_conductance(g, wires), 5)
        cg = seconds(lambda g=g, v=v_row: solve_currents(g, v, wires), 9)
        yield row(f"elimination {side}", eliminated, per_line=eliminated / side)
        yield row(f"cg {side}", cg, iterations=iterations, per_iteration=cg / iterations)
        for n_inputs in (1, 3, 10, 30, 100):
            v = voltages(n_inputs, side)
            many = seconds(lambda g=g, v=v: solve_currents(g, v, wires), 3)
            chosen = choose_method(side, side, n_inputs, wires, g_mean=float(g.mean()))
            yield row(
                f"cg {side}, {n_inputs} inputs",
                many,
                elimination_s=eliminated,
                chosen=chosen,
                faster="elimination" if eliminated < many else "cg",
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--calibrate", action="store_true", help="costs of the parts, for choose.py")
    parser.add_argument(
        "--only", default="", help="groups whose name contains this: elimination, against_referees, large"
    )
    parser.add_argument("--ohm", type=float, default=1.0, help="wire segments, Ohm")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wires = Wires(r_row=options.ohm, r_col=options.ohm)
    groups = [calibration] if options.calibrate else [elimination, against_referees, large]
    for group in groups:
        if options.only in group.__name__:
            for result in group(wires):
                sys.stdout.write((json.dumps(result) if options.json else _text(result)) + "\n")
                sys.stdout.flush()


def _text(result: Row) -> str:
    shown = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in result.items())
    return "   ".join(part for part in shown if not part.endswith(" None")).removeprefix("name ")


if __name__ == "__main__":
    main()

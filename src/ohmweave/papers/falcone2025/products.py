"""`falcone2025/products`: 64 x 64 products of CMO/HfOx cells, from one second to ten years after the write."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ohmweave.arrays import ADC, DAC, Wires
from ohmweave.base import generator
from ohmweave.cells import falcone2025
from ohmweave.cells.falcone2025 import BAND_SHARES, G_MAX, G_MIN
from ohmweave.experiments import JSON, Context, Experiment, Options, Row, TableSpec, Task, mean_interval, register
from ohmweave.mapping import Chip
from ohmweave.papers.falcone2025 import plan
from ohmweave.papers.falcone2025.claims import CLAIMS
from ohmweave.papers.falcone2025.errors import MAIN, errors_of
from ohmweave.programming import WriteVerify

NAME = "falcone2025/products"
READINGS: dict[str, tuple[str, float, float]] = {
    MAIN: ("cell", BAND_SHARES[0], 0.0),
    "one cell, 2 %": ("cell", BAND_SHARES[1], 0.0),
    "pair, 0.2 %": ("pair", BAND_SHARES[0], 0.0),
    "one cell, 0.2 %, wires": ("cell", BAND_SHARES[0], plan.R_WIRE),
    "pair, 0.2 %, wires": ("pair", BAND_SHARES[0], plan.R_WIRE),
}
"""Cells of a weight, half width of the acceptance range, and Ohm of a wire segment. The first is predicted."""
_BANDS = 24
_V_READ = 0.2
_DAC = DAC(bits=plan.DAC_BITS, v_max=_V_READ, signed=True)


def tasks(options: Options) -> list[Task]:
    """One task a reading."""
    params = {"scale": options.scale, "seeds": options.seeds}
    return [Task(experiment=NAME, params={**params, "reading": reading}, seed=options.seed) for reading in READINGS]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Write arrays of random weights, wait, and compare their products with exact ones."""
    kind, share, r_wire = READINGS[str(task.params["reading"])]
    n_arrays, full = int(str(task.params["seeds"])), task.params["scale"] == "full"
    size, n_inputs = (plan.SIZE, 200) if full else (16, 20)
    stream = generator(task.seed, "falcone2025", "weights")
    w = torch.randn(n_arrays, size, size, generator=stream, dtype=torch.float64)
    w /= w.abs().amax(dim=(1, 2), keepdim=True)
    x = torch.rand(n_inputs, size, generator=stream, dtype=torch.float64) * 2 - 1
    middle, half = (G_MAX + G_MIN) / 2, (G_MAX - G_MIN) / 2
    parts = [middle + half * w] if kind == "cell" else [G_MIN + 2 * half * part.clamp_min(0) for part in (w, -w)]
    chips = [_chip(part, 2 * task.seed + k, r_wire) for k, part in enumerate(parts)]
    written = [_write(chip, part, share) for chip, part in zip(chips, parts, strict=True)]
    exact = torch.einsum("ni,cij->cnj", x, w)
    errors: dict[str, Any] = {}
    passed = 0.0
    for number, (name, age) in enumerate(plan.AGES.items()):
        for chip in chips:
            chip.wait(age - passed)
        passed = age
        errors[name] = [float(e) for e in _relative(_products(chips, x, kind), exact)]
        context.progress((number + 1) / len(plan.AGES), f"{task.params['reading']}, {name}")
    low = torch.cat([miss[part < G_MIN * 1.2] for miss, part in zip(written, parts, strict=True)])
    return {
        "errors": errors,
        "sigma_low": float(low.std()) if low.numel() > 1 else None,
        "sigma_written": float(torch.cat([miss.flatten() for miss in written]).std()),
        "n_products": exact.numel(),
    }


def _chip(g: torch.Tensor, seed: int, r_wire: float) -> Chip:
    """Arrays for the targets `(arrays, size, size)` S, with one matrix, "w", that takes all cells."""
    n_arrays, size, _ = g.shape
    # Four standard deviations of a column's current; inputs have a third of the full scale's square.
    i_max = 4 * _V_READ * float(g.square().sum(dim=1).mean().div(3).sqrt())
    chip = Chip(
        falcone2025(),
        rows=size,
        cols=size,
        n_chips=n_arrays,
        seed=seed,
        v_read=_V_READ,
        dac=_DAC,
        adc=ADC(bits=plan.ADC_BITS, i_max=i_max, signed=True),
        wires=Wires(r_row=r_wire, r_col=r_wire) if r_wire else None,
        dtype=torch.float64,
    )
    chip.place("w", (size, size))
    return chip


def _write(chip: Chip, g: torch.Tensor, share: float) -> torch.Tensor:
    """Program and verify with a band in proportion to the target: cells of similar targets share one. Errors, S."""
    cells = chip.array.cells(chip.placed["w"])
    edges = torch.logspace(0, 1, _BANDS + 1, base=G_MAX / G_MIN, dtype=torch.float64) * G_MIN
    edges[0], edges[-1] = 0.0, 1.0
    error = torch.empty_like(g)
    for low, high in itertools.pairwise(edges.tolist()):
        chosen = (g >= low) & (g < high)
        if bool(chosen.any()):
            write = WriteVerify(tolerance=share * float(g[chosen].mean()), max_pulses=5000)
            error[chosen] = write(chip.array, cells[chosen], g[chosen]).error
    return error


def _products(chips: Sequence[Chip], x: torch.Tensor, kind: str) -> torch.Tensor:
    """`(arrays, inputs, columns)` in units of the weights."""
    v = x * _V_READ
    reads = [chip.array.read(v.expand(*chip.chip_shape, *v.shape), chip.placed["w"]) / _V_READ for chip in chips]
    if kind == "pair":
        return (reads[0] - reads[1]) / (G_MAX - G_MIN)
    middle, half = (G_MAX + G_MIN) / 2, (G_MAX - G_MIN) / 2
    # The current of the middle is that of the voltages that drive the rows, not of the inputs before the converter.
    driven = _DAC.convert(v).sum(dim=-1, keepdim=True) / _V_READ
    return (reads[0] - middle * driven) / half


def _relative(y: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """Root of the mean square error of each array over that of its exact products, `(arrays,)`."""
    return ((y - exact).square().mean(dim=(1, 2)) / exact.square().mean(dim=(1, 2))).sqrt()


def _table(rows: Sequence[Row]) -> list[dict[str, object]]:
    lines = []
    for row in rows:
        for age in plan.AGES:
            values = errors_of(row, age)
            found = mean_interval(values)
            assert found is not None
            between = "" if found.low is None else f"{found.low:.3f} to {found.high:.3f}"
            lines.append(
                {
                    "reading": row.params["reading"],
                    "age": age,
                    "relative error": round(found.value, 3),
                    "95 % interval of the mean": between,
                    "lowest and highest array": f"{min(values):.3f}, {max(values):.3f}",
                    "written, uS": round(float(str(row.result["sigma_written"])) * 1e6, 3),
                }
            )
    return lines


EXPERIMENT = register(
    Experiment(
        name=NAME,
        title="Products of CMO/HfOx cells over ten years",
        paper=plan.PAPER,
        summary="Arrays of 64 x 64 cells are programmed with normally distributed weights, and the error of their "
        "products is measured 1 s, 1 d and 10 years later. The cell has the printed laws and no fitted number.",
        claims=CLAIMS,
        assumptions=plan.ASSUMPTIONS,
        tasks=tasks,
        run=run,
        data="digits",
        seeds=10,
        tables=(TableSpec(name="errors", title="Error over age", caption="All arrays of a reading.", rows=_table),),
    )
)

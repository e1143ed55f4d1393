"""`macros/efficiency`: published macros priced from the parts of `ohmweave.cost`, beside the printed efficiency.

No part that a paper prints of its own macro is used here, and nothing is fitted to a printed figure: sizes, bits and
durations are those of the papers, prices those of `adc_price`, `dac_price` and the drivers, and one conductance and
voltage is taken for all cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ohmweave.cost import Macro, Part, Process, adc_price, dac_price
from ohmweave.cost.published import DRIVER, SAMPLE_AND_HOLD, SHIFT_AND_ADD
from ohmweave.experiments import (
    JSON,
    Assumption,
    Between,
    Claim,
    Context,
    Experiment,
    Options,
    Row,
    TableSpec,
    Task,
    register,
    value_of,
)
from ohmweave.papers.changes import changed

NAME = "macros/efficiency"
G_MEAN, V_READ, ACTIVE = 5e-6, 0.2, 0.5
FACTOR = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published macro.

    Attributes:
        key: of its claim.
        title: what it is.
        source: reference.
        printed: operations for 1 J.
        node: m.
        rows, cols: lines of one array.
        cells_per_crossing: memory cells at a crossing of lines.
        n_reads: reads of one product.
        t_read: s, of one read.
        n_ops: operations of one product, as the paper counts them.
        adc_bits, adc_design, conversions: of a read, on all columns.
        row_bits: bits of a row driver.
        rest: what the printed figure contains and the parts do not, or why they differ.
    """

    key: str
    title: str
    source: str
    printed: float
    node: float
    rows: int
    cols: int
    cells_per_crossing: int = 1
    n_reads: int
    t_read: float
    n_ops: float
    adc_bits: int
    adc_design: str
    conversions: int
    row_bits: int
    rest: str


_LE_GALLO = "M. Le Gallo et al., Nat. Electron. 6, 680 (2023): 64 cores of 256 x 256, 14 nm"
_OPS_256 = 2.0 * 256 * 256

PUBLISHED = (
    Published(
        key="yao2020",
        title="Yao 2020, 128 x 128, converters of 32 nm",
        source="P. Yao et al., Nature 577, 641 (2020): 32 ADCs of 8 bits and 32 nm, eight reads of 50 ns",
        printed=11_014e9,
        node=32e-9,
        rows=128,
        cols=128,
        n_reads=8,
        t_read=50e-9,
        n_ops=2.0 * 128 * 128,
        adc_bits=8,
        adc_design="sar",
        conversions=128,
        row_bits=1,
        rest="cells of 5 uS in place of the 0.69 uS that the printed heat implies",
    ),
    Published(
        key="isaac2016",
        title="ISAAC, arrays of 128 x 128, 32 nm",
        source="A. Shafiee et al., ISCA 2016, 14: inputs bit by bit in 16 reads of 100 ns, 8 cells a weight",
        printed=363.7e9,
        node=32e-9,
        rows=128,
        cols=128,
        n_reads=16,
        t_read=100e-9,
        n_ops=2.0 * 128 * 16,
        adc_bits=8,
        adc_design="sar",
        conversions=128,
        row_bits=1,
        rest="memories, buses, routers and links of the chip",
    ),
    Published(
        key="neurram2022",
        title="NeuRRAM, 48 cores of 256 x 256, 130 nm",
        source="W. Wan et al., Nature 608, 504 (2022): inputs of 2 bits, outputs of 4; a pair of rows is a weight",
        printed=40.3e12,
        node=130e-9,
        rows=256,
        cols=256,
        n_reads=1,
        t_read=1e-6,
        n_ops=2.0 * 128 * 256,
        adc_bits=4,
        adc_design="ramp",
        conversions=256,
        row_bits=1,
        rest="it senses voltages: lines settle, and the cells carry current for a small part of the read alone. Its "
        "amplifiers are slow; those of our prices decide 9.6e9 times in 1 s",
    ),
    Published(
        key="hermes-core",
        title="HERMES core, 256 x 256, 14 nm",
        source="R. Khaddam-Aljameh et al., IEEE J. Solid-State Circuits 57, 1027 (2022): 256 converters that count the "
        "periods of an oscillator, 300 ps an lsb",
        printed=10.5e12,
        node=14e-9,
        rows=256,
        cols=256,
        cells_per_crossing=4,
        n_reads=1,
        t_read=133e-9,
        n_ops=_OPS_256,
        adc_bits=8,
        adc_design="ramp",
        conversions=256,
        row_bits=8,
        rest="local digital units, control and clocks",
    ),
    Published(
        key="hermes-one-phase",
        title="HERMES chip, one phase",
        source=f"{_LE_GALLO}; 63.1 TOPS are 133 ns a product",
        printed=9.76e12,
        node=14e-9,
        rows=256,
        cols=256,
        cells_per_crossing=4,
        n_reads=1,
        t_read=133e-9,
        n_ops=_OPS_256,
        adc_bits=8,
        adc_design="ramp",
        conversions=256,
        row_bits=8,
        rest="digital units and the network between the cores",
    ),
    Published(
        key="hermes-four-phases",
        title="HERMES chip, four phases",
        source=f"{_LE_GALLO}; 16.1 TOPS are 521 ns a product",
        printed=2.48e12,
        node=14e-9,
        rows=256,
        cols=256,
        cells_per_crossing=4,
        n_reads=4,
        t_read=130e-9,
        n_ops=_OPS_256,
        adc_bits=8,
        adc_design="ramp",
        conversions=256,
        row_bits=8,
        rest="as with one phase",
    ),
    Published(
        key="ambrogio2023",
        title="Ambrogio 2023, 34 tiles of 512 x 2,048 cells, 14 nm",
        source="S. Ambrogio et al., Nature 620, 768 (2023): inputs and outputs of 8 bits as durations, four cells a "
        "weight; sustained by the whole chip",
        printed=12.4e12,
        node=14e-9,
        rows=512,
        cols=512,
        cells_per_crossing=4,
        n_reads=1,
        t_read=256e-9,
        n_ops=2.0 * 512 * 512,
        adc_bits=8,
        adc_design="ramp",
        conversions=512,
        row_bits=8,
        rest="transport of durations between tiles; the duration of a product is ours, 256 clocks of 1 ns",
    ),
)
"""The macros; of PRIME (2016) and Wen et al. (2024) we had neither the printed efficiency nor the parts, and say so."""


SETTLED = replace(
    next(one for one in PUBLISHED if one.key == "neurram2022"),
    key="neurram2022-settled",
    title="the same without current in the cells, and with successive approximation",
    cells_per_crossing=0,
    adc_design="sar",
)
"""NeuRRAM with other parts, to see what the difference is due to; not judged."""


def priced(one: Published) -> Macro:
    """The macro from our parts."""
    process = Process(node=one.node)
    adc, dac = adc_price(one.adc_bits, one.adc_design), dac_price(one.row_bits)
    heat = one.rows * one.cols * one.cells_per_crossing * ACTIVE * V_READ**2 * G_MEAN * one.t_read
    line = process.line_capacitance(one.cols * one.cells_per_crossing) * V_READ**2
    return Macro(
        rows=one.rows,
        cols=one.cols,
        input_bits=one.n_reads,
        t_read=one.t_read,
        area=1e-6,  # not used: areas are not compared
        ops_per_cell=one.n_ops / (one.rows * one.cols),
        parts=(
            _part("converters", one.conversions, process.scaled(adc.energy, 0.0)[0], adc.source),
            _part("row drivers", one.rows, process.scaled(DRIVER.energy + dac.energy, 0.0)[0], dac.source),
            _part("row lines", one.rows, line, "C V^2"),
            _part("sample-and-hold", one.cols, process.scaled(SAMPLE_AND_HOLD.energy, 0.0)[0], SAMPLE_AND_HOLD.source),
            _part("shift-and-add", one.conversions, process.scaled(SHIFT_AND_ADD.energy, 0.0)[0], SHIFT_AND_ADD.source),
            _part("cells", 1, heat, "V^2 g t"),
        ),
    )


def _part(name: str, n_uses: int, energy: float, source: str) -> Part:
    return Part(name=name, n_uses=n_uses, energy=energy, source=source)


def tasks(options: Options) -> Sequence[Task]:
    """One task: nothing is random and no data are used."""
    del options
    return [Task(experiment=NAME, params={}, seed=0)]


def run(task: Task, context: Context) -> Mapping[str, JSON]:
    """Price all macros."""
    del task, context
    return {one.key: _figures(one) for one in (*PUBLISHED, SETTLED)}


def _figures(one: Published) -> dict[str, JSON]:
    made = priced(one)
    return {
        "efficiency": made.efficiency,
        "printed": one.printed,
        "tops_per_w": made.efficiency / 1e12,
        "ratio": made.efficiency / one.printed,
        "product_energy": one.n_reads * made.read_energy,
        "parts": {part.name: one.n_reads * part.read_energy for part in made.parts},
    }


def _claim(one: Published) -> Claim:
    printed = one.printed / 1e12
    return Claim(
        key=one.key,
        quantity=f"efficiency: {one.title}",
        unit="TOPS/W",
        paper=printed,
        where=one.source,
        estimate=value_of(f"{one.key}.tops_per_w"),
        accept=Between(round(printed / FACTOR, 4), round(printed * FACTOR, 4)),
        note=f"within a factor {FACTOR} of the printed figure, from prices of other circuits; not in the parts, or "
        f"different: {one.rest}",
        declared=changed("added; the rows of HERMES and of Ambrogio had been estimated by hand before"),
    )


def _table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    result = rows[-1].result
    lines = []
    for one in (*PUBLISHED[:3], SETTLED, *PUBLISHED[3:]):
        found = result[one.key]
        parts = sorted(found["parts"].items(), key=lambda part: -part[1])[:3]
        lines.append(
            {
                "macro": one.title,
                "printed, TOPS/W": round(one.printed / 1e12, 3),
                "ours, TOPS/W": round(found["efficiency"] / 1e12, 3),
                "ours over printed": round(found["ratio"], 2),
                "largest parts": ", ".join(
                    f"{name} {100 * value / found['product_energy']:.0f} %" for name, value in parts
                ),
                "not in the parts, or different": one.rest,
            }
        )
    return lines


MACROS = register(
    Experiment(
        name=NAME,
        title="Published macros from the parts of our price list",
        paper="Yao 2020, ISAAC 2016, NeuRRAM 2022, HERMES 2022 and 2023, Ambrogio 2023",
        summary="The efficiency of published macros from prices of circuits that are not theirs: converters scaled by "
        "bits and process from one design, drivers and sample-and-hold of ISAAC, and the heat of cells. It says how "
        "far a bill of `ohmweave.cost` may be from a real chip.",
        claims=tuple(_claim(one) for one in PUBLISHED),
        assumptions=(
            Assumption(
                text=f"all cells conduct {1e6 * G_MEAN:g} uS at {V_READ} V, and half of the rows are driven",
                source="ours",
            ),
            Assumption(
                text="converters that count steps are priced as ramps, others as successive approximation",
                source="ours",
            ),
            Assumption(text="digital units, memories, clocks and networks on the chip are not priced", source="ours"),
            Assumption(
                text="PRIME (Chi et al. 2016) and Wen et al. (2024) are left out: their printed efficiency and parts "
                "were not at hand",
                source="ours",
            ),
        ),
        tasks=tasks,
        run=run,
        tables=(
            TableSpec(
                name="macros",
                title="Published macros",
                caption="Operations for 1 J, printed and from our parts.",
                rows=_table,
            ),
        ),
        data="digits",
    )
)

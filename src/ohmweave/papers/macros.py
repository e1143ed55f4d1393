"""`macros/efficiency`: published macros priced from the parts of `ohmweave.cost`, beside the printed efficiency.

No energy that a paper prints of its own macro is used here, and nothing is fitted to a printed figure: sizes, bits,
durations and voltages are those of the papers, prices those of `adc_price`, `dac_price` and the drivers, and one
conductance is taken for all cells.
"""

from collections.abc import Mapping, Sequence
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
from ohmweave.papers.published_macros import CIMLOOP, CURRENT_MODE, LEFT_OUT, PUBLISHED, V_READ, WAN, Published

NAME = "macros/efficiency"
G_MEAN, ACTIVE = 5e-6, 0.5
FACTOR = 1.5


def priced(one: Published) -> Macro:
    """The macro from our parts."""
    process = Process(node=one.node)
    adc, dac = adc_price(one.adc_bits, one.adc_design), dac_price(one.row_bits)
    t_cells = one.t_read if one.t_cells is None else one.t_cells
    heat = one.rows * one.cols * one.cells_per_crossing * ACTIVE * one.v_cells**2 * G_MEAN * t_cells
    line = process.line_capacitance(one.cols * one.cells_per_crossing) * one.v_cells**2
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
            _part("gate lines", 1, one.gates, "C V^2"),
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
    return {one.key: _figures(one) for one in (*PUBLISHED, CURRENT_MODE)}


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
        declared=changed(
            "NeuRRAM is priced as a macro that senses voltages, from its printed pulses and gate lines; it was at "
            "0.13 of the printed figure as one that senses currents"
            if one.key == "neurram2022"
            else "added; the printed figure was known"
            if one.key == "neurram2022-6-bits"
            else "added; the rows of HERMES and of Ambrogio had been estimated by hand before"
        ),
    )


def _table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    result = rows[-1].result
    lines = []
    for one in (*PUBLISHED[:4], CURRENT_MODE, *PUBLISHED[4:]):
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
                text="NeuRRAM senses voltages: its cells conduct for 10 ns at 0.5 V for a plane of the input, and its "
                "gate lines are switched for each",
                source=f"{WAN}, {CIMLOOP}",
            ),
            *(Assumption(text=f"left out: {text}", source="ours") for text in LEFT_OUT),
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

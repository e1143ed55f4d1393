"""Published macros: sizes, bits, durations and voltages as their papers print them, and their printed efficiency."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

V_READ = 0.2
"""V across the cells of a macro that prints none (ours)."""


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
        v_cells: V across the cells.
        t_cells: s that the cells carry current in a read; None: as long as it takes.
        gates: J of a read, of the gate lines of the cells' transistors, where they are switched for each input.
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
    v_cells: float = V_READ
    t_cells: float | None = None
    gates: float = 0.0
    rest: str


WAN = "W. Wan et al., Nature 608, 504 (2022)"
CIMLOOP = "as T. Andrulis et al., CiMLoop (2024), give them in their model of it"
NEURRAM_PULSE = 10e-9
"""s, how long the gates of NeuRRAM's cells are open for a plane of the input. Source: Wan et al., as in CiMLoop."""
NEURRAM_GATES = 256 * (48e-15 + 256 * (1.5e-15 + 0.6e-15)) * (2.2 - 0.9) ** 2
"""J of a plane of the input: C V^2 of 256 gate lines that go from 0.9 to 2.2 V and back, each with a driver of 48 fF
and 256 transistors of 1.5 fF and 0.6 fF of coupling. Source: the same."""
_NEURRAM: Mapping[str, Any] = {
    "node": 130e-9,
    "rows": 256,
    "cols": 256,
    "t_read": 1e-6,
    "adc_design": "sar",
    "conversions": 256,
    "row_bits": 1,
    "v_cells": 0.5,
    "rest": "the integration of the planes of an input. With outputs of 4 bits, a product of a core takes 812 pJ in "
    f"neurons, 542 in gate lines and 259 in inputs, {CIMLOOP}; ours 756, 253 and 817",
}
"""NeuRRAM senses voltages: the gates of the cells are open for a short pulse, and amplifiers decide one bit after
another, since the printed energy and duration grow linearly with the bits of the output."""
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
        title="NeuRRAM, 48 cores of 256 x 256, 130 nm, outputs of 4 bits",
        source=f"{WAN}; inputs of 2 bits, outputs of 4; a pair of rows is a weight",
        printed=40.3e12,
        n_reads=1,
        n_ops=2.0 * 128 * 256,
        adc_bits=4,
        t_cells=NEURRAM_PULSE,
        gates=NEURRAM_GATES,
        **_NEURRAM,
    ),
    Published(
        key="neurram2022-6-bits",
        title="NeuRRAM, outputs of 6 bits",
        source=f"{WAN}; inputs of 4 bits, a sign and three planes, outputs of 6, converted once",
        printed=15.95e12,
        n_reads=1,
        n_ops=2.0 * 128 * 256,
        adc_bits=6,
        t_cells=3 * NEURRAM_PULSE,
        gates=3 * NEURRAM_GATES,
        **_NEURRAM,
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
"""The macros whose sizes, bits and durations are public. PRIME and Wen et al. (2024) are in `LEFT_OUT`."""


CURRENT_MODE = replace(
    next(one for one in PUBLISHED if one.key == "neurram2022"),
    key="neurram2022-current-mode",
    title="the same, if it sensed currents with counting converters",
    v_cells=V_READ,
    t_cells=None,
    gates=0.0,
    adc_design="ramp",
    rest="what this row was before the printed parts of its sensing were at hand",
)
"""NeuRRAM with the parts of a macro that senses currents, to see what the difference is due to; not judged."""

LEFT_OUT = (
    "PRIME (P. Chi et al., ISCA 2016) prints ratios to a digital processor, 2,360 in speed and 895 in energy, and no "
    "operations for 1 J",
    "T.-H. Wen et al. (2024, doi 10.1126/science.adf5538) print a peak of 77.64 TOPS/W for the whole processor; at "
    "which precision, and the size and duration of the memristor part, were not at hand",
)
"""Macros without a row, and why."""

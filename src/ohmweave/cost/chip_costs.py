"""The price list of a chip as it is built: its converters, drivers, lines and cells, and nothing that it does not have.

The counts are those of the arrays' books; here is the price of each use. What the chip has decides which circuits are
on the list: without an ADC there is no conversion to pay for.
"""

from collections.abc import Iterator

from ohmweave.arrays import ADC, DAC, SimulatedArray
from ohmweave.base import OhmweaveError
from ohmweave.base.text import counted
from ohmweave.cells.yao2020 import T_PULSE
from ohmweave.cost.components import AreaBasis, Component, ComponentCosts, EnergyBasis
from ohmweave.cost.converter_prices import UNCERTAINTY, ADCDesign, adc_price, dac_price
from ohmweave.cost.process import Process
from ohmweave.cost.published import DRIVER, SAMPLE_AND_HOLD, SHIFT_AND_ADD, pulses_yao
from ohmweave.mapping import Chip


def chip_costs(
    chip: Chip, *, process: Process | None = None, adc_design: ADCDesign | str = ADCDesign.SAR, t_pulse: float = T_PULSE
) -> ComponentCosts:
    """The price list of the circuits that `chip` has.

    | part of the chip | on the list |
    |---|---|
    | cells | area of the process; their heat is counted |
    | row lines | charging to the read voltage, for each driven line that is not at zero |
    | drivers | one-bit switches, or converters of `dac.bits` where a number is driven as one voltage |
    | ADC | a converter for each `columns_per_adc` columns, and a sample-and-hold for each column |
    | bit-serial DAC, with an ADC | shift-and-add for each conversion |

    A read takes the time until the currents have settled, or that of all conversions which share a converter, whichever
    is longer: the sample-and-holds let one read be converted while the next settles.

    Args:
        chip: a simulated chip.
        process: of the chip; None: `Process()`.
        adc_design: architecture of its ADCs: "sar", "flash" or "ramp".
        t_pulse: s, width of a pulse without a width of its own.

    Raises:
        OhmweaveError: the chip's array is not a simulated one, whose converters are known.
        OutOfRangeError: `adc_design` or `t_pulse` is out of range, or its ADC has more than 16 bits.
        TypeError: `chip` is no chip.

    Source: circuits of Kull et al. 2013 and of ISAAC (Shafiee et al. 2016), pulses of Yao et al. 2020; the scaling with
    bits, lines and process is ours.
    """
    if not isinstance(chip, Chip):
        raise TypeError(f"`chip` must be a Chip, but is {chip!r}")
    array = chip.array
    if not isinstance(array, SimulatedArray):
        raise OhmweaveError(
            "`chip` must be simulated, so that its converters are known, but has "
            f"{type(array).__name__}: give `ledger` a price list, costs=ComponentCosts(...)"
        )
    process = process or Process()
    duration = 0.0 if array.adc is None else _conversions(array.adc, adc_design, array.cols)
    return ComponentCosts(
        name=_name(array.dac, array.adc),
        components=(*_rows(array, process), *_columns(array, process, adc_design), *pulses_yao(t_pulse)),
        t_read=max(process.t_settle, duration),
        t_set=t_pulse,
        t_reset=t_pulse,
        source=f"ours: {process.cell_size:g} F^2 a cell at {1e9 * process.node:g} nm",
        cell_area=process.cell_area,
    )


def _conversions(adc: ADC, design: ADCDesign | str, cols: int) -> float:
    """Seconds in which one converter converts all its columns."""
    return min(adc.columns_per_adc, cols) * adc_price(adc.bits, design).duration


def _name(dac: DAC | None, adc: ADC | None) -> str:
    return f"chip with {dac or 'no DAC'} and {adc or 'no ADC'}"


def _rows(array: SimulatedArray, process: Process) -> Iterator[Component]:
    """What drives the rows: the lines, and their drivers."""
    dac, v = array.dac, array.v_read if array.dac is None else array.dac.v_max
    yield Component(
        name="row lines",
        energy=process.line_capacitance(array.cols) * v**2,
        energy_basis=EnergyBasis.ACTIVE_LINE,
        node=process.node,
        uncertainty=UNCERTAINTY,
        source=f"ours: C V^2 of {process.wire_capacitance * 1e9:g} fF/um over {array.cols} cells at {v:g} V, a bound "
        "where lower voltages are driven",
    )
    if dac is None:
        return
    bits = 1 if dac.bit_serial else dac.bits
    price = dac_price(bits)
    energy, area = process.scaled(DRIVER.energy + price.energy, DRIVER.area + price.area)
    yield Component(
        name="drivers" if bits == 1 else "DAC and drivers",
        energy=energy,
        energy_basis=EnergyBasis.LINE,
        area=area,
        area_basis=AreaBasis.ROW,
        node=process.node,
        uncertainty=UNCERTAINTY,
        source=f"{DRIVER.source}; {price.source}",
    )


def _columns(array: SimulatedArray, process: Process, design: ADCDesign | str) -> Iterator[Component]:
    """What converts the columns."""
    adc = array.adc
    if adc is None:
        return
    price = adc_price(adc.bits, design)
    energy, area = process.scaled(price.energy, price.area)
    yield Component(
        name="ADC",
        energy=energy,
        energy_basis=EnergyBasis.CONVERSION,
        area=area / adc.columns_per_adc,
        area_basis=AreaBasis.COLUMN,
        node=process.node,
        uncertainty=UNCERTAINTY,
        source=f"{price.source}; {counted(adc.columns_per_adc, 'column')} a converter",
    )
    held = [SAMPLE_AND_HOLD] + ([SHIFT_AND_ADD] if array.dac is not None and array.dac.bit_serial else [])
    for part in held:
        energy, area = process.scaled(part.energy, part.area)
        yield Component(
            name=part.name,
            energy=energy,
            energy_basis=part.energy_basis,
            area=area,
            area_basis=AreaBasis.COLUMN,
            node=process.node,
            source=part.source,
        )

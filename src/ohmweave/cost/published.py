"""Published component costs, each with its source; estimates are marked "ours".

The circuits are constants, in the units of the sources where these are printed (W and Hz of a group of circuits, say);
the functions put them together into price lists.
"""

from ohmweave.base import check_non_negative, check_positive
from ohmweave.cells.yao2020 import T_PULSE
from ohmweave.cost.components import AreaBasis, Component, ComponentCosts, EnergyBasis

_YAO = "Yao et al., Nature 577, 641 (2020), Methods"
_KULL = "L. Kull et al., ISSCC 2013, 468: 8 bit, 1.2 GS/s, 3.1 mW, 32 nm SOI"
_ISAAC = "A. Shafiee et al. (ISAAC), ISCA 2016, 14, Table I, 32 nm"

ADC_ENERGY_YAO = 2.55e-12
"""J for one conversion. Source: Yao et al. 2020."""
COMPARATOR_ENERGY = ADC_ENERGY_YAO / 8
"""J for one decision, ours: an 8-bit successive-approximation ADC decides 8 times, so one decision takes an eighth."""
SET_ENERGY_YAO = 2.0 * 60e-6 * T_PULSE
"""J for one SET pulse, an upper bound: 2.0 V and the DC current of 60 uA for 50 ns. Source: Yao et al. 2020."""
RESET_ENERGY_YAO = 1.8 * 45e-6 * T_PULSE
"""J for one RESET pulse, an upper bound: 1.8 V and the DC current of 45 uA for 50 ns. Source: Yao et al. 2020."""
ADC_ENERGY_KULL = 3.1e-3 / 1.2e9
"""J for one conversion, 2.58 pJ. Source: Kull et al. 2013."""
REST_OF_READ_YAO = 371.89e-12 - 32 * 4 * 2.55e-12 - 32 * 4 * 2.55e-12 / 14.4
"""J of a one-bit read of a 128 x 128 macro for drivers, multiplexers, their control and sample-and-hold.

It is the printed total, less 32 ADCs of four conversions and less the cells, whose energy is 1 / 14.4 of the ADCs'. The
paper's text does not split it further.
"""

GOPS_PER_W_V100 = 100e9
"""Operations for 1 J, 16-bit floating point. Source: S. Ambrogio et al., Nature 558, 60 (2018)."""


_ADC_YAO = Component(
    name="ADC",
    energy=ADC_ENERGY_YAO,
    energy_basis=EnergyBasis.CONVERSION,
    area=0.0015e-6 / 4,
    area_basis=AreaBasis.COLUMN,
    node=32e-9,
    source=f"{_YAO}, 2.55 pJ, four columns an ADC, after {_KULL} (2.58 pJ; area 0.0015 mm2)",
)
_DRIVERS_YAO = Component(
    name="drivers, multiplexers, sample-and-hold",
    energy=REST_OF_READ_YAO / 128,
    energy_basis=EnergyBasis.CONVERSION,
    node=65e-9,
    source=f"{_YAO}: printed total less converters and cells, 22.8 pJ a read, shared by 128 columns",
)
SHIFT_AND_ADD = Component(
    name="shift-and-add",
    energy=0.2e-3 / (8 * 1.2e9),
    energy_basis=EnergyBasis.CONVERSION,
    area=0.00024e-6 / 8 / 128,
    area_basis=AreaBasis.COLUMN,
    node=32e-9,
    source=f"{_ISAAC}: 0.2 mW for eight ADCs of 1.2 GS/s; not in the paper's count",
)

"""Adding the bits of one conversion. Source: Shafiee et al. 2016."""


def pulses_yao(width: float = T_PULSE) -> tuple[Component, Component]:
    """SET and RESET pulses of `width` s: upper bounds by the printed voltages and DC currents of Yao et al. 2020."""
    ns = f"{1e9 * check_positive('width', width, 's'):g} ns"
    return (
        Component(
            name="SET pulses",
            energy=SET_ENERGY_YAO * (width / T_PULSE),
            energy_basis=EnergyBasis.SET,
            source=f"{_YAO}: 2.0 V, {ns}, and the DC SET current of 60 uA as a bound",
        ),
        Component(
            name="RESET pulses",
            energy=RESET_ENERGY_YAO * (width / T_PULSE),
            energy_basis=EnergyBasis.RESET,
            source=f"{_YAO}: 1.8 V, {ns}, and the DC RESET current of 45 uA as a bound",
        ),
    )


_PULSES_YAO = pulses_yao()

DRIVER = Component(
    name="drivers",
    energy=4e-3 / (8 * 128) * 100e-9,
    energy_basis=EnergyBasis.LINE,
    area=0.00017e-6 / (8 * 128),
    area_basis=AreaBasis.ROW,
    node=32e-9,
    source=f"{_ISAAC}: 4 mW and 0.00017 mm2 for 8 x 128, 100 ns",
)
"""A one-bit driver of a row. Source: Shafiee et al. 2016."""
SAMPLE_AND_HOLD = Component(
    name="sample-and-hold",
    energy=10e-6 / (8 * 128) * 100e-9,
    energy_basis=EnergyBasis.CONVERSION,
    area=0.00004e-6 / (8 * 128),
    area_basis=AreaBasis.COLUMN,
    node=32e-9,
    source=f"{_ISAAC}: 10 uW and 0.00004 mm2 for 8 x 128, 100 ns",
)
"""A sample-and-hold of a column. Source: Shafiee et al. 2016."""

# Table I of ISAAC gives power and area of a group: of 8 ADCs, or of the rows or columns of 8 arrays.
_READOUT_ISAAC = (
    Component(
        name="ADC",
        energy=16e-3 / 8 / 1.2e9,
        energy_basis=EnergyBasis.CONVERSION,
        area=0.0096e-6 / 8,
        area_basis=AreaBasis.ARRAY,
        node=32e-9,
        source=f"{_ISAAC}: 16 mW and 0.0096 mm2 for eight of 1.2 GS/s",
    ),
    DRIVER,
    SAMPLE_AND_HOLD,
    Component(
        name="shift-and-add",
        energy=0.2e-3 / (8 * 1.2e9),
        energy_basis=EnergyBasis.CONVERSION,
        area=0.00024e-6 / 8,
        area_basis=AreaBasis.ARRAY,
        node=32e-9,
        source=f"{_ISAAC}: 0.2 mW and 0.00024 mm2 for eight ADCs",
    ),
)

_WANG = "ours: 2.5 V and 1.7 V (paper, public code) for 100 ns at 300 uA, what 200 uS draw at 1.5 V"
_PULSES_WANG = (
    Component(name="SET pulses", energy=2.5 * 300e-6 * 100e-9, energy_basis=EnergyBasis.SET, source=_WANG),
    Component(name="RESET pulses", energy=1.7 * 300e-6 * 100e-9, energy_basis=EnergyBasis.RESET, source=_WANG),
)

_COMPARATOR = Component(
    name="comparator",
    energy=COMPARATOR_ENERGY,
    energy_basis=EnergyBasis.CONVERSION,
    source=f"ours: at most an eighth of an 8-bit conversion; {_YAO}, 2.55 pJ",
)


def yao2020_periphery() -> ComponentCosts:
    """Converters and drivers of the macro of Yao et al. 2020; the heat of the cells is counted, not printed.

    The macro sends 8-bit inputs bit by bit. Intervals are counted from the chip, so a chip that is billed as the macro
    needs its DAC, `DAC(bits=8, v_max=0.2, bit_serial=True)`. The energy of the cells is not the paper's figure: it
    follows from the conductances at the time of each read. Pulse energies are upper bounds from the printed DC
    programming currents. The paper does not count digital shift-and-add; it is ISAAC's here.
    """
    return ComponentCosts(
        name="yao2020",
        t_read=50e-9,
        t_set=T_PULSE,
        t_reset=T_PULSE,
        source=f"{_YAO}: one-bit reads of 50 ns at 0.2 V, pulses of 50 ns",
        components=(_ADC_YAO, _DRIVERS_YAO, SHIFT_AND_ADD, *_PULSES_YAO),
        adc_bits=8,
        row_bits=1,
    )


def isaac2016() -> ComponentCosts:
    """The periphery of ISAAC: 128 x 128 arrays, one-bit drivers, one 8-bit ADC for each array, reads of 100 ns.

    ISAAC sends inputs bit by bit; the intervals are counted from the chip's DAC, as with `yao2020_periphery`. The
    source gives no energy of programming; the pulses are those of `yao2020_periphery`.
    """
    return ComponentCosts(
        name="isaac2016",
        t_read=100e-9,
        t_set=50e-9,
        t_reset=50e-9,
        source=_ISAAC,
        cell_area=0.0002e-6 / (8 * 128 * 128),
        components=(*_READOUT_ISAAC, *_PULSES_YAO),
        adc_bits=8,
        row_bits=1,
    )


def wang2019_estimate() -> ComponentCosts:
    """A 128 x 64 array trained by gate voltages, with the converters of `yao2020_periphery`: ours throughout.

    The paper prints voltages but neither pulse widths nor energies; the shortest pulse of its board is 100 ns. Its
    board drives rows with analogue voltages, but the drivers of `yao2020_periphery` switch one voltage: no converter at
    the rows is priced, so energy and area are lower bounds.
    """
    return ComponentCosts(
        name="wang2019, ours",
        t_read=100e-9,
        t_set=100e-9,
        t_reset=100e-9,
        source="ours; Wang et al., Nat. Mach. Intell. 1, 434 (2019) prints no energies; rows without converters",
        components=(_ADC_YAO, _DRIVERS_YAO, *_PULSES_WANG),
        adc_bits=8,
    )


def comparators() -> ComponentCosts:
    """A periphery for one-bit forward and two-bit backward signals: a comparator a sensed line, no ADC (ours)."""
    return ComponentCosts(
        name="comparators, ours",
        t_read=50e-9,
        t_set=50e-9,
        t_reset=50e-9,
        source="ours; Zhang et al., Neural Networks 108, 217 (2018) was not available",
        components=(_COMPARATOR, *_PULSES_YAO),
        adc_bits=1,
    )


def sram_energy(n_bits: float) -> float:
    """J to move `n_bits` through an 8 kB SRAM: 10 pJ for 64 bits. Source: M. Horowitz, ISSCC 2014, 45 nm."""
    return check_non_negative("n_bits", n_bits) * 10e-12 / 64

"""Published component costs, each with its source; what is estimated says "ours"."""

from ohmweave.cost.components import AreaBasis, Component, ComponentCosts, EnergyBasis

_YAO = "Yao et al., Nature 577, 641 (2020), Methods"
_KULL = "L. Kull et al., ISSCC 2013, 468: 8 bit, 1.2 GS/s, 3.1 mW, 32 nm SOI"
_ISAAC = "A. Shafiee et al. (ISAAC), ISCA 2016, 14, Table I, 32 nm"

ADC_ENERGY_YAO = 2.55e-12  # J a conversion. Paper.
COMPARATOR_ENERGY = ADC_ENERGY_YAO / 8
"""J a decision, ours: a converter of 8 bits that decides bit after bit does so 8 times, so one takes no more."""
SET_ENERGY_YAO = 2.0 * 60e-6 * 50e-9  # J a pulse, a bound: 2.0 V and the DC current of 60 uA for 50 ns. Paper.
RESET_ENERGY_YAO = 1.8 * 45e-6 * 50e-9  # J a pulse, a bound: 1.8 V and the DC current of 45 uA for 50 ns. Paper.
ADC_ENERGY_KULL = 3.1e-3 / 1.2e9  # J: 2.58 pJ.
REST_OF_READ_YAO = 371.89e-12 - 32 * 4 * 2.55e-12 - 32 * 4 * 2.55e-12 / 14.4
"""J of a one-bit read of a 128 x 128 macro that the paper's text leaves to drivers, multiplexers, their control and
sample-and-hold: the printed total less converters and cells. Its split is not printed in the text."""

GOPS_PER_W_V100 = 100e9  # operations per J, 16-bit floating point. Source: S. Ambrogio et al., Nature 558, 60 (2018).


def yao2020_periphery() -> ComponentCosts:
    """Converters and drivers of the paper's macro around cells that are counted one by one.

    The macro sends 8-bit inputs bit by bit. Intervals are counted from the chip, so a chip that is billed as the macro
    needs its DAC, `DAC(bits=8, v_max=0.2, bit_serial=True)`. The heat of the cells is not the paper's figure: it
    follows from the conductances at the time of the read. Pulse energies are bounds from the printed DC programming
    currents. Digital shift-and-add, which the paper leaves out, is ISAAC's.
    """
    return ComponentCosts(
        name="yao2020",
        t_read=50e-9,
        t_set=50e-9,
        t_reset=50e-9,
        source=f"{_YAO}: one-bit reads of 50 ns at 0.2 V, pulses of 50 ns",
        components=(
            Component(
                name="ADC",
                energy=ADC_ENERGY_YAO,
                energy_basis=EnergyBasis.CONVERSION,
                area=0.0015e-6 / 4,
                area_basis=AreaBasis.COLUMN,
                node=32e-9,
                source=f"{_YAO}, 2.55 pJ, four columns an ADC, after {_KULL} (2.58 pJ; area 0.0015 mm2)",
            ),
            Component(
                name="drivers, multiplexers, sample-and-hold",
                energy=REST_OF_READ_YAO / 128,
                energy_basis=EnergyBasis.CONVERSION,
                node=65e-9,
                source=f"{_YAO}: printed total less converters and cells, 22.8 pJ a read, shared by 128 columns",
            ),
            Component(
                name="shift-and-add",
                energy=0.2e-3 / (8 * 1.2e9),
                energy_basis=EnergyBasis.CONVERSION,
                area=0.00024e-6 / 8 / 128,
                area_basis=AreaBasis.COLUMN,
                node=32e-9,
                source=f"{_ISAAC}: 0.2 mW for eight ADCs of 1.2 GS/s; not in the paper's count",
            ),
            Component(
                name="SET pulses",
                energy=SET_ENERGY_YAO,
                energy_basis=EnergyBasis.SET,
                source=f"{_YAO}: 2.0 V, 50 ns, and the DC SET current of 60 uA as a bound",
            ),
            Component(
                name="RESET pulses",
                energy=RESET_ENERGY_YAO,
                energy_basis=EnergyBasis.RESET,
                source=f"{_YAO}: 1.8 V, 50 ns, and the DC RESET current of 45 uA as a bound",
            ),
        ),
    )


def isaac2016() -> ComponentCosts:
    """The periphery of ISAAC: 128 x 128 arrays, one-bit drivers, one 8-bit ADC an array, reads of 100 ns.

    ISAAC sends inputs bit by bit; the intervals are counted from the chip's DAC, as with `yao2020_periphery`.

    Its programming is not given; pulses are those of `yao2020_periphery`.
    """
    adc, driver, hold = 16e-3 / 8, 4e-3 / (8 * 128), 10e-6 / (8 * 128)  # W a piece
    pulses = yao2020_periphery().components[-2:]
    return ComponentCosts(
        name="isaac2016",
        t_read=100e-9,
        t_set=50e-9,
        t_reset=50e-9,
        source=_ISAAC,
        cell_area=0.0002e-6 / (8 * 128 * 128),
        components=(
            Component(
                name="ADC",
                energy=adc / 1.2e9,
                energy_basis=EnergyBasis.CONVERSION,
                area=0.0096e-6 / 8,
                area_basis=AreaBasis.ARRAY,
                node=32e-9,
                source=f"{_ISAAC}: 16 mW and 0.0096 mm2 for eight of 1.2 GS/s",
            ),
            Component(
                name="drivers",
                energy=driver * 100e-9,
                energy_basis=EnergyBasis.LINE,
                area=0.00017e-6 / (8 * 128),
                area_basis=AreaBasis.ROW,
                node=32e-9,
                source=f"{_ISAAC}: 4 mW and 0.00017 mm2 for 8 x 128, 100 ns",
            ),
            Component(
                name="sample-and-hold",
                energy=hold * 100e-9,
                energy_basis=EnergyBasis.CONVERSION,
                area=0.00004e-6 / (8 * 128),
                area_basis=AreaBasis.COLUMN,
                node=32e-9,
                source=f"{_ISAAC}: 10 uW and 0.00004 mm2 for 8 x 128, 100 ns",
            ),
            Component(
                name="shift-and-add",
                energy=0.2e-3 / (8 * 1.2e9),
                energy_basis=EnergyBasis.CONVERSION,
                area=0.00024e-6 / 8,
                area_basis=AreaBasis.ARRAY,
                node=32e-9,
                source=f"{_ISAAC}: 0.2 mW and 0.00024 mm2 for eight ADCs",
            ),
            *pulses,
        ),
    )


def wang2019_estimate() -> ComponentCosts:
    """A 128 x 64 array trained by gate voltages, with the converters of `yao2020_periphery`: ours throughout.

    The paper prints voltages but neither pulse widths nor energies; its board has 100 ns as the shortest pulse.
    """
    adc, rest, _, _, _ = yao2020_periphery().components
    bound = "ours: 2.5 V and 1.7 V (paper, public code) for 100 ns at 300 uA, what 200 uS draw at 1.5 V"
    return ComponentCosts(
        name="wang2019, ours",
        t_read=100e-9,
        t_set=100e-9,
        t_reset=100e-9,
        source="ours; Wang et al., Nat. Mach. Intell. 1, 434 (2019) prints no energies",
        components=(
            adc,
            rest,
            Component(name="SET pulses", energy=2.5 * 300e-6 * 100e-9, energy_basis=EnergyBasis.SET, source=bound),
            Component(name="RESET pulses", energy=1.7 * 300e-6 * 100e-9, energy_basis=EnergyBasis.RESET, source=bound),
        ),
    )


def comparators() -> ComponentCosts:
    """A periphery for one-bit forward and two-bit backward signals: a comparator a line, and no ADC (ours)."""
    _, _, _, set_pulses, reset_pulses = yao2020_periphery().components
    return ComponentCosts(
        name="comparators, ours",
        t_read=50e-9,
        t_set=50e-9,
        t_reset=50e-9,
        source="ours; Zhang et al., Neural Networks 108, 217 (2018) was not available",
        components=(
            Component(
                name="comparator",
                energy=COMPARATOR_ENERGY,
                energy_basis=EnergyBasis.CONVERSION,
                source=f"ours: at most an eighth of an 8-bit conversion; {_YAO}, 2.55 pJ",
            ),
            set_pulses,
            reset_pulses,
        ),
    )


def sram_energy(n_bits: float) -> float:
    """J to move `n_bits` through an 8 kB SRAM: 10 pJ for 64 bits. Source: Horowitz, ISSCC 2014, 45 nm."""
    return n_bits * 10e-12 / 64

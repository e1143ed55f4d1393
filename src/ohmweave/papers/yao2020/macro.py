"""The 128 x 128 macro of the paper from its printed parts, and the same with other parts."""

from ohmweave.cost import Macro, Part, isaac2016

READ_ENERGY = 371.89e-12  # J a one-bit read of the macro. Paper, Methods.
T_READ = 50e-9  # s. Paper.
AREA = 63_801.94e-12 / 0.9069  # m2: the printed area of a block and its printed share. Paper, Methods.
N_ADC, N_CONVERSIONS, ADC_ENERGY = 32, 4, 2.55e-12  # a macro; a read and ADC; J. Paper.
ADC_OVER_CELLS = 14.4  # energy of the converters over that of the cells. Paper.
V_READ = 0.2  # V. Paper.
LEVEL_MIDDLE = 11.25e-6  # S, middle of the eight levels from 2.5 to 20 uS. Paper.
DENSITY_V100 = 37e15  # operations a second and m2: 37 GOPS/mm2. As GOPS_PER_W_V100.


def macro(*, heat_of_cells: float | None = None, ops_per_cell: float = 2.0) -> Macro:
    """The 128 x 128 macro of the paper.

    Args:
        heat_of_cells: J of a one-bit read in the cells; None is the figure that the paper implies.
        ops_per_cell: operations counted for a cell in a read: 2 in the paper, 1 for pairs of cells.
    """
    converters = Part(name="ADC", n_uses=N_ADC * N_CONVERSIONS, energy=ADC_ENERGY, source="paper: 32 x 4 x 2.55 pJ")
    printed = converters.read_energy / ADC_OVER_CELLS
    rest = READ_ENERGY - converters.read_energy - printed
    return Macro(
        rows=128,
        cols=128,
        input_bits=8,
        t_read=T_READ,
        area=AREA,
        ops_per_cell=ops_per_cell,
        parts=(
            converters,
            Part(
                name="cells",
                n_uses=1,
                energy=printed if heat_of_cells is None else heat_of_cells,
                source="paper: the ADCs take 14.4 times as much" if heat_of_cells is None else "V^2 g t",
            ),
            Part(
                name="drivers, multiplexers, control, sample-and-hold",
                n_uses=1,
                energy=rest,
                source="printed total of 371.89 pJ less the two above; its split is not printed",
            ),
        ),
    )


def bottom_up() -> Macro:
    """The same macro with drivers and sample-and-hold priced by ISAAC, instead of the rest of the printed total."""
    ours, isaac = macro(), {part.name: part for part in isaac2016().components}
    parts = (
        *ours.parts[:2],
        Part(name="drivers", n_uses=128, energy=isaac["drivers"].energy, source=isaac["drivers"].source),
        Part(
            name="sample-and-hold",
            n_uses=128,
            energy=isaac["sample-and-hold"].energy,
            source=isaac["sample-and-hold"].source,
        ),
    )
    return Macro(rows=128, cols=128, input_bits=8, t_read=T_READ, area=AREA, parts=parts)


def heat(g_mean: float, *, active: float = 1.0) -> float:
    """Heat (J) of a one-bit read, V^2 g t, if all cells have `g_mean` (S) and the fraction `active` of rows is on."""
    return 128 * 128 * active * V_READ**2 * g_mean * T_READ

"""Published prices as printed: each number by hand from its source."""

from ohmweave.cost import ADC_ENERGY_YAO, COMPARATOR_ENERGY, RESET_ENERGY_YAO, SET_ENERGY_YAO, ComponentCosts
from tests.helpers import assert_close


def test_energies_of_yao2020_are_those_of_the_paper() -> None:
    """2.0 V and 60 uA, 1.8 V and 45 uA for 50 ns; 2.55 pJ a conversion; a comparator decides once, an ADC 8 times."""
    assert_close(SET_ENERGY_YAO, 6.0e-12, rtol=1e-12)
    assert_close(RESET_ENERGY_YAO, 4.05e-12, rtol=1e-12)
    assert_close(ADC_ENERGY_YAO, 2.55e-12, rtol=1e-12)
    assert_close(COMPARATOR_ENERGY, 0.31875e-12, rtol=1e-12)


def test_cells_have_no_area_unless_a_price_list_gives_one() -> None:
    bare = ComponentCosts(name="x", components=(), t_read=1e-9, t_set=1e-9, t_reset=1e-9, source="a test")
    assert bare.cell_area == 0.0
    assert sum(bare.array_area(128, 16).values()) == 0.0

"""Published prices as printed: each number by hand from its source."""

from ohmweave.cost import ADC_ENERGY_YAO, COMPARATOR_ENERGY, RESET_ENERGY_YAO, SET_ENERGY_YAO
from tests.helpers import assert_close


def test_energies_of_yao2020_are_those_of_the_paper() -> None:
    """2.0 V and 60 uA, 1.8 V and 45 uA for 50 ns; 2.55 pJ a conversion; a comparator decides once, an ADC 8 times."""
    assert_close(SET_ENERGY_YAO, 6.0e-12, rtol=1e-12)
    assert_close(RESET_ENERGY_YAO, 4.05e-12, rtol=1e-12)
    assert_close(ADC_ENERGY_YAO, 2.55e-12, rtol=1e-12)
    assert_close(COMPARATOR_ENERGY, 0.31875e-12, rtol=1e-12)

"""Published macros from our parts, against counts by hand."""

from ohmweave.experiments import find, load_installed
from ohmweave.papers.macros import MACROS, NAME, priced
from ohmweave.papers.published_macros import CURRENT_MODE, PUBLISHED
from tests.helpers import assert_close

BY_KEY = {one.key: one for one in PUBLISHED}


def parts(key: str) -> dict[str, float]:
    return {part.name: part.read_energy for part in priced(BY_KEY[key]).parts}


def test_parts_are_those_of_a_count_by_hand() -> None:
    isaac = parts("isaac2016")
    assert_close(isaac["converters"], 128 * 3.1e-3 / 1.2e9, rtol=1e-12)
    assert_close(isaac["row drivers"], 128 * 4e-3 / 1024 * 100e-9, rtol=1e-12)
    assert_close(isaac["cells"], 128 * 128 * 0.5 * 0.04 * 5e-6 * 100e-9, rtol=1e-12)
    hermes = parts("hermes-one-phase")
    # A counter takes 256 decisions of an eighth of the anchor, in 14 nm in place of 32.
    assert_close(hermes["converters"], 256 * 256 / 8 * 3.1e-3 / 1.2e9 * 14 / 32, rtol=1e-12)
    assert_close(hermes["cells"], 4 * 256 * 256 * 0.5 * 0.04 * 5e-6 * 133e-9, rtol=1e-12)


def test_operations_are_those_that_the_papers_count() -> None:
    assert_close(priced(BY_KEY["yao2020"]).n_ops, 2.0 * 128 * 128, rtol=1e-12)
    assert_close(priced(BY_KEY["isaac2016"]).n_ops / 16, 256.0, rtol=1e-12)
    # The printed throughput of 63.1 and 16.1 TOPS on 64 cores.
    assert_close(64 * priced(BY_KEY["hermes-one-phase"]).throughput, 63.1e12, rtol=2e-3)
    assert_close(64 * priced(BY_KEY["hermes-four-phases"]).throughput, 16.1e12, rtol=5e-3)


def test_voltages_are_sensed_with_the_printed_parts() -> None:
    """By hand: 256 gate lines of 585.6 fF over 1.3 V; half of 65,536 cells of 5 uS, 10 ns at 0.5 V."""
    four, six = parts("neurram2022"), parts("neurram2022-6-bits")
    assert_close(four["gate lines"], 256 * 585.6e-15 * 1.69, rtol=1e-12)
    assert_close(four["cells"], 32_768 * 5e-6 * 0.25 * 10e-9, rtol=1e-12)
    assert_close(four["converters"], 256 * (2**-4 + 0.5) / 2 * 3.1e-3 / 1.2e9 * 130 / 32, rtol=1e-12)
    for part in ("gate lines", "cells"):
        assert_close(six[part], 3 * four[part], rtol=1e-12)


def test_the_printed_parts_of_neurram_make_its_printed_efficiency() -> None:
    """Two operations for each of 128 x 256 weights: 812, 542 and 259 pJ are the 40.3 TOPS/W that are printed."""
    assert_close(BY_KEY["neurram2022"].n_ops / 1613e-12, 40.3e12, rtol=0.01)


def test_sensing_currents_is_what_the_first_model_of_neurram_had_wrong() -> None:
    assert priced(CURRENT_MODE).efficiency < BY_KEY["neurram2022"].printed / 4
    for one in PUBLISHED:
        assert one.printed / 1.5 < priced(one).efficiency < one.printed * 1.5


def test_the_experiment_is_found_and_has_a_claim_for_each() -> None:
    load_installed()
    assert find(NAME) is MACROS
    assert [claim.key for claim in MACROS.claims] == [one.key for one in PUBLISHED]

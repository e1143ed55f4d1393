"""Published macros from our parts, against counts by hand."""

from ohmweave.experiments import find, load_installed
from ohmweave.papers.macros import MACROS, NAME, PUBLISHED, SETTLED, priced
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


def test_what_the_difference_of_neurram_is_due_to() -> None:
    assert priced(BY_KEY["neurram2022"]).efficiency < BY_KEY["neurram2022"].printed / 4
    assert BY_KEY["neurram2022"].printed / 1.6 < priced(SETTLED).efficiency < BY_KEY["neurram2022"].printed * 1.6


def test_the_experiment_is_found_and_has_a_claim_for_each() -> None:
    load_installed()
    assert find(NAME) is MACROS
    assert [claim.key for claim in MACROS.claims] == [one.key for one in PUBLISHED]

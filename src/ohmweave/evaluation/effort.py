"""The size of an evaluation: how much is trained, searched and repeated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ohmweave.base import check_fields, integer

Count = Annotated[int, integer(at_least=1, at_most=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is trained, searched and repeated.

    Args:
        networks: trained in software, for the accuracy in software and its interval.
        n_train: training images; all if there are fewer.
        epochs: of training in software.
        in_situ: epochs of learning in situ.
        trial: epochs of learning in situ in the first rounds of the search.
        tuning: epochs of tuning in situ.
        search_chips: chips of each trial of the search.
        extensions: times that a search goes on beyond an end of its values, if the end is best.
        finalists: rules that are compared at full length.
        draws: cells that are drawn from the uncertainty of the fit, beside the fitted cell.
        draw_chips: chips of each drawn cell, at most `chips`.
        property_chips: chips without one of the properties, at most `chips`; with as many, the same chips are compared.

    Raises:
        OutOfRangeError: a number is no integer in its range.
    """

    networks: Count
    n_train: Annotated[int, integer(at_least=50, at_most=10**6)]
    epochs: Count
    in_situ: Count
    trial: Count
    tuning: Count
    search_chips: Count
    extensions: Annotated[int, integer(at_least=0, at_most=10)]
    finalists: Count
    draws: Annotated[int, integer(at_least=0, at_most=1_000)]
    draw_chips: Count
    property_chips: Count

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)


EFFORTS: Mapping[str, Effort] = {
    "smoke": Effort(
        networks=3,
        n_train=2_000,
        epochs=40,
        in_situ=20,
        trial=3,
        tuning=3,
        search_chips=4,
        extensions=2,
        finalists=2,
        draws=4,
        draw_chips=2,
        property_chips=10,
    ),
    "full": Effort(
        networks=10,
        n_train=10**6,
        epochs=60,
        in_situ=60,
        trial=8,
        tuning=5,
        search_chips=4,
        extensions=3,
        finalists=3,
        draws=20,
        draw_chips=10,
        property_chips=10,
    ),
}
"""By scale. "smoke" takes a few minutes on two cores with the digits; "full" an hour or more."""

"""What there is around an array on a bench: a way to 0 V, a thermometer, a compliance, nominal pulses.

A wrapper of an array (limits, a log) finds these parts by the type `OnBench`; for an array without them each is None.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from ohmweave.arrays import Array
from ohmweave.base import check_fields, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class NominalPulse:
    """Amplitudes and widths of pulses that are sent without their own.

    Attributes:
        v_set: V, > 0.
        v_reset: V, magnitude, > 0.
        t_set: s.
        t_reset: s.

    Raises:
        OutOfRangeError: a number is not > 0.
    """

    v_set: Annotated[float, positive("V", at_most=1000.0)]
    v_reset: Annotated[float, positive("V", at_most=1000.0)]
    t_set: Annotated[float, positive("s", at_most=1000.0)]
    t_reset: Annotated[float, positive("s", at_most=1000.0)]

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """The parts around an array; None for those that are not there.

    Attributes:
        ground: puts all lines at 0 V.
        temperature: measures the temperature, K.
        limit_current: limits the current of each source to a magnitude, A.
        nominal: the pulses that are sent without an amplitude or width.
    """

    ground: Callable[[], None] | None = None
    temperature: Callable[[], float] | None = None
    limit_current: Callable[[float], None] | None = None
    nominal: NominalPulse | None = None


class OnBench(ABC):
    """An array that knows the parts around it."""

    @property
    @abstractmethod
    def station(self) -> Station:
        """The parts around the array."""


def station_of(array: Array) -> Station:
    """The parts around any array: none for one that does not know them, such as a simulated one."""
    return array.station if isinstance(array, OnBench) else Station()

"""A macro at its peak: one array with its periphery, all cells in use, reads one after another without a pause."""

from dataclasses import dataclass
from typing import Annotated

from ohmweave.base import (
    OutOfRangeError,
    check_fields,
    check_non_negative,
    check_positive,
    integer,
    non_negative,
    positive,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One circuit of a macro, and the number of its uses in a one-bit read.

    Attributes:
        name: of the circuit.
        n_uses: number of uses in one read of the whole array, >= 0.
        energy: J, >= 0, for one use.
        source: reference of the numbers.

    Raises:
        OutOfRangeError: a number is out of range.
    """

    name: str
    n_uses: Annotated[int, integer(at_least=0)]
    energy: Annotated[float, non_negative("J")]
    source: str

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    @property
    def read_energy(self) -> float:
        """Energy of one read, J."""
        return self.n_uses * self.energy


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """An array with its converters, and the peak figures that follow from them.

    Attributes:
        rows, cols: size of the array in cells, >= 1.
        input_bits: number of one-bit reads for one product, >= 1.
        t_read: s, > 0, duration of a one-bit read.
        area: m2 of the macro.
        parts: the circuits that a read uses, one or more.
        ops_per_cell: operations counted for each cell in a product, > 0: 2 (multiply and add) where a cell is a weight,
            1 where a pair of cells is a weight.

    Raises:
        OutOfRangeError: a number is out of range, or there are no `parts`.
    """

    rows: Annotated[int, integer(at_least=1)]
    cols: Annotated[int, integer(at_least=1)]
    input_bits: Annotated[int, integer(at_least=1)]
    t_read: Annotated[float, positive("s")]
    area: Annotated[float, positive("m2")]
    parts: tuple[Part, ...]
    ops_per_cell: Annotated[float, positive()] = 2.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)
        if not self.parts:
            raise OutOfRangeError("`parts` must not be empty")
        if not self.read_energy > 0:
            raise OutOfRangeError("`parts` must need some energy for a read, but their sum is 0 J")

    @property
    def read_energy(self) -> float:
        """Energy of a one-bit read, J."""
        return sum(part.read_energy for part in self.parts)

    @property
    def n_ops(self) -> float:
        """Operations in one product."""
        return self.ops_per_cell * self.rows * self.cols

    @property
    def throughput(self) -> float:
        """Operations in 1 s."""
        return self.n_ops / (self.input_bits * self.t_read)

    @property
    def efficiency(self) -> float:
        """Operations for 1 J, which is the number of operations in 1 s at 1 W."""
        return self.n_ops / (self.input_bits * self.read_energy)

    @property
    def density(self) -> float:
        """Operations in 1 s on 1 m2."""
        return self.throughput / self.area

    def mean_conductance(self, heat: float, v_read: float) -> float:
        """Mean conductance of the cells, S, that follows from the heat of a read in which all rows are driven.

        Args:
            heat: J, of all cells in one read.
            v_read: V, read voltage.
        """
        check_non_negative("heat", heat, "J")
        check_positive("v_read", v_read, "V")
        return heat / (self.rows * self.cols * v_read**2 * self.t_read)

"""A macro at its peak: one array with its periphery, all cells in use, one read after another without a pause."""

from dataclasses import dataclass

from ohmweave.base import OutOfRangeError, check_integer, check_non_negative, check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One circuit of a macro, and how often a one-bit read uses it.

    Attributes:
        name: of the circuit.
        n_uses: in one read of the whole array.
        energy: J a use.
        source: of the numbers.
    """

    name: str
    n_uses: int
    energy: float
    source: str

    @property
    def read_energy(self) -> float:
        """J a read."""
        return self.n_uses * self.energy


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """An array with its converters, and the peak figures that follow.

    Attributes:
        rows, cols: cells.
        input_bits: one-bit reads of a product.
        t_read: s, of one such read.
        area: m2.
        parts: what a read costs.
        ops_per_cell: operations counted for a cell and a product: 2 where a cell is a weight, 1 where a pair is.
    """

    rows: int
    cols: int
    input_bits: int
    t_read: float
    area: float
    parts: tuple[Part, ...]
    ops_per_cell: float = 2.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("rows", "cols", "input_bits"):
            check_integer(name, getattr(self, name), at_least=1)
        for name, unit in (("t_read", "s"), ("area", "m2"), ("ops_per_cell", "")):
            check_positive(name, getattr(self, name), unit)
        if not self.parts:
            raise OutOfRangeError("`parts` must not be empty")
        for part in self.parts:
            check_non_negative(part.name, part.energy, "J")

    @property
    def read_energy(self) -> float:
        """J of a one-bit read."""
        return sum(part.read_energy for part in self.parts)

    @property
    def n_ops(self) -> float:
        """Operations of one product."""
        return self.ops_per_cell * self.rows * self.cols

    @property
    def throughput(self) -> float:
        """Operations a second."""
        return self.n_ops / (self.input_bits * self.t_read)

    @property
    def efficiency(self) -> float:
        """Operations a joule: the same number as operations a second and watt."""
        return self.n_ops / (self.input_bits * self.read_energy)

    @property
    def density(self) -> float:
        """Operations a second and m2."""
        return self.throughput / self.area

    def mean_conductance(self, heat: float, v_read: float) -> float:
        """S: what each cell would have if all, driven at `v_read` V for one read, turned `heat` J into heat."""
        return heat / (self.rows * self.cols * v_read**2 * self.t_read)

"""The process that a chip is made in: what its size says about wires, cells and circuits that are scaled to it."""

from dataclasses import dataclass
from typing import Annotated

from ohmweave.base import check_fields, positive
from ohmweave.cost.converter_prices import NODE_KULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process by its feature size.

    Attributes:
        node: m, the feature size F.
        cell_size: area of a cell in F^2: about 4 in a crossbar without transistors, 6 to 30 with one.
        wire_capacitance: F/m, of a row or column line with its cells.
        t_settle: s, from a change of the row voltages until the currents may be sampled.

    Defaults: 32 nm is the process of the published circuits, so that none is scaled; reads of 50 ns are those of Yao et
    al., Nature 577, 641 (2020); 12 F^2 a cell of one transistor and 0.2 fF/um a line are usual estimates (ours).

    Raises:
        OutOfRangeError: a number is out of range.
    """

    node: Annotated[float, positive("m", at_least=1e-9, at_most=1e-5)] = NODE_KULL
    cell_size: Annotated[float, positive(at_least=1.0, at_most=1e4)] = 12.0
    wire_capacitance: Annotated[float, positive("F/m", at_most=1e-6)] = 0.2e-9
    t_settle: Annotated[float, positive("s", at_most=1.0)] = 50e-9

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fields(self)

    @property
    def cell_area(self) -> float:
        """Area of a cell, m2."""
        return self.cell_size * self.node**2

    def line_capacitance(self, n_cells: int) -> float:
        """Capacitance of a line over `n_cells` square cells, F."""
        pitch: float = self.cell_area**0.5
        return self.wire_capacitance * pitch * n_cells

    def scaled(self, energy: float, area: float, node: float = NODE_KULL) -> tuple[float, float]:
        """Energy (J) and area (m2) of a circuit of `node` m in this process.

        The energy grows with the feature size and the area with its square: the capacitances of a circuit grow with F,
        and its supply is taken to be the same. Supplies rise with F as well, so that energies in older processes are
        lower bounds. Source: the usual rule of scaling; compare A. Stillmaker and B. Baas, Integration 58, 74 (2017),
        whose fits of real processes grow faster.
        """
        ratio = self.node / node
        return energy * ratio, area * ratio**2
